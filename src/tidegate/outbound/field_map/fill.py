"""Fills a field map with a row: the payload, what is wrong with it, and what it waits for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tidegate.outbound.field_map import templates
from tidegate.outbound.field_map.nodes import Array, Column, Constant, Nested, Node, Nulls, Reference, Template
from tidegate.outbound.field_map.parse import FieldMap
from tidegate.outbound.fields import values
from tidegate.outbound.fields.catalogue import Field
from tidegate.outbound.fields.problems import Problem

SKIP: Final = object()
"""Nothing to be said of the field."""


@dataclass(frozen=True, slots=True)
class Sought:
    """An object that a row names: what of its resource is what."""

    resource: str
    way: str
    name: str
    value: str

    def __str__(self) -> str:
        what = self.way.replace("_", " ") if self.way not in {"metadata", "sync"} else f"{self.way} {self.name}"
        return f"{self.resource} with {what} {self.value}"


Known = Mapping[Sought, tuple[str, ...]]
"""The ids of the objects that rows name; several where it is not clear, none where there is none yet."""


@dataclass(slots=True)
class Filled:
    """A payload before it is checked. `waits`: for what does not exist yet; then the row is held."""

    payload: dict[str, Any] = field(default_factory=dict[str, Any])
    problems: list[Problem] = field(default_factory=list[Problem])
    waits: list[Sought] = field(default_factory=list[Sought])


def sought(field_map: FieldMap, row: Mapping[str, Any]) -> list[Sought]:
    """The objects that a row names by its references; a null names none, and an id needs no look-up."""
    found = [_sought(one, row) for one in field_map.references if one.way != "id"]
    return [one for one in found if one is not None]


def filled(field_map: FieldMap, row: Mapping[str, Any], fields: Mapping[str, Field], known: Known) -> Filled:
    """The payload of a row for an operation that takes `fields`; fields of the other operation are left out."""
    found = Filled()
    for name, node in field_map.fields.items():
        if name in fields and (value := _value(node, fields[name], name, row, known, found)) is not SKIP:
            found.payload[name] = value
    return found


def _value(node: Node, told: Field | None, path: str, row: Mapping[str, Any], known: Known, found: Filled) -> Any:
    match node:
        case Column(name, nulls):
            value = row[name]
            return value if value is not None else _null(told, nulls)
        case Constant(value):
            return value
        case Template(source, _, nulls):
            return _written(source, nulls, told, path, row, found)
        case Reference():
            return _referred(node, path, row, known, found)
        case Nested(fields):
            return _nested(fields, told, path, row, known, found)
        case Array(entries):
            item = told.item if told else None
            every = [_value(one, item, f"{path}.{at}", row, known, found) for at, one in enumerate(entries)]
            kept = [one for one in every if one is not SKIP]
            return kept or (SKIP if found.waits else _null(told, ""))


def _null(told: Field | None, nulls: Nulls) -> Any:
    """Null takes away what is there, where the field can be cleared and nothing else is said."""
    if nulls == "clear" or (nulls != "skip" and (told is None or told.clearable)):
        return ""
    return SKIP


def _written(source: str, nulls: Nulls, told: Field | None, path: str, row: Mapping[str, Any], found: Filled) -> Any:
    try:
        value = templates.written(source, row)
    except ValueError as wrong:
        found.problems.append(Problem(path, str(wrong)))
        return SKIP
    return value if value.strip() else _null(told, nulls)


def _nested(
    fields: Mapping[str, Node], told: Field | None, path: str, row: Mapping[str, Any], known: Known, found: Filled
) -> Any:
    """An object; of a map each value is a field that can be cleared. Without any value it is nothing."""
    inner = told.fields if told and told.kind == "object" else None
    filled_in: dict[str, Any] = {}
    for name, one in fields.items():
        if inner is not None and name not in inner:
            continue
        value = _value(one, inner[name] if inner else None, f"{path}.{name}", row, known, found)
        if value is not SKIP:
            filled_in[name] = value
    return filled_in or SKIP


def _referred(node: Reference, path: str, row: Mapping[str, Any], known: Known, found: Filled) -> Any:
    wanted = _sought(node, row)
    if wanted is None:
        return SKIP
    if node.way == "id":
        return wanted.value
    match known.get(wanted, ()):
        case (one,):
            return one
        case ():
            found.waits.append(wanted)
        case several:
            found.problems.append(Problem(path, f"several {wanted}: {', '.join(several)}", wanted.value))
    return SKIP


def _sought(node: Reference, row: Mapping[str, Any]) -> Sought | None:
    value = row[node.column]
    if value is None or value == "":
        return None
    said = values.told(value).strip()
    return Sought(node.resource, node.way, node.name, said.casefold() if node.way == "email" else said)
