"""Suggestions of a connection, and their acceptance in one transaction that grants what they give."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine

from tidegate.catalog import features, journal, mappings, packages, seen
from tidegate.catalog.features import nearest
from tidegate.catalog.mappings import Wanted
from tidegate.catalog.proposals import Left, Suggestion
from tidegate.catalog.suggestions import suggest
from tidegate.errors import CatalogUnknown
from tidegate.workflows.catalog.catalog_changes import map_source
from tidegate.workflows.previewing import Change, Preview, commit
from tidegate.workflows.refresh import tell_unmapped


def found(db: Connection, connection: str) -> tuple[list[Suggestion], list[Left]]:
    """What is suggested for a connection, and what is left to a person."""
    return suggest(seen.products(db, connection), seen.known(db))


def found_of(db: Connection, connection: str, told: Sequence[Mapping[str, Any]]) -> tuple[list[Suggestion], list[Left]]:
    """The same of what report `seen` told: by whom products are had may be old, what is mapped is not."""
    return suggest(seen.as_mapped(db, connection, seen.from_json(told)), seen.known(db))


def chosen(suggestions: Sequence[Suggestion], names: Sequence[str]) -> list[Suggestion]:
    """Those of these names (`package:pro`, or `pro`); without names all. Raises CatalogUnknown."""
    known = {one.name: one for one in suggestions} | {one.key: one for one in reversed(suggestions)}
    for name in names:
        if name not in known:
            raise CatalogUnknown(what="suggestion", key=name, nearest=nearest(name, list(known)), list="mappings")
    return [known[name] for name in dict.fromkeys(names)] if names else list(suggestions)


def accept(engine: Engine, connection: str, wanted: Sequence[Suggestion], by: str) -> Preview:
    """Makes the features, packages and mappings, and grants what they give; all or nothing.

    The result names the mappings: removing those undoes it.
    """
    return commit(engine, acceptance(connection, wanted, by), None)


def acceptance(connection: str, wanted: Sequence[Suggestion], by: str) -> Change:
    """The same as a change, to be previewed."""

    def do(db: Connection) -> dict[str, Any]:
        made: list[dict[str, Any]] = []
        for one in wanted:
            numbers = _made(db, connection, one, by)
            journal.note(db, by, "suggestion.accepted", one.name, connection=connection, mappings=numbers)
            made.append({"name": one.name, "mappings": numbers})
        tell_unmapped(db, connection)
        return {"accepted": made}

    def touched(db: Connection) -> list[int]:
        of = {(row.get("price"), row.get("product")) for one in wanted for row in one.mappings}
        return [key for price, product in of for key in mappings.touched(db, connection, price, product)]

    what = {"change": "suggestions", "connection": connection, "wanted": [entries([one]) for one in wanted]}
    return Change(what, touched, do)


def entries(suggestions: Sequence[Suggestion]) -> dict[str, list[dict[str, Any]]]:
    """The suggestions as sections of tidegate.yaml."""
    defined = {feature["key"]: feature for one in suggestions for feature in one.features}
    sections = {
        "features": list(defined.values()),
        "packages": [one.package for one in suggestions if one.package is not None],
        "mappings": [dict(row) for one in suggestions for row in one.mappings],
    }
    return {name: section for name, section in sections.items() if section}


def as_json(one: Suggestion) -> dict[str, Any]:
    """A suggestion as the API and `--json` answer it."""
    names = ("name", "kind", "key", "why", "subscriptions", "customers", "contacts", "features", "package", "mappings")
    return {name: getattr(one, name) for name in names}


def _made(db: Connection, connection: str, one: Suggestion, by: str) -> list[int]:
    for feature in one.features:
        said = dict(feature)
        features.define(db, said.pop("key"), said.pop("type"), **said)
    if one.package is not None:
        said = dict(one.package)
        given, key = said.pop("features"), said.pop("key")
        packages.define(db, key, **said)
        if packages.draft(db, key, given):
            packages.publish(db, key)
    return [_mapped(db, connection, row, by) for row in one.mappings]


def _mapped(db: Connection, connection: str, row: Mapping[str, Any], by: str) -> int:
    terms = {name: row[name] for name in ("limit", "unlimited", "value", "reset") if name in row}
    wanted = Wanted(
        connection,
        row.get("price"),
        row.get("product"),
        row.get("package"),
        row.get("feature"),
        terms or None,
        row["per_quantity"],
        by=by,
    )
    return int(map_source(db, wanted, keep_holders=True)["mapping"])
