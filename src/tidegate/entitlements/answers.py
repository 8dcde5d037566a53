"""Answers for product code: what a contact may use and why, a user's accounts included."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.catalog.contents import Catalog
from tidegate.catalog.features import nearest
from tidegate.contacts.directory import Contact
from tidegate.entitlements import holders
from tidegate.entitlements.buckets import Source
from tidegate.entitlements.resolve import Entitlement, Held, Holder, held, resolve
from tidegate.errors import CatalogUnknown


def answer(
    db: Connection, contact: Contact, catalog: Catalog, as_of: datetime, feature: str | None = None
) -> dict[str, Any]:
    """What the contact may use of one feature, or of all (`features` by key), with the packages it holds.

    What a user does not have itself is looked for at its accounts; `via` says where it was found. Raises
    CatalogUnknown.
    """
    if feature is not None and feature not in catalog.features:
        known = nearest(feature, list(catalog.features))
        raise CatalogUnknown(what="feature", key=feature, nearest=known, list="features")
    keys = [contact.key, *(accounts_of(db, contact.key) if contact.kind == "user" else ())]
    only = [feature] if feature is not None else None
    loaded = holders.load(db, keys, as_of, only)
    found = [loaded[key] for key in keys if key in loaded]
    by_holder = [{one.feature.key: one for one in resolve(holder, catalog, as_of, only)} for holder in found]
    said = {key: _best(key, found, by_holder) for key in by_holder[0]}
    packages = [held_json(one, holder) for holder in found for one in held(holder, catalog, as_of)]
    head = {"contact": contact.ref, "as_of": as_of.isoformat(), "packages": packages}
    return head | (said[feature] if feature is not None else {"features": said})


def debtor(db: Connection, contact: Contact, feature: str, catalog: Catalog, as_of: datetime) -> int:
    """The contact (internal key) whose usage a debit for this contact counts in: itself, or the account that gives the
    feature to a user that has none of its own.
    """
    if contact.kind != "user":
        return contact.key
    keys = [contact.key, *accounts_of(db, contact.key)]
    loaded = holders.load(db, keys, as_of, [feature])
    standings = [(key, resolve(loaded[key], catalog, as_of, [feature])[0]) for key in keys if key in loaded]
    granted = [key for key, one in standings if one.granted]
    known = [key for key, one in standings if one.reason != "feature_unavailable"]
    return (granted or known or [contact.key])[0]


def accounts_of(db: Connection, user: int) -> Sequence[int]:
    """The accounts (internal keys) that a user belongs to, the longest known first."""
    return db.scalars(_ACCOUNTS, {"user": user}).all()


def entitlement_json(one: Entitlement) -> dict[str, Any]:
    """An entitlement as it is answered. Units are the feature's; times ISO 8601 UTC."""
    said: dict[str, Any] = {
        "feature": one.feature.key,
        "type": one.feature.type,
        "granted": one.granted,
        "reason": one.reason,
    }
    if one.feature.type == "config":
        said["value"] = one.value if one.granted else None
    if one.feature.type == "metered":
        said |= {
            "unit": one.feature.unit,
            "limit": one.limit,
            "unlimited": one.unlimited,
            "used": one.used,
            "remaining": one.remaining,
            "resets_at": _iso(one.resets_at),
        }
    return said | {"until": _iso(one.until), "sources": [source_json(source) for source in one.sources]}


def source_json(one: Source) -> dict[str, Any]:
    """What gives something, or gave it, with the path to it."""
    return {
        "kind": one.kind,
        "gives": one.terms.as_json() or True,
        "times": one.times,
        "granted": one.access.granted,
        "reason": one.access.reason,
        "until": _iso(one.access.until),
        **one.via,
    }


def held_json(one: Held, holder: Holder) -> dict[str, Any]:
    """A package that is held."""
    said = {"package": one.package, "version": one.version, "kind": one.kind, "holder": holder.contact}
    return said | {"reason": one.reason, "until": _iso(one.until), **one.via}


def _best(key: str, found: Sequence[Holder], by_holder: Sequence[Mapping[str, Entitlement]]) -> dict[str, Any]:
    """The contact's own entitlement when it has one, else the first account's that has, else its own refusal."""
    standings = [one[key] for one in by_holder]
    place = next((n for n, one in enumerate(standings) if one.granted), None)
    if place is None:
        place = next((n for n, one in enumerate(standings) if one.reason != "feature_unavailable"), 0)
    said = entitlement_json(standings[place])
    return said | ({"via": found[place].contact} if place else {})


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None


_ACCOUNTS = text("""
select m.account from tidegate.contact_members m join tidegate.contacts c on c.key = m.account
where m."user" = :user and c.merged_into is null order by c.created_at, c.key""")
