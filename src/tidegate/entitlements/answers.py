"""Answers for product code: what a contact may use and why, a user's accounts included."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from tidegate.catalog.contents import Catalog
from tidegate.catalog.features import nearest
from tidegate.contacts.directory import Contact
from tidegate.entitlements import holders
from tidegate.entitlements.buckets import Source
from tidegate.entitlements.holders import Asked
from tidegate.entitlements.resolve import Entitlement, Held, Holder, has_base, held, resolve
from tidegate.errors import CatalogUnknown, TidegateError


def answer(
    db: Connection, contact: Contact, catalog: Catalog, as_of: datetime, feature: str | None = None
) -> dict[str, Any]:
    """What the contact may use of one feature, or of all (`features` by key), with the packages it holds then.

    What a user does not have itself is looked for at its accounts; `via` says where it was found. Raises
    CatalogUnknown.
    """
    only = [feature] if feature is not None else None
    asked = holders.ask(db, contact.livemode, [contact.ref], only, as_of=as_of).asked[contact.ref]
    if isinstance(asked, TidegateError):
        raise asked
    return {"as_of": as_of.isoformat()} | said(asked, catalog, as_of, feature)


def said(asked: Asked, catalog: Catalog, as_of: datetime, feature: str | None = None) -> dict[str, Any]:
    """The answer for what was loaded, as `answer` gives it. Raises CatalogUnknown."""
    only = None
    if feature is not None:
        known(catalog, feature)
        only = [feature]
    standings = _standings(asked, catalog, as_of, only)
    answers = {of_one[0].feature.key: _best(of_one, asked.holders) for of_one in zip(*standings, strict=True)}
    head = {"contact": asked.holders[0].contact, "packages": packages(asked.holders, catalog, as_of)}
    return head | (answers[feature] if feature is not None else {"features": answers})


def known(catalog: Catalog, feature: str) -> None:
    """Raises CatalogUnknown, with the nearest key, for a feature that the catalog has not."""
    if feature not in catalog.features:
        near = nearest(feature, list(catalog.features))
        raise CatalogUnknown(what="feature", key=feature, nearest=near, list="features")


def debtor(asked: Asked, feature: str, catalog: Catalog, as_of: datetime) -> int:
    """The contact (internal key) whose usage a debit counts in: the one that was asked for, or the account that gives
    the feature to a user that has none of its own.
    """
    if len(asked.keys) == 1:
        return asked.keys[0]
    standings = _standings(asked, catalog, as_of, [feature])
    return asked.keys[_place([of_one[0] for of_one in standings])]


def packages(found: Sequence[Holder], catalog: Catalog, as_of: datetime) -> list[dict[str, Any]]:
    """The packages that a contact and its accounts hold; the default only where none has a base package."""
    shown: list[dict[str, Any]] = []
    default: list[dict[str, Any]] = []
    for holder in found:
        for one in held(holder, catalog, as_of):
            (default if "default" in one.via else shown).append(_held_json(one, holder))
    return shown if any(one["kind"] == "base" for one in shown) else shown + default[:1]


def _standings(asked: Asked, catalog: Catalog, as_of: datetime, only: list[str] | None) -> list[list[Entitlement]]:
    """The entitlements of the contact and of its accounts. The default package is no user's whose account has a base
    package: it would hide what the account gives.
    """
    first, *accounts = asked.holders
    own = catalog
    if accounts and catalog.default is not None and any(has_base(one, catalog, as_of) for one in accounts):
        own = replace(catalog, default=None)
    return [resolve(first, own, as_of, only), *(resolve(one, catalog, as_of, only) for one in accounts)]


def entitlement_json(one: Entitlement) -> dict[str, Any]:
    """An entitlement as it is answered. Units are the feature's; times ISO 8601 UTC."""
    feature = one.feature
    shown: dict[str, Any] = {
        "feature": feature.key,
        "type": feature.type,
        "granted": one.granted,
        "reason": one.reason,
    }
    if feature.type == "config":
        shown["value"] = one.value if one.granted else None
    if feature.type == "metered":
        shown["unit"] = feature.unit
        shown["limit"] = one.limit
        shown["unlimited"] = one.unlimited
        shown["used"] = one.used
        shown["remaining"] = one.remaining
        shown["resets_at"] = _iso(one.resets_at)
    shown["until"] = _iso(one.until)
    shown["sources"] = [source_json(source) for source in one.sources]
    return shown


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


def _held_json(one: Held, holder: Holder) -> dict[str, Any]:
    shown = {"package": one.package, "version": one.version, "kind": one.kind, "holder": holder.contact}
    return shown | {"reason": one.reason, "until": _iso(one.until), **one.via}


def _best(standings: Sequence[Entitlement], found: Sequence[Holder]) -> dict[str, Any]:
    """The contact's own entitlement when it has one, else the first account's that has, else its own refusal."""
    place = _place(standings)
    shown = entitlement_json(standings[place])
    return shown | ({"via": found[place].contact} if place else {})


def _place(standings: Sequence[Entitlement]) -> int:
    """Whose entitlement counts: the first that is granted; else the first that is given at all; else one's own."""
    for place, one in enumerate(standings):
        if one.granted:
            return place
    return next((place for place, one in enumerate(standings) if one.reason != "feature_unavailable"), 0)


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
