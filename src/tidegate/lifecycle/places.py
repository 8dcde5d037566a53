"""Packages, stages and segments that a condition names, and whether there are such; a name that is none, with the
nearest one.
"""

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

from tidegate.conditions.nodes import Node, tests

_ONE = {"packages": "package", "stage": "stage", "segments": "segment"}
"""By field what its values are."""
_WHOLE = ("is", "is_not", "has", "has_all", "lacks")
"""Operators that compare with a whole key."""


def missing_places(node: Node, there: Mapping[str, Collection[str]]) -> list[str]:
    """What the condition names and there is not, each in words. `there`: by field (`packages`, `stage`, `segments`) the
    keys that there are; what of it is left out is not looked at.
    """
    return [
        missing(_ONE[field], name, there[field])
        for field, names in named_places(node).items()
        if field in there
        for name in names
        if name not in there[field]
    ]


def named_places(node: Node) -> dict[str, list[str]]:
    """By field the packages, stages and segments that the condition names, in its order."""
    found: dict[str, list[str]] = {}
    for test in tests(node):
        if test.field.name in _ONE and test.operator.name in _WHOLE:
            values = test.value if isinstance(test.value, list) else [test.value]
            found.setdefault(test.field.name, []).extend(str(one) for one in values)
    return found


def missing(what: str, name: str, known: Iterable[str]) -> str:
    """That there is no such thing, which may be meant, and what there is."""
    there = list(known)
    near = get_close_matches(name, there, 1, 0.5)
    perhaps = f", perhaps {near[0]}" if near else ""
    return f"there is no {what} {name!r}{perhaps}; there are: {', '.join(there) or 'none'}"
