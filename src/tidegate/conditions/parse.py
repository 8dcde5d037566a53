"""Reads a condition and checks it against the fields: `{all: […]}`, `{any: […]}`, `{not: …}`, `{field: …, is: …}`."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, cast

from tidegate.conditions.fields import Fields
from tidegate.conditions.nodes import All, AnyOf, Named, Node, Not, Test, tests
from tidegate.conditions.operators import OPERATORS, operators_of
from tidegate.errors.wrong import Wrong

DEEPEST = 20
MOST_TESTS = 200
SHAPES = "{all: […]}, {any: […]}, {not: …}, {condition: NAME} or {field: NAME, OPERATOR: VALUE}"
_NEVER = AnyOf(())
"""Stands where something was wrong."""


def parse(
    said: Any, fields: Fields, named: Mapping[str, Node] | None = None, *, where: str = "when"
) -> tuple[Node, list[Wrong]]:
    """The condition that was said, and everything that is wrong with it; with faults it must not be used.

    `named`: the conditions that `{condition: NAME}` can name. `where`: the place of the condition in what was said.
    """
    reader = _Reader(fields, named or {})
    node = reader.read(said, where, 0)
    if not reader.wrong and sum(1 for _ in tests(node)) > MOST_TESTS:
        reader.wrong.append(Wrong(where, f"it has more than {MOST_TESTS} tests"))
    return node, reader.wrong


class _Reader:
    def __init__(self, fields: Fields, named: Mapping[str, Node]) -> None:
        self._fields, self._named = fields, named
        self.wrong: list[Wrong] = []

    def read(self, said: Any, where: str, depth: int) -> Node:
        if depth > DEEPEST:
            return self._refuse(where, f"it is nested more than {DEEPEST} deep")
        if not isinstance(said, Mapping) or not said:
            return self._refuse(where, f"a condition is {SHAPES}")
        told = cast("Mapping[str, Any]", said)
        if "field" in told:
            return self._tests(told, where)
        if len(told) != 1:
            return self._refuse(where, f"it says {' and '.join(map(str, told))} at once; join them by all or any")
        [(word, rest)] = told.items()
        match word:
            case "all" | "any":
                return self._several(word, rest, where, depth)
            case "not":
                return Not(self.read(rest, f"{where}.not", depth + 1))
            case "condition":
                return self._name(rest, where)
            case _:
                return self._refuse(f"{where}.{word}", f"a condition is {SHAPES}")

    def _several(self, word: str, rest: Any, where: str, depth: int) -> Node:
        if not isinstance(rest, Sequence) or isinstance(rest, str) or not rest:
            return self._refuse(f"{where}.{word}", "it takes a list of conditions")
        listed = cast("Sequence[Any]", rest)
        parts = tuple(self.read(one, f"{where}.{word}.{place}", depth + 1) for place, one in enumerate(listed))
        return All(parts) if word == "all" else AnyOf(parts)

    def _name(self, name: Any, where: str) -> Node:
        if (part := self._named.get(name) if isinstance(name, str) else None) is not None:
            return Named(name, part)
        known = ", ".join(self._named) or "none so far"
        return self._refuse(f"{where}.condition", f"there is no condition {name!r}; known are: {known}")

    def _tests(self, told: Mapping[str, Any], where: str) -> Node:
        name = told["field"]
        field = self._fields.find(name) if isinstance(name, str) else None
        if field is None:
            return self._refuse(f"{where}.field", self._fields.nearest(str(name)))
        able = operators_of(field.kind)
        found: list[Node] = []
        for word, value in told.items():
            operator = OPERATORS.get(word)
            if word == "field":
                continue
            if operator is None or word not in able:
                self._refuse(f"{where}.{word}", _unable(name, field.is_a, word, able))
                continue
            try:
                found.append(Test(field, operator, operator.read(value, field)))
            except ValueError as error:
                self._refuse(f"{where}.{word}", f"{name} is {field.is_a}; {error}")
        if len(told) == 1:
            return self._refuse(where, f"it does not say what {name} is compared with: {', '.join(able)}")
        return found[0] if len(found) == 1 else All(tuple(found))

    def _refuse(self, where: str, problem: str) -> Node:
        self.wrong.append(Wrong(where, problem))
        return _NEVER


def _unable(name: str, is_a: str, word: str, able: Sequence[str]) -> str:
    near = get_close_matches(word, able, 1, 0.6)
    perhaps = f", perhaps {near[0]}" if near else ""
    return f"{name} is {is_a} and cannot be compared by {word!r}{perhaps}: {', '.join(able)}"
