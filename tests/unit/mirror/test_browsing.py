"""What one version of an object changed of the one before."""

from typing import Any

import pytest

from tidegate.mirror.browsing import Change, changes, inside_of, shown
from tidegate.stripe_api.resources import RESOURCES


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, [("b", 2, 3)]),
        ({"a": 1}, {"b": 1}, [("a", 1, None), ("b", None, 1)]),
        ({"a": None}, {}, []),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 4}]}}, [("a.b[1].c", 2, 4)]),
        ({"a": [1]}, {"a": [1, 2]}, [("a", [1], [1, 2])]),
        ({"a": {"b": 1}}, {"a": None}, [("a", {"b": 1}, None)]),
    ],
)
def test_changes_are_named_by_their_paths(before: Any, after: Any, found: list[tuple[str, Any, Any]]) -> None:
    assert list(changes(before, after)) == [Change(*one) for one in found]


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=lambda one: one.name)
def test_every_resource_has_something_to_show(resource: Any) -> None:
    assert shown(resource)
    if resource.parent:
        assert inside_of(resource).object == resource.parent
