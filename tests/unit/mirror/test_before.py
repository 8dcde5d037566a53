"""What stood before an event, rebuilt from what it tells."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.mirror.before import before
from tidegate.sandbox.state import previous

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2)
LISTS = st.lists(SCALARS | st.dictionaries(st.sampled_from("xyz"), SCALARS), max_size=3)
NAMES = ["status", "items", "plan"]


def _object(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(dict.fromkeys(NAMES, SCALARS | LISTS | children))


OBJECTS = _object(_object(st.nothing()))


@given(OBJECTS, OBJECTS, st.dictionaries(st.sampled_from("kl"), st.text(max_size=2)),
       st.dictionaries(st.sampled_from("kl"), st.text(max_size=2)))  # fmt: skip
def test_what_an_event_tells_restores_what_stood_before(
    old: dict[str, Any], new: dict[str, Any], old_keys: dict[str, str], new_keys: dict[str, str]
) -> None:
    old, new = old | {"metadata": old_keys}, new | {"metadata": new_keys}
    assert before(new, previous(old, new)) == old


@pytest.mark.parametrize(
    ("after", "told", "stood"),
    [
        ({"a": 1, "b": 2}, {"a": 0}, {"a": 0, "b": 2}),
        ({"a": None}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"plan": {"id": "gold", "amount": 5}}, {"plan": {"id": "iron"}}, {"plan": {"id": "iron", "amount": 5}}),
        ({"items": {"data": [1, 2], "url": "/"}}, {"items": {"data": [3]}}, {"items": {"data": [3], "url": "/"}}),
        ({"metadata": {"a": "1", "b": "2"}}, {"metadata": {"a": None}}, {"metadata": {"b": "2"}}),
        ({"metadata": {}}, {"metadata": {"a": "1"}}, {"metadata": {"a": "1"}}),
        ({"name": "x"}, {"name": None}, {"name": None}),
        ({"id": "sub_1"}, {}, {"id": "sub_1"}),
    ],
)
def test_how_stripe_tells_what_was_before(after: dict[str, Any], told: dict[str, Any], stood: dict[str, Any]) -> None:
    assert before(after, told) == stood
