"""A field map as rows of a form, one for each field that is filled, and back (pure)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tidegate.outbound.field_map.parse import REFERENCES, WAYS, WORDS, fills_whole
from tidegate.outbound.fields.catalogue import Field, catalogue, create_only

HOWS: Mapping[str, str] = {
    "column": "column",
    "value": "constant",
    "template": "Liquid template",
    "email": "id, by the e-mail in column",
    "own_id": "id, by your id in column",
    "lookup_key": "id, by the lookup key in column",
    "number": "id, by the number in column",
    "code": "id, by the code in column",
    "json": "as in tidegate.yaml (JSON)",
}
"""What fills a field, and how the form says it."""
NULLS = ("", "skip", "clear")
DEEPEST = 4
LONGEST_NUMBER = 6
"""Digits of a place in a list, and of how many rows there are; more are no number."""


@dataclass(frozen=True, slots=True)
class Row:
    """A field (`address.city`, `items.0.price`, `metadata.tier`), what fills it, from where, and what a null does."""

    name: str
    how: str = "column"
    value: str = ""
    nulls: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """A field of the catalogue as it is listed: `kind`, whether it has to be said when an object is created, whether it
    is given only then, whether an empty value takes away what is there, and the values that there are.
    """

    name: str
    kind: str
    required: bool
    create_only: bool
    clearable: bool
    choices: Sequence[str]


def fields_of(resource: str, rows: Sequence[Row]) -> dict[str, Any]:
    """The `fields` of a sync that rows say. A later row takes the place of one of the same name."""
    found: dict[str, Any] = {}
    for row in rows:
        if row.name:
            _put(found, _path(row.name), _node(resource, row))
    return _listed(found)


def rows_of(fields: Mapping[str, Any]) -> list[Row]:
    """The rows that say `fields`."""
    return [row for name, said in fields.items() for row in _rows((name,), said)]


def known_fields(resource: str) -> list[Known]:
    """What can be written, nested fields by dotted names, those of lists with the place 0."""
    try:
        created, only = catalogue(resource, "create"), create_only(resource)
    except KeyError:
        return []
    return [one for name, field in sorted(created.items()) for one in _known((name,), field, name in only)]


def _known(path: tuple[str, ...], field: Field, only: bool) -> Iterator[Known]:
    if len(path) > DEEPEST:
        return
    if field.kind == "object" and field.fields:
        for name, one in sorted(field.fields.items()):
            yield from _known((*path, name), one, only)
    elif field.kind == "list" and field.item is not None:
        yield from _known((*path, "0"), field.item, only)
    elif field.kind == "map":
        yield Known(".".join((*path, "…")), (field.item or field).kind, False, only, field.clearable, ())
    else:
        required = field.required and len(path) == 1
        yield Known(".".join(path), field.kind, required, only, field.clearable, field.choices)


def _path(name: str) -> tuple[str, ...]:
    """The parts of a name; what follows `metadata`, or `properties` at the beginning, is one, whatever it holds."""
    parts = name.split(".")
    if "metadata" in parts[:-1] or parts[0] == "properties":
        at = (parts.index("metadata") if "metadata" in parts[:-1] else 0) + 1
        return tuple(one for one in (*parts[:at], ".".join(parts[at:])) if one)
    return tuple(parts)


def _put(into: dict[str, Any], path: Sequence[str], node: Any) -> None:
    first, *rest = path
    if not rest:
        into[first] = node
        return
    within = into.get(first)
    if not isinstance(within, dict):
        within = into[first] = {}
    _put(cast("dict[str, Any]", within), rest, node)


def _listed(said: Any) -> Any:
    """The same, mappings by places as lists."""
    if not isinstance(said, dict):
        return said
    told = cast("dict[str, Any]", said)
    made = {name: one if _is_map((name,)) else _listed(one) for name, one in told.items()}
    if made and all(name.isdecimal() and len(name) <= LONGEST_NUMBER for name in made):
        return [made[name] for name in sorted(made, key=int)]
    return made


def _is_map(path: Sequence[str]) -> bool:
    """Whether a field holds what has names of your own."""
    return path[-1] == "metadata" or tuple(path) == ("properties",)


def _node(resource: str, row: Row) -> Any:
    whole = _is_map(_path(row.name))
    nulls = {"nulls": row.nulls} if row.nulls or whole else {}
    match row.how:
        case "column" if whole and not row.nulls:
            return row.value
        case "value":
            value = _constant(resource, row)
            if whole and isinstance(value, dict):
                return {name: {"value": one} for name, one in cast("dict[str, Any]", value).items()}
            return {"value": value}
        case "template":
            return {"template": row.value, **nulls}
        case "json":
            try:
                return json.loads(row.value)
            except ValueError:
                return None  # a field map says what it could be
        case "column":
            return {"column": row.value, **nulls} if nulls else row.value
        case _:
            return {row.how: row.value}


def _constant(resource: str, row: Row) -> Any:
    """A constant by the field's type: of a text what was typed, else what it is as JSON, if it is any."""
    field = _field(resource, row.name)
    if field is None or field.kind == "text":
        return row.value
    try:
        return json.loads(row.value)
    except ValueError:
        return row.value


def _field(resource: str, name: str) -> Field | None:
    fields: Mapping[str, Field] = catalogue(resource, "create")
    found: Field | None = None
    for part in _path(name):
        if found is not None and found.kind in {"list", "map"}:
            found = found.item
        else:
            found = (fields if found is None else found.fields).get(part)
        if found is None:
            return None
    return found


def _rows(path: tuple[str, ...], said: Any) -> Iterator[Row]:
    name = ".".join(path)
    if isinstance(said, str):
        yield Row(name, "column", said)
    elif isinstance(said, Mapping):
        yield from _rows_of_mapping(path, name, cast("Mapping[str, Any]", said))
    elif isinstance(said, Sequence) and said:
        for place, one in enumerate(cast("Sequence[Any]", said)):
            yield from _rows((*path, str(place)), one)
    else:
        yield Row(name, "json", json.dumps(said))


def _rows_of_mapping(path: tuple[str, ...], name: str, said: Mapping[str, Any]) -> Iterator[Row]:
    nulls = str(said.get("nulls", ""))
    how = next(iter(set(said) - {"nulls"}), "")
    value = said.get(how)
    filling = fills_whole(said) if _is_map(path) else set(said) <= WORDS and len(set(said) - {"nulls"}) == 1
    if said and filling:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield Row(name, how, text, nulls)
    elif path[-1] in REFERENCES:
        simple = len(said) == 1 and isinstance(value, str) and how in WAYS[REFERENCES[path[-1]]] & HOWS.keys()
        yield Row(name, how, str(value)) if simple else Row(name, "json", json.dumps(said, ensure_ascii=False))
    elif said:
        for part, one in said.items():
            yield from _rows((*path, part), one)
    else:
        yield Row(name, "json", "{}")
