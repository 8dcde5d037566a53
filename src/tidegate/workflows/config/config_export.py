"""Writes the hub as tidegate.yaml: a file that, applied, changes nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from tidegate.catalog import features, mappings, packages
from tidegate.connections import accounts
from tidegate.revenue import editions
from tidegate.revenue.editions import Terms
from tidegate.workflows.config import (
    config_actions,
    config_destinations,
    config_ignored,
    config_lifecycle,
    config_outbound,
    config_people,
    config_suppression,
)


def export(db: Connection) -> dict[str, Any]:
    """The sections of the file as plain values; those with nothing in them are left out.

    A draft is no part of it. `connection` stands where there are several.
    """
    several = len(accounts.every(db)) > 1
    sections: dict[str, Any] = {
        "features": [feature_entry(one) for one in features.every(db)],
        "packages": [package_entry(one) for one in packages.every(db)],
        "mappings": [mapping_entry(one, several=several) for one in _in_order(mappings.every(db))],
        **config_ignored.export(db, several),
        "contacts": _contacts(db, several),
        "revenue": _revenue(db, several),
        **config_outbound.export(db, several),
        **config_lifecycle.export(db),
        **config_suppression.export(db),
        **config_destinations.export(db),
        **config_actions.export(db),
        **config_people.export(db),
    }
    return {name: section for name, section in sections.items() if section}


def feature_entry(row: Mapping[str, Any]) -> dict[str, Any]:
    """A feature as an entry of the file."""
    entry: dict[str, Any] = {"key": row["key"], "type": row["type"], "name": row["name"], "unit": row["unit"]}
    entry["meter"] = row["meter"]
    entry["reset"] = row["reset"] if row["reset"] != "month" else ""
    return {name: value for name, value in entry.items() if value}


def package_entry(row: Mapping[str, Any]) -> dict[str, Any]:
    """A package, with what its newest version gives, as an entry of the file."""
    entry: dict[str, Any] = {"key": row["key"]}
    if row["name"]:
        entry["name"] = row["name"]
    if row["kind"] != "base":
        entry["kind"] = row["kind"]
    if row.get("is_default"):
        entry["default"] = True
    if row["features"] is not None:
        entry["features"] = {key: said or True for key, said in row["features"].items()}
    if row.get("prices"):
        entry["prices"] = [dict(one) for one in row["prices"]]
    return entry


def mapping_entry(row: Mapping[str, Any], *, several: bool) -> dict[str, Any]:
    """A mapping as an entry of the file."""
    names = ("price", "product", "package", "feature")
    entry = {name: row[name] for name in names if row[name]}
    entry |= row["terms"] or {}
    entry["per_quantity"] = row["per_quantity"]
    return entry | ({"connection": row["connection"]} if several else {})


def _in_order(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda row: (row["connection"], row["product"] or "", row["price"] or ""))


def _contacts(db: Connection, several: bool) -> Any:
    statement = text("select connection, settings from tidegate.contact_settings order by connection")
    found = [(row.connection, row.settings) for row in db.execute(statement)]
    if not several:
        return dict(found[0][1]) if found else {}
    return [{**settings, "connection": connection} for connection, settings in found]


def _revenue(db: Connection, several: bool) -> Any:
    """By what ledgers are kept, where somebody chose it."""
    found: list[dict[str, Any]] = []
    for account in accounts.every(db):
        if editions.current(db, account.name) is None:
            continue
        terms = editions.terms(db, account.name)
        if terms != Terms("default", {}, "", terms.time_zone):
            found.append(terms.as_entry() | ({"connection": account.name} if several else {}))
    return found if several else found[0] if found else {}
