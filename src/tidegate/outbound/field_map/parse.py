"""Reads a field map: `name: company`, `description: {template: …}`, `customer: {email: owner}`, nested as in Stripe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, cast

from tidegate.errors.wrong import Wrong
from tidegate.outbound.field_map.nodes import Array, Column, Constant, Nested, Node, Nulls, Reference, Template, columns
from tidegate.outbound.field_map.nodes import references as references_of
from tidegate.outbound.field_map.templates import compiled
from tidegate.outbound.fields.catalogue import Field, catalogue
from tidegate.outbound.fields.read_only import READ_ONLY

WORDS = frozenset({"column", "value", "template", "nulls"})
"""The keys that say what fills a field, where the field is no object."""
NULLS = frozenset({"skip", "clear", ""})
REFERENCES: Mapping[str, str] = {
    "customer": "customers",
    "product": "products",
    "price": "prices",
    "subscription": "subscriptions",
    "invoice": "invoices",
    "coupon": "coupons",
    "promotion_code": "promotion_codes",
}
"""Fields that hold the id of another object, and of which resource."""
WAYS: Mapping[str, frozenset[str]] = {
    "customers": frozenset({"id", "email", "own_id", "metadata", "sync"}),
    "products": frozenset({"id", "metadata", "sync"}),
    "prices": frozenset({"id", "lookup_key", "metadata", "sync"}),
    "subscriptions": frozenset({"id", "metadata", "sync"}),
    "invoices": frozenset({"id", "number", "metadata", "sync"}),
    "coupons": frozenset({"id"}),
    "promotion_codes": frozenset({"id", "code"}),
}
"""By what another object is found."""


@dataclass(frozen=True, slots=True)
class FieldMap:
    """A field map of a resource, and the columns that it reads, each once, in the order of their names."""

    resource: str
    fields: Mapping[str, Node]
    columns: tuple[str, ...]
    references: tuple[Reference, ...]


def parse(resource: str, said: Mapping[str, Any]) -> tuple[FieldMap, list[Wrong]]:
    """The field map that `fields` of a sync says, and everything that is wrong with it (`fields.address.line1`)."""
    known = {**catalogue(resource, "update"), **catalogue(resource, "create")}
    wrong: list[Wrong] = []
    nested = _nested(said, known, f"{resource}", "fields", wrong)
    whole = Nested(nested)
    return FieldMap(
        resource, nested, tuple(sorted(set(columns(whole)))), tuple(dict.fromkeys(references_of(whole)))
    ), wrong


def _nested(
    said: Mapping[str, Any], known: Mapping[str, Field], resource: str, where: str, wrong: list[Wrong]
) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for name, value in said.items():
        field = known.get(name)
        if field is None:
            wrong.append(Wrong(f"{where}.{name}", _unknown(name, known, resource if where == "fields" else "")))
        elif (node := _node(value, field, f"{where}.{name}", wrong)) is not None:
            found[name] = node
    return found


def _unknown(name: str, known: Mapping[str, Field], resource: str) -> str:
    if hint := READ_ONLY.get(resource, {}).get(name):
        return f"it cannot be written: {hint}"
    near = get_close_matches(name, known, 1, 0.6)
    place = "; what Stripe has no field for goes under `metadata:`" if "metadata" in known else ""
    return f"there is no such field{f', perhaps {near[0]}' if near else ''}{place}"


def _node(value: Any, field: Field, where: str, wrong: list[Wrong]) -> Node | None:
    if isinstance(value, str):
        return Column(value)
    if isinstance(value, Sequence):
        return _array(cast("Sequence[Any]", value), field, where, wrong)
    if not isinstance(value, Mapping):
        wrong.append(Wrong(where, f"write {{value: {value!r}}} for a value that is the same for every row"))
        return None
    told = cast("Mapping[str, Any]", value)
    if field.kind == "object" and not _is_filling(told, field.fields):
        return Nested(_nested(told, field.fields, "", where, wrong))
    if field.kind == "map" and not fills_whole(told):
        return Nested(_map(told, field, where, wrong))
    if (resource := REFERENCES.get(field.name)) and not _is_filling(told, {}):
        return _reference(told, resource, where, wrong)
    return _filling(told, where, wrong)


def _map(told: Mapping[str, Any], field: Field, where: str, wrong: list[Wrong]) -> dict[str, Node]:
    item = field.item or Field(field.name, "text")
    found = {name: _node(one, item, f"{where}.{name}", wrong) for name, one in told.items()}
    return {name: one for name, one in found.items() if one is not None}


def _array(values: Sequence[Any], field: Field, where: str, wrong: list[Wrong]) -> Array | None:
    if field.kind != "list" or field.item is None:
        wrong.append(Wrong(where, "it takes no list"))
        return None
    nodes = [_node(one, field.item, f"{where}.{place}", wrong) for place, one in enumerate(values)]
    return Array(tuple(one for one in nodes if one is not None))


def _is_filling(told: Mapping[str, Any], fields: Mapping[str, Field]) -> bool:
    """Whether it says what fills the field as one, and is no object of fields."""
    return bool(told) and set(told) <= WORDS and not set(told) & set(fields)


def fills_whole(told: Mapping[str, Any]) -> bool:
    """Whether it says what fills a map as one, which is then said with its `nulls`; anything else says by name what
    fills each of the map's own, some of which may be called `column`, `value` or `template`.
    """
    others = set(told) - {"nulls"}
    return told.get("nulls") in NULLS and len(others) == 1 and others <= {"column", "template"}


def _reference(told: Mapping[str, Any], resource: str, where: str, wrong: list[Wrong]) -> Reference | None:
    ways = WAYS[resource]
    if "sync" in told and set(told) == {"sync", "key"}:
        return Reference(resource, "sync", str(told["sync"]), str(told["key"]))
    if len(told) == 1:
        [(way, by)] = told.items()
        if way == "metadata" and way in ways and isinstance(by, Mapping) and len(cast("Mapping[str, Any]", by)) == 1:
            [(key, column)] = cast("Mapping[str, Any]", by).items()
            return Reference(resource, "metadata", key, str(column))
        if way in ways - {"metadata", "sync"} and isinstance(by, str):
            return Reference(resource, way, "", by)
    shown = [f"{{{way}: COLUMN}}" for way in sorted(ways - {"metadata", "sync"})]
    shown += ["{metadata: {KEY: COLUMN}}", "{sync: SYNC, key: COLUMN}"] if "sync" in ways else []
    wrong.append(Wrong(where, f"it names one of {resource} by {', '.join(shown)}"))
    return None


def _filling(told: Mapping[str, Any], where: str, wrong: list[Wrong]) -> Node | None:
    nulls = cast(Nulls, told.get("nulls", ""))
    if nulls not in NULLS:
        wrong.append(Wrong(f"{where}.nulls", "it is skip or clear"))
    said = set(told) - {"nulls"}
    if said == {"value"} and "nulls" not in told:
        return Constant(told["value"])
    if said == {"column"}:
        return Column(str(told["column"]), nulls)
    if said == {"template"}:
        names, problem = compiled(str(told["template"]))
        if problem:
            wrong.append(Wrong(f"{where}.template", problem))
        return Template(str(told["template"]), names, nulls)
    wrong.append(
        Wrong(where, "it is filled by a column's name, {value: …}, {template: …}, or {column: …, nulls: skip}")
    )
    return None
