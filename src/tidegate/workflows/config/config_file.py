"""tidegate.yaml and the hub: what differs, made so in one transaction with its effect shown first, and written out."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.catalog import features, journal, mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.contacts import policy
from tidegate.entitlements.grants import derive_grants
from tidegate.errors import CatalogInvalid, CatalogUnknown, UsageError
from tidegate.revenue import editions
from tidegate.revenue.editions import Terms
from tidegate.workflows.catalog import catalog_changes
from tidegate.workflows.config import (
    config_actions,
    config_destinations,
    config_ignored,
    config_lifecycle,
    config_outbound,
    config_people,
    config_suppression,
)
from tidegate.workflows.config.config_sections import ContactsEntry, MappingEntry, PackageEntry, RevenueEntry, Sections
from tidegate.workflows.config.config_steps import FILE, MATCHED, Applying, noted
from tidegate.workflows.contacts import contacts_settings
from tidegate.workflows.lifecycle.lifecycle import keep_due
from tidegate.workflows.previewing import Apart, Change, Prepared
from tidegate.workflows.refresh import refresh_changed, tell_unmapped
from tidegate.workflows.revenue import ledger_policy


def apply(sections: Sections, by: str, *, prune: bool = False, keep_holders: bool = True) -> Change:
    """Makes the hub what the file says; the result is `{"steps": […], "matched": {…}}`. Its preview is the plan.

    What the file managed and names no longer stays and may be changed elsewhere from then on; with `prune` it is
    removed. What it never managed is left alone. Where contact settings change, all is stored at once and customers are
    matched under them by batches. Raises ConfigInvalid, with the line.
    """
    begun: list[Applying] = []

    def prepare(db: Connection) -> Prepared:
        begun[:] = [Applying(sections, by, prune, keep_holders)]
        return _match(db, begun[0])

    def do(db: Connection) -> dict[str, Any]:
        return _apply(db, begun[0])

    def needs_batches(db: Connection) -> bool:
        return bool(_differing(db, Applying(sections, by)))

    def do_apart(db: Connection) -> dict[str, Any]:
        begun.append(Applying(sections, by, prune, keep_holders, later=True, matching=begun[0].matching))
        return _apply(db, begun[-1])

    def finish(engine: Engine) -> None:
        with engine.connect() as db:
            named = {_connection(db, sections, one) for one in (*(sections.contacts or ()), *(sections.revenue or ()))}
            waiting = [accounts.named(db, connection) for connection in sorted(named)]
        for account in waiting:
            refresh_changed(engine, account)

    def beforehand(engine: Engine) -> None:
        with engine.connect() as db:
            other = list(_other_terms(db, Applying(sections, by)))
        if other:
            keep_due(engine)  # what happened to contacts before they are worth something else is told

    what = {"change": "config", "values": sections.document.values, "prune": prune, "keep_holders": keep_holders}
    apart = Apart(needs_batches, do_apart, finish)
    return Change(what, lambda db: _touched(db, sections, prune), do, prepare, apart=apart, beforehand=beforehand)


def _apply(db: Connection, applying: Applying) -> dict[str, Any]:
    sections = (
        _features,
        _packages,
        _mappings,
        _contacts,
        _revenue,
        config_outbound.define,
        config_lifecycle.define,
        config_outbound.leave,
        config_suppression.define,
        config_suppression.leave,
        config_destinations.define,
        config_actions.define,
        config_actions.leave,
        config_people.define,
        config_people.leave,
        config_destinations.leave,
        _leave,
        config_ignored.define,
        config_ignored.leave,
    )
    for section in sections:
        section(db, applying)
    if any(step.section in ("mappings", config_ignored.SECTION) for step in applying.steps):
        for account in accounts.every(db):
            tell_unmapped(db, account.name)
    if applying.steps:
        journal.note(db, applying.by, "config.applied", applying.sections.document.file, steps=len(applying.steps))
    matched = {
        connection: {name: getattr(one.effect, name) for name in MATCHED}
        for connection, one in applying.matching.items()
    }
    return {"steps": [step.as_json() for step in applying.steps], "matched": matched}


def _features(db: Connection, applying: Applying) -> None:
    known = {one["key"]: one for one in features.every(db)}
    for entry in applying.sections.features or ():
        said = {name: getattr(entry, name) for name in ("name", "unit", "reset", "meter")} | {"managed_by": FILE}
        with applying.at(entry):
            if features.define(db, entry.key, entry.type, **said):
                noted(applying, "features", entry.key, known.get(entry.key), said | {"type": entry.type})


def _packages(db: Connection, applying: Applying) -> None:
    known = {one["key"]: one for one in packages.every(db)}
    for entry in applying.sections.packages or ():
        said = _said(entry)
        with applying.at(entry):
            if packages.define(db, entry.key, **said):
                now = packages.one(db, entry.key)
                noted(applying, "packages", entry.key, known.get(entry.key), {name: now[name] for name in said})
            if entry.features is not None and packages.draft(db, entry.key, entry.features, by_file=True):
                before = known.get(entry.key, {}).get("features")
                version = packages.publish(db, entry.key, by_file=True)
                newest = packages.newest_version(db, entry.key)
                now = newest["features"] if newest else None
                applying.note("publish", "packages", entry.key, version=version, before=before, now=now)


def _said(entry: PackageEntry) -> dict[str, Any]:
    """The arguments of `packages.define`."""
    said = {"name": entry.name, "kind": entry.kind, "is_default": entry.default}
    return said | {"prices": entry.prices, "managed_by": FILE}


def _mappings(db: Connection, applying: Applying) -> None:
    for entry in applying.sections.mappings or ():
        with applying.at(entry):
            wanted = _wanted(db, applying.sections, entry, applying.by)
            known = mappings.in_force(db, wanted.connection, wanted.price, wanted.product)
            result = catalog_changes.map_source(db, wanted, applying.keep_holders)
            if result["changed"]:
                now = mappings.one(db, result["mapping"])
                kept = {"kept": result["kept"]} if result["kept"] else {}
                noted(
                    applying,
                    "mappings",
                    mappings.shown(now),
                    known,
                    {name: now[name] for name in mappings.MEANING},
                    **kept,
                )


def _connection(db: Connection, sections: Sections, entry: MappingEntry | ContactsEntry | RevenueEntry) -> str:
    """The connection that an entry names, or the only one. Raises ConfigInvalid, with the line."""
    try:
        return accounts.named(db, entry.connection).name
    except UsageError as error:
        told = str(error).replace("`--connection NAME`", "`connection: NAME`")
        raise sections.document.wrong(sections.of(entry), told) from error


def _wanted(db: Connection, sections: Sections, entry: MappingEntry, by: str) -> Wanted:
    return Wanted(
        _connection(db, sections, entry),
        entry.price,
        entry.product,
        entry.package,
        entry.feature,
        entry.terms,
        entry.per_quantity,
        FILE,
        by,
    )


def _differing(db: Connection, applying: Applying) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """By connection the contact settings that are stored and those that the file has, where they differ."""
    found: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for entry in applying.sections.contacts or ():
        with applying.at(entry):
            connection = _connection(db, applying.sections, entry)
            wanted, before = policy.checked(entry.settings), policy.stored(db, connection)
            if before != wanted:
                found[connection] = before, wanted
    return found


def _match(db: Connection, applying: Applying) -> Prepared:
    """Matches the customers of connections whose contact settings change: whom that concerns is known then."""
    for connection, (before, wanted) in _differing(db, applying).items():
        account = accounts.named(db, connection)
        applying.matching[connection] = contacts_settings.match_under(db, account, before, wanted)
    each = [one.prepared() for one in applying.matching.values()]
    contacts = {key for one in each for key in one.contacts}
    return Prepared(contacts, {key for one in each for key in one.made}, [one.covered for one in each])


def _contacts(db: Connection, applying: Applying) -> None:
    for entry in applying.sections.contacts or ():
        with applying.at(entry):
            connection = _connection(db, applying.sections, entry)
            wanted, known = policy.checked(entry.settings), _settings(db, connection)
            if known is not None and known == {"settings": wanted, "managed_by": FILE}:
                continue
            if applying.later and connection in applying.matching:
                account = accounts.named(db, connection)
                contacts_settings.store(db, account, policy.stored(db, connection), wanted, managed_by=FILE)
            else:
                policy.store(db, connection, wanted, managed_by=FILE)
            noted(applying, "contacts", connection, known and known["settings"] | {"managed_by": ""}, wanted)


def _revenue(db: Connection, applying: Applying) -> None:
    for entry, account, known, wanted in _other_terms(db, applying):
        with applying.at(entry):
            said = {"managed_by": known.managed_by, **known.as_entry()}
            noted(applying, "revenue", account.name, said, wanted.as_entry())
            ledger_policy.adopted(db, account, wanted, applying.by)


def _other_terms(db: Connection, applying: Applying) -> Iterator[tuple[RevenueEntry, Account, Terms, Terms]]:
    """Entries for connections whose ledger is kept by other terms: those that are in force, and the entry's."""
    for entry in applying.sections.revenue or ():
        with applying.at(entry):
            account = accounts.named(db, _connection(db, applying.sections, entry))
            known = editions.terms(db, account.name)
            wanted = replace(_terms(entry, known), managed_by=FILE).checked()
            if known != wanted:
                yield entry, account, known, wanted


def _terms(entry: RevenueEntry, known: Terms) -> Terms:
    zone = entry.time_zone or known.time_zone
    return Terms(entry.policy, entry.settings, entry.base_currency.lower(), zone, entry.identity)


def _leave(db: Connection, applying: Applying) -> None:
    """What the file managed and names no longer: mappings first, since they name the others."""
    gone = _dropped(db, applying.sections)
    for row in gone["mappings"]:
        subject, number = mappings.shown(row), row["id"]
        if not applying.prune:
            mappings.release(db, number)
            applying.note("release", "mappings", subject)
            continue
        touched = mappings.touched(db, row["connection"], row["price"], row["product"])
        result = catalog_changes.unmap(db, number, applying.by, applying.keep_holders, by_file=True)
        derive_grants(db, touched)  # else what follows would still be in use
        applying.note("remove", "mappings", subject, **({"kept": result["kept"]} if result["kept"] else {}))
    for section, remove, release in (
        ("packages", catalog_changes.remove_package, packages.release),
        ("features", catalog_changes.remove_feature, features.release),
    ):
        for key in gone[section]:
            if applying.prune:
                with applying.pruning():
                    remove(db, key, applying.by, by_file=True)
            else:
                release(db, key)
            applying.note("remove" if applying.prune else "release", section, key)


def _dropped(db: Connection, sections: Sections) -> dict[str, list[Any]]:
    """What is managed by the file and no longer in it, of the sections that the file has."""
    found: dict[str, list[Any]] = {"features": [], "packages": [], "mappings": []}
    if sections.features is not None:
        named = {entry.key for entry in sections.features}
        found["features"] = [row["key"] for row in features.every(db) if row["managed_by"] and row["key"] not in named]
    if sections.packages is not None:
        named = {entry.key for entry in sections.packages}
        found["packages"] = [row["key"] for row in packages.every(db) if row["managed_by"] and row["key"] not in named]
    if sections.mappings is not None:
        of = {_source(db, sections, entry) for entry in sections.mappings}
        rows = mappings.every(db)
        found["mappings"] = [
            row for row in rows if row["managed_by"] and (row["connection"], row["price"], row["product"]) not in of
        ]
    return found


def _source(db: Connection, sections: Sections, entry: MappingEntry) -> tuple[str, str | None, str | None]:
    return _connection(db, sections, entry), entry.price, entry.product


def _settings(db: Connection, connection: str) -> dict[str, Any] | None:
    statement = text("select settings, managed_by from tidegate.contact_settings where connection = :c")
    row = db.execute(statement, {"c": connection}).mappings().first()
    return dict(row) if row is not None else None


def _touched(db: Connection, sections: Sections, prune: bool) -> Sequence[int]:
    """The contacts whose entitlements the file may change; asked once before and once afterwards."""
    found: set[int] = set()
    for entry in sections.features or ():
        found |= {*catalog_changes.define_feature(entry.key, entry.type, "", reset=entry.reset).touched(db)}
    for entry in sections.packages or ():
        found |= {*catalog_changes.define_package(entry.key, "", **_said(entry)).touched(db)}
        if entry.default and entry.features is not None:
            found |= {*catalog_changes.publish_package(entry.key, "").touched(db)}
    for entry in sections.mappings or ():
        if _differs(db, sections, entry):
            found |= {*mappings.touched(db, *_source(db, sections, entry))}
    if prune:
        for row in _dropped(db, sections)["mappings"]:
            found |= {*mappings.touched(db, row["connection"], row["price"], row["product"])}
    return sorted(found)


def _differs(db: Connection, sections: Sections, entry: MappingEntry) -> bool:
    wanted = _wanted(db, sections, entry, "")
    try:
        return mappings.differs(db, wanted)
    except (CatalogInvalid, CatalogUnknown):
        return True  # it leads to what the file has yet to make; else applying it tells what is wrong
