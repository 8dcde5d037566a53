"""Overrides: what a person gives a contact beside Stripe, for how long, and why."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from tidegate.catalog import features, packages
from tidegate.catalog.terms import read_terms
from tidegate.contacts import directory
from tidegate.contacts.directory import Contact
from tidegate.errors import CatalogInvalid, CatalogUnknown


@dataclass(frozen=True, slots=True)
class Giving:
    """An override to make: a package in its newest version, or a feature on terms of its own.

    `operation`: `add` to what subscriptions give, or `replace` it. `since`, `expires_at`: UTC; None: now, and for good.
    """

    contact: int
    by: str
    reason: str = ""
    operation: str = "add"
    package: str | None = None
    feature: str | None = None
    terms: Any = None
    since: datetime | None = None
    expires_at: datetime | None = None
    priority: int = 0


def give(db: Connection, giving: Giving) -> int:
    """Makes the override and returns its id. Tell the contact's changes in the same transaction.

    Raises CatalogUnknown, CatalogInvalid, TermsInvalid.
    """
    if giving.operation not in ("add", "replace"):
        raise CatalogInvalid(problem=f"An override adds or replaces; {giving.operation!r} is neither.")
    if bool(giving.package) == bool(giving.feature):
        raise CatalogInvalid(problem="An override gives a package or a feature: name one of them.")
    _check_times(db, giving)
    values: dict[str, Any] = {name: getattr(giving, name) for name in Giving.__dataclass_fields__}
    values |= _package(db, giving) if giving.package else _feature(db, giving)
    return int(db.execute(_GIVE, values).scalar_one())


def revoke(db: Connection, override: int, by: str) -> RowMapping:
    """Ends an override at once and returns it; what is used of it stays counted. Raises CatalogUnknown."""
    row = db.execute(_REVOKE, {"id": override, "by": by}).mappings().first()
    if row is None:
        raise CatalogUnknown(what="override in force", key=str(override), nearest="", list="overrides")
    return row


def forget_reasons(db: Connection, contacts: Sequence[int]) -> int:
    """Erases why people gave something to these contacts (internal keys), in whose words anything may stand; returns of
    how many overrides.
    """
    statement = text("""
update tidegate.overrides set reason = '' where contact = any(cast(:contacts as bigint[])) and reason <> ''""")
    return db.execute(statement, {"contacts": list(contacts)}).rowcount


def of_contact(db: Connection, contact: int) -> list[Mapping[str, Any]]:
    """All overrides that a contact has or had, newest first."""
    return [dict(row) for row in db.execute(_OF_CONTACT, {"contact": contact}).mappings()]


def every(db: Connection, *, ended: bool = False) -> list[Mapping[str, Any]]:
    """The overrides in force of all contacts, soonest to expire first; with `ended` the others too."""
    return [dict(row) for row in db.execute(_EVERY, {"ended": ended}).mappings()]


def owner(db: Connection, override: int) -> Contact | None:
    """The contact that an override is of; None: there is none of that number."""
    if not 0 < override < 2**63:
        return None
    key = db.scalar(text("select contact from tidegate.overrides where id = :id"), {"id": override})
    return directory.of_key(db, key) if key is not None else None


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """An override as it is answered: what it gives, to whom, until when, why and by whom."""
    names = ("id", "operation", "package", "version", "feature", "priority", "since", "expires_at", "reason", "by")
    said = {name: row[name] for name in (*names, "created_at", "revoked_at", "revoked_by")}
    return said | {"gives": row["terms"] or True, "contact": row["contact_ref"]}


def _check_times(db: Connection, giving: Giving) -> None:
    if giving.expires_at is None:
        return
    now: datetime = db.execute(text("select clock_timestamp()")).scalar_one()
    if giving.expires_at <= now:
        told = " and it is ".join(f"{one.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" for one in (giving.expires_at, now))
        raise CatalogInvalid(problem=f"The override would end at {told} now. Name a later time, or none.")
    if giving.since is not None and giving.expires_at <= giving.since:
        raise CatalogInvalid(problem="The override would expire before it holds: let it end after it begins.")


def _package(db: Connection, giving: Giving) -> dict[str, Any]:
    packages.one(db, str(giving.package))
    newest = packages.newest_version(db, str(giving.package))
    if newest is None:
        raise CatalogInvalid(problem=f"The package {giving.package} has no published version; publish it first.")
    if giving.terms is not None or giving.operation == "replace":
        raise CatalogInvalid(problem="A package is added as it is; replace or limit single features instead.")
    return {"terms": None, "version": newest["version"]}


def _feature(db: Connection, giving: Giving) -> dict[str, Any]:
    key = str(giving.feature)
    type_ = features.one(db, key)["type"]
    given = True if type_ == "boolean" and giving.terms is None else giving.terms
    terms = read_terms(key, type_, given, "the override")
    return {"terms": json.dumps(terms.as_json()), "version": None}


_GIVE = text("""
insert into tidegate.overrides
  (contact, operation, package, version, feature, terms, priority, since, expires_at, reason, by)
values (:contact, :operation, :package, :version, :feature, cast(:terms as jsonb), :priority,
  coalesce(cast(:since as timestamptz), clock_timestamp()), :expires_at, :reason, :by)
returning id""")

_REVOKE = text("""
update tidegate.overrides o set revoked_at = clock_timestamp(), revoked_by = :by
from tidegate.contacts c where o.id = :id and o.revoked_at is null and c.key = o.contact
returning o.*, c.kind || ':' || c.external_id as contact_ref""")

_OF_CONTACT = text("""
select o.*, c.kind || ':' || c.external_id as contact_ref
from tidegate.overrides o join tidegate.contacts c on c.key = o.contact
where o.contact = :contact order by o.id desc""")

_EVERY = text("""
select o.*, c.kind || ':' || c.external_id as contact_ref, c.livemode
from tidegate.overrides o join tidegate.contacts c on c.key = o.contact
where :ended or (o.revoked_at is null and (o.expires_at is null or o.expires_at > now()))
order by o.expires_at nulls last, o.id""")
