"""What changed of a contact's entitlements since the outbox last told: compared, told and remembered together."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from tidegate.catalog.contents import Catalog
from tidegate.delivery.outbox import EventType, Told, tell
from tidegate.entitlements import holders
from tidegate.entitlements.resolve import Entitlement, Holder, resolve
from tidegate.store.driver import rows


def tell_changes(db: Connection, contacts: Sequence[int], catalog: Catalog, as_of: datetime) -> int:
    """Writes outbox rows `entitlement.granted`, `.changed`, `.revoked` for what these contacts' entitlements became.

    Usage is no change: limits are. A contact that was merged into another has none of its own. Returns how many rows.
    In the caller's transaction, which holds the contacts.
    """
    before = {row.contact: row for row in rows(db, _TOLD, {"contacts": list(contacts)})}
    told: list[Told] = []
    remembered: dict[str, list[Any]] = {"contact": [], "entitlements": [], "changes_at": []}
    revision = catalog.revision
    for key, holder in holders.load(db, list(before), as_of, features=()).items():
        now, changes_at = standing_of(holder, catalog, as_of)
        known = before[key]
        told += changes(key, known.entitlements or {}, now)
        if (known.entitlements, known.changes_at, known.revision) != (now, changes_at, revision):
            remembered["contact"].append(key)
            remembered["entitlements"].append(_encode(now).decode())
            remembered["changes_at"].append(changes_at)
    if remembered["contact"]:
        rows(db, _REMEMBER, remembered | {"revision": revision})
    tell(db, told)
    if told:
        kept = {
            "contacts": [one.contact for one in told],
            "types": [one.type.partition(".")[2] for one in told],
            "data": [_encode(one.data).decode() for one in told],
        }
        rows(db, _KEEP, kept)
    return len(told)


def untold(db: Connection, contacts: Sequence[int]) -> list[int]:
    """Of these contacts those whose entitlements may differ from what was told though nothing was written of them: the
    catalog is another one, time has passed, or nothing was told yet.
    """
    return [row.key for row in rows(db, _UNTOLD, {"contacts": list(contacts)})]


def look_again(db: Connection, contacts: Sequence[int]) -> None:
    """Lets the next refresh of these contacts (internal keys) tell what changed though nothing is written of them."""
    statement = text(
        "update tidegate.entitlements_told set revision = 0 where contact = any(cast(:contacts as bigint[]))"
    )
    if contacts:
        db.execute(statement, {"contacts": list(contacts)})


def standing_of(holder: Holder, catalog: Catalog, as_of: datetime) -> tuple[dict[str, Any], datetime | None]:
    """What a contact is given of each feature, without usage, and when that changes by itself."""
    found = resolve(holder, catalog, as_of)
    now = {one.feature.key: _given(one) for one in found if one.reason != "feature_unavailable"}
    return now, min((one.until for one in found if one.until is not None), default=None)


def changes(contact: int, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Told]:
    """The events that lead from what was told to what is, by feature."""
    told: list[Told] = []
    for feature in sorted({*before, *now}):
        was, is_ = before.get(feature), now.get(feature)
        if was == is_:
            continue
        kind: EventType = "entitlement.granted" if was is None else "entitlement.changed"
        if is_ is None:
            kind = "entitlement.revoked"
        told.append(Told(kind, {"feature": feature, "before": was, "now": is_}, contact))
    return told


def _given(one: Entitlement) -> Any:
    if one.feature.type == "boolean":
        return True
    if one.feature.type == "config":
        return {"value": one.value}
    if one.unlimited:
        return "unlimited"
    return {"limit": one.limit} | ({"reset": one.reset} if one.reset != "never" else {})


_encode = msgspec.json.Encoder().encode

# The outbox forgets; what a first import gave is told by what the contact has.
_KEEP = text("""
insert into tidegate.entitlement_changes (contact, type, data)
select contact, type, data
from unnest(cast(:contacts as bigint[]), cast(:types as text[]), cast(:data as jsonb[])) as told(contact, type, data)
where coalesce(current_setting('tidegate.history', true), '') <> 'on'""")

_UNTOLD = text("""
select c.key from unnest(cast(:contacts as bigint[])) as c(key)
where not exists (
  select from tidegate.entitlements_told t
  where t.contact = c.key and (t.changes_at is null or t.changes_at > clock_timestamp())
    and t.revision = (select revision from tidegate.catalog_state))""")

_TOLD = text("""
select c.key as contact, t.entitlements, t.changes_at, t.revision from tidegate.contacts c
left join tidegate.entitlements_told t on t.contact = c.key
where c.key = any(cast(:contacts as bigint[])) and c.merged_into is null""")

_REMEMBER = text("""
insert into tidegate.entitlements_told (contact, entitlements, changes_at, revision)
select *, :revision
from unnest(cast(:contact as bigint[]), cast(:entitlements as jsonb[]), cast(:changes_at as timestamptz[]))
on conflict (contact) do update set entitlements = excluded.entitlements, changes_at = excluded.changes_at,
  revision = excluded.revision""")
