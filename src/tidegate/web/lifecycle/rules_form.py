"""What the forms of stages and segments share: rules as they are typed, and who moves by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from tidegate.conditions.contact_fields import CONTACT_FIELDS
from tidegate.conditions.operators import operators_of
from tidegate.contacts import directory
from tidegate.errors import ContactUnknown
from tidegate.errors.wrong import Wrong
from tidegate.lifecycle.rules import Rule, named
from tidegate.web.pages import Texts
from tidegate.web.typed_yaml import typed, written
from tidegate.workflows.lifecycle.lifecycle_rules import Preview


@dataclass(frozen=True, slots=True)
class Row:
    """A rule as it is typed; `when`: YAML, empty for whoever no other stage takes."""

    key: str
    name: str = ""
    when: str = ""

    @classmethod
    def of(cls, rule: Rule) -> "Row":
        """The row of a rule that holds."""
        return cls(rule.key, rule.name, written(rule.when))

    def said(self) -> tuple[dict[str, Any], str]:
        """As the API would be told it, and what is wrong with its YAML."""
        when, wrong = typed(self.when)
        told: dict[str, Any] = {"key": self.key, "name": self.name}
        return told | ({"when": when} if when is not None else {}), wrong


def beside(wrong: Sequence[Wrong], rows: Sequence[Row], what: str) -> Texts:
    """Faults by the field that they stand beside: `when.2`, `key.2`, and `whole` for what no row is to blame for."""
    found: dict[str, list[str]] = {}
    for fault in wrong:
        head, _, rest = fault.where.partition(".")
        if head == what and rest.isdecimal():
            found.setdefault(f"key.{rest}", []).append(fault.problem)
            continue
        places = [place for place, row in enumerate(rows) if row.key == head]
        for place in places:
            inner = rest.removeprefix("when").removeprefix(".")
            field = f"when.{place}" if rest else f"key.{place}"
            found.setdefault(field, []).append(f"{inner}: {fault.problem}" if inner else fault.problem)
        if not places:
            found.setdefault("whole", []).append(fault.problem)
    return Texts({field: "; ".join(problems) for field, problems in found.items()})


def effect(db: Connection, found: Preview, *, livemode: bool) -> dict[str, Any]:
    """Who would move, for the page: the numbers, and the first by name."""
    first: list[directory.Contact] = []
    for key in found.sample:
        try:
            one = directory.of_key(db, key)
        except ContactUnknown:  # it was merged or erased just now
            continue
        if one.livemode is livemode:
            first.append(one)
    return found.as_json() | {"first": [{"contact": one.ref, "name": one.name} for one in first]}


def catalogue() -> list[Mapping[str, Any]]:
    """What a condition may ask for: {name, is_a, says, operators}, and the conditions that have names."""
    fields = [
        {"name": one.name, "is_a": one.is_a, "says": one.says, "operators": operators_of(one.kind)}
        for one in CONTACT_FIELDS.known.values()
    ]
    yours = {"name": "properties.…", "is_a": "of any kind", "says": "a property of yours"}
    return [*fields, yours | {"operators": operators_of("any")}]


def conditions() -> Sequence[str]:
    """Names of conditions that others can name."""
    return tuple(named())
