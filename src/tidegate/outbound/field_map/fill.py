"""Fills a field map with a row: the payload, what is wrong with it, and what it waits for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

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
Row = Mapping[str, Any]


@dataclass(slots=True)
class Filled:
    """A payload before it is checked. `waits`: for what does not exist yet; then the row is held."""

    payload: dict[str, Any] = field(default_factory=dict[str, Any])
    problems: list[Problem] = field(default_factory=list[Problem])
    waits: list[Sought] = field(default_factory=list[Sought])


Fill = Callable[[Row, Known, Filled], Any]
"""What a part of a field map makes of a row; `SKIP`: nothing."""


def sought(field_map: FieldMap, row: Row) -> list[Sought]:
    """The objects that a row names by its references; a null names none, and an id needs no look-up."""
    found = [named(one, row[one.column]) for one in field_map.references if one.way != "id"]
    return [one for one in found if one is not None]


def filler(field_map: FieldMap, fields: Mapping[str, Field]) -> Callable[[Row, Known], Filled]:
    """Makes what fills rows for an operation that takes `fields`; fields of the other operation are left out."""
    parts = _parts([(name, node, fields[name], name) for name, node in field_map.fields.items() if name in fields])

    def fill(row: Row, known: Known) -> Filled:
        found = Filled()
        _put(found.payload, parts, row, known, found)
        return found

    return fill


class _Columns(NamedTuple):
    """Fields one after the other that are a plain column each, which is most of them: for these nothing is called.
    `values` takes theirs out of a row; `nulls`: what is said where one is null.
    """

    names: Sequence[str]
    values: Callable[[Row], Sequence[Any]]
    nulls: Sequence[Any]


class _Part(NamedTuple):
    """A field and what else fills it."""

    name: str
    fill: Fill


_Told = tuple[str, Node, Field | None, str]
"""A field's name, what fills it, what the catalogue tells of it, and its path."""


def _parts(told: Sequence[_Told]) -> list[_Columns | _Part]:
    found: list[_Columns | _Part] = []
    for plain, run in groupby(told, lambda one: isinstance(one[1], Column)):
        those = list(run)
        found += [_columns(those)] if plain else [_Part(name, _fill(node, of, at)) for name, node, of, at in those]
    return found


def _columns(told: Sequence[_Told]) -> _Columns:
    nodes = [(node, of) for _, node, of, _ in told if isinstance(node, Column)]
    take = itemgetter(*(node.name for node, _ in nodes))
    values: Callable[[Row], Sequence[Any]] = take if len(nodes) > 1 else lambda row: (take(row),)
    return _Columns([name for name, *_ in told], values, [_null(of, node.nulls) for node, of in nodes])


def _put(into: dict[str, Any], parts: Sequence[_Columns | _Part], row: Row, known: Known, found: Filled) -> None:
    for part in parts:
        if isinstance(part, _Part):
            if (value := part.fill(row, known, found)) is not SKIP:
                into[part.name] = value
            continue
        values = part.values(row)
        if None not in values:
            into.update(zip(part.names, values, strict=True))
            continue
        for name, value, null in zip(part.names, values, part.nulls, strict=True):
            if (said := null if value is None else value) is not SKIP:
                into[name] = said


def _fill(node: Node, told: Field | None, path: str) -> Fill:
    match node:
        case Column(name, nulls):
            return _column(name, _null(told, nulls))
        case Constant(value):
            return lambda _row, _known, _found: value
        case Template(source, _, nulls):
            return _template(source, _null(told, nulls), path)
        case Reference():
            return lambda row, known, found: _referred(node, path, row, known, found)
        case Nested(fields):
            return _nested(fields, told, path)
        case Array(entries):
            return _array(entries, told, path)


def _column(name: str, null: Any) -> Fill:
    def fill(row: Row, _known: Known, _found: Filled) -> Any:
        value = row[name]
        return null if value is None else value

    return fill


def _null(told: Field | None, nulls: Nulls) -> Any:
    """Null takes away what is there, where the field can be cleared and nothing else is said."""
    if nulls == "clear" or (nulls != "skip" and (told is None or told.clearable)):
        return ""
    return SKIP


def _template(source: str, null: Any, path: str) -> Fill:
    def fill(row: Row, _known: Known, found: Filled) -> Any:
        try:
            value = templates.written(source, row)
        except ValueError as wrong:
            found.problems.append(Problem(path, str(wrong)))
            return SKIP
        return value if value.strip() else null

    return fill


def _nested(fields: Mapping[str, Node], told: Field | None, path: str) -> Fill:
    """An object; of a map each value is a field that can be cleared. Where all values are null, it is, unless one of
    them is to be skipped then.
    """
    skips = told is None or told.kind == "map" or any(getattr(one, "nulls", "") == "skip" for one in fields.values())
    null = SKIP if skips else _null(told, "")
    inner = told.fields if told and told.kind == "object" else None
    parts = _parts(
        [
            (name, one, inner[name] if inner else None, f"{path}.{name}")
            for name, one in fields.items()
            if inner is None or name in inner
        ]
    )

    def fill(row: Row, known: Known, found: Filled) -> Any:
        filled_in: dict[str, Any] = {}
        _put(filled_in, parts, row, known, found)
        if filled_in and (null is SKIP or any(value != "" for value in filled_in.values())):
            return filled_in
        return SKIP if found.waits or found.problems else null

    return fill


def _array(entries: Sequence[Node], told: Field | None, path: str) -> Fill:
    item, null = told.item if told else None, _null(told, "")
    parts = [_fill(one, item, f"{path}.{at}") for at, one in enumerate(entries)]

    def fill(row: Row, known: Known, found: Filled) -> Any:
        kept = [value for part in parts if (value := part(row, known, found)) is not SKIP]
        return kept or (SKIP if found.waits else null)

    return fill


def _referred(node: Reference, path: str, row: Row, known: Known, found: Filled) -> Any:
    wanted = named(node, row[node.column])
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


def named(node: Reference, value: Any) -> Sought | None:
    """The object that a reference names where its column says a value; None: none."""
    if value is None or value == "":
        return None
    said = values.told(value).strip()
    return Sought(node.resource, node.way, node.name, said.lower() if node.way == "email" else said)
