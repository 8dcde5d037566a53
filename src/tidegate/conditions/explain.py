"""Why a condition holds of a contact or not: the same tests, each by itself, with what the contact has there."""

from collections.abc import Mapping
from typing import Any

from tidegate.conditions.compile import Compiled, compiled, value
from tidegate.conditions.nodes import All, AnyOf, Named, Node, Not, Test, tests


def questions(node: Node) -> Compiled:
    """The columns of a statement that asks all there is to say: for the nth test `holds_n` and `value_n`."""
    into = Compiled()
    columns: list[str] = []
    for place, test in enumerate(tests(node)):
        asked = compiled(test, f"c{place}_")
        into.values |= asked.values
        columns += [f"{asked.sql} as holds_{place}", f"{value(test.field, into, f'v{place}_')} as value_{place}"]
    into.sql = ", ".join(columns) or "true as nothing"
    return into


def explained(node: Node, row: Mapping[str, Any]) -> dict[str, Any]:
    """The condition as a tree, with the answers of `questions` for one contact: {holds, says, parts?, value?}."""
    return _explained(node, row, iter(range(len(row))))


def _explained(node: Node, row: Mapping[str, Any], places: Any) -> dict[str, Any]:
    match node:
        case Test(field, operator, compared):
            place = next(places)
            says = f"{field.name} {operator.says.format(value=_shown(compared))}"
            return {"holds": row[f"holds_{place}"], "says": says, "value": row[f"value_{place}"]}
        case Not(part):
            inner = _explained(part, row, places)
            return {"holds": not inner["holds"], "says": "not", "parts": [inner]}
        case Named(name, part):
            inner = _explained(part, row, places)
            return {"holds": inner["holds"], "says": name, "parts": [inner]}
        case All(parts) | AnyOf(parts):
            every = isinstance(node, All)
            told = [_explained(part, row, places) for part in parts]
            holds = all(one["holds"] for one in told) if every else any(one["holds"] for one in told)
            return {"holds": holds, "says": "all of" if every else "any of", "parts": told}


def reasons(told: Mapping[str, Any]) -> list[str]:
    """The tests that decide what `explained` told: of what holds those that make it so, else those that prevent it."""
    if "parts" not in told:
        return [f"{told['says']} ({_shown(told['value'])})"]
    wanted = not told["holds"] if told["says"] == "not" else told["holds"]
    return [reason for part in told["parts"] if part["holds"] == wanted for reason in reasons(part)]


def _shown(said: Any) -> str:
    if isinstance(said, list | tuple):
        return " or ".join(_shown(one) for one in said)  # pyright: ignore[reportUnknownVariableType]
    if said is None:
        return "unknown"
    if isinstance(said, bool):
        return "yes" if said else "no"
    return said.isoformat() if hasattr(said, "isoformat") else str(said)
