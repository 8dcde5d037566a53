"""Stages and segments that a condition names, and whether there are such; a name that is none, with the nearest one."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from tidegate.conditions.nodes import Node, tests

_ONE = {"stage": "stage", "segments": "segment"}
"""By field what its values are."""
_WHOLE = ("is", "is_not", "has", "has_all", "lacks")
"""Operators that compare with a whole key."""


def missing_places(node: Node, stages: Sequence[str], segments: Sequence[str]) -> list[str]:
    """Stages and segments that the condition names and that there are not, each in words."""
    there = {"stage": stages, "segments": segments}
    return [
        missing(_ONE[test.field.name], str(one), there[test.field.name])
        for test in tests(node)
        if test.field.name in _ONE and test.operator.name in _WHOLE
        for one in (test.value if isinstance(test.value, list) else [test.value])
        if one not in there[test.field.name]
    ]


def missing(what: str, name: str, known: Iterable[str]) -> str:
    """That there is no such thing, which may be meant, and what there is."""
    there = list(known)
    near = get_close_matches(name, there, 1, 0.5)
    perhaps = f", perhaps {near[0]}" if near else ""
    return f"there is no {what} {name!r}{perhaps}; there are: {', '.join(there) or 'none'}"
