"""What people type into forms: values, and how much of a feature is given."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.web import typed_values
from tidegate.web.catalog import terms_form

FEATURES = [
    {"key": "calls", "type": "metered"},
    {"key": "sso", "type": "boolean"},
    {"key": "theme", "type": "config"},
]
JSON = st.recursive(
    st.booleans() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one), max_leaves=5
)


@given(JSON)
def test_a_value_survives_being_shown_and_typed(value: Any) -> None:
    assert typed_values.read(typed_values.shown(value)) == value


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("", None),
        ("5", 5),
        ('"5"', "5"),
        ("true", True),
        ("dark", "dark"),
        ("[1]", [1]),
        ("NaN", "NaN"),
        ("[1e999]", "[1e999]"),
        ("[" * 100_000, "[" * 100_000),
    ],
    ids=lambda one: str(one)[:12],
)
def test_what_is_typed_is_json_where_it_is_any(typed: str, value: Any) -> None:
    assert typed_values.read(typed) == value


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ({"limit:calls": "1,500"}, {"calls": {"limit": 1500}}),
        ({"limit:calls": "Unlimited", "reset:calls": "day"}, {"calls": {"unlimited": True, "reset": "day"}}),
        ({"limit:calls": "0", "give:sso": "yes"}, {"calls": {"limit": 0}, "sso": True}),
        ({"reset:calls": "day", "value:theme": ""}, {}),
        ({"value:theme": "dark"}, {"theme": {"value": "dark"}}),
        ({"value:theme": "false"}, {"theme": {"value": False}}),
    ],
)
def test_a_form_says_what_is_given(form: dict[str, str], found: dict[str, Any]) -> None:
    assert terms_form.said(FEATURES, form) == (found, {})


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"limit:calls": "many"}, "limit:calls"),
        ({"limit:calls": "-1"}, "limit:calls"),
        ({"limit:calls": "1.5"}, "limit:calls"),
        ({"limit:calls": "9" * 30}, "limit:calls"),
        ({"limit:calls": "1", "reset:calls": "fortnight"}, "limit:calls"),
        ({"value:theme": "null"}, "value:theme"),
    ],
)
def test_what_is_wrong_is_said_of_its_field(form: dict[str, str], field: str) -> None:
    found, wrong = terms_form.said(FEATURES, form)
    assert (found, list(wrong)) == ({}, [field])


def test_what_is_given_fills_the_form_that_says_it() -> None:
    given: dict[str, Any] = {"calls": {"limit": 5, "reset": "day"}, "sso": {}, "theme": {"value": "5"}}
    found, wrong = terms_form.said(FEATURES, terms_form.typed(FEATURES, given))
    assert (found, wrong) == ({"calls": {"limit": 5, "reset": "day"}, "sso": True, "theme": {"value": "5"}}, {})
