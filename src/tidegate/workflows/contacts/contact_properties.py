"""Contacts' properties as destinations take them: what is known of each now, by the names that may be chosen."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Connection, text

from tidegate import money
from tidegate.conditions.contact_fields import STATUSES
from tidegate.delivery import queue
from tidegate.delivery.shapes import instant
from tidegate.errors import DestinationInvalid
from tidegate.lifecycle import rulebook
from tidegate.lifecycle.facts import holdings
from tidegate.lifecycle.health import band
from tidegate.lifecycle.own_worth import LARGEST
from tidegate.lifecycle.settings import Worth

MILLIONTHS = 1_000_000
OF_CONTACT = ("id", "kind", "name", "email", "owner", "customers")
OF_FACTS = (
    "mrr", "arr", "currency", "status", "statuses", "subscriptions", "customer_since", "churned_at", "renews_at",
    "ends_at", "trial_ends_at", "last_moved_at",
)  # fmt: skip
OTHERS = ("packages", "quantity", "amount_open")
OF_LIFECYCLE = (
    "stage", "segments", "health", "health_band", "failed_payments", "past_due_since", "card_expires_at",
    "cancellation_reason",
)  # fmt: skip
NAMES = (*OF_CONTACT, *OF_FACTS, *OTHERS, *OF_LIFECYCLE)
PREFIXES = ("properties.", "customer.", "subscription.")
"""Before the name of a property of yours, or the path of a field of the newest live customer or subscription."""


def refuse_unknown(names: Sequence[str]) -> None:
    """Raises DestinationInvalid for what is no property."""
    for name in names:
        if name in NAMES or any(name.startswith(prefix) and name != prefix for prefix in PREFIXES):
            continue
        near = get_close_matches(name, NAMES, 1)
        meant = f" Is it {near[0]}?" if near else ""
        known = ", ".join([*NAMES, *(f"{prefix}…" for prefix in PREFIXES)])
        raise DestinationInvalid(problem=f"there is no property {name}.{meant} Properties: {known}")


def properties(db: Connection, contacts: Sequence[int], names: Sequence[str]) -> dict[int, dict[str, Any]]:
    """By contact (internal key) the properties of these names, in their order. Amounts are decimals of the currency
    (49.0), times ISO 8601 UTC; what a contact does not have is None. MRR in several currencies is one amount for each.
    Stage and segments are keys, health a whole number from 0 to 100 beside its band (poor, fair, good).
    """
    if not contacts or not names:
        return {key: {} for key in contacts}
    rows = db.execute(_FACTS, {"contacts": list(contacts)}).mappings().all()
    found = {row["key"]: _of_facts(dict(row)) for row in rows}
    if OTHERS[0] in names or OTHERS[1] in names:
        for key, (packages, quantity) in holdings(db, list(found), queue.now(db)).items():
            found[key] |= {"packages": packages, "quantity": quantity}
    _take_own_worth(db, found)
    if OTHERS[2] in names:
        for row in db.execute(_OPEN, {"contacts": list(contacts)}):
            found[row.key]["amount_open"] = _amounts(row.open)
    if not {*OF_LIFECYCLE}.isdisjoint(names):
        for row in db.execute(_LIFECYCLE, {"contacts": list(contacts)}).mappings():
            found[row["key"]] |= _of_lifecycle(dict(row))
    for prefix, statement in (("customer.", _CUSTOMER), ("subscription.", _SUBSCRIPTION)):
        if any(name.startswith(prefix) for name in names):
            for row in db.execute(statement, {"contacts": list(contacts)}):
                found[row.key][prefix] = row.data
    return {key: {name: _value(known, name) for name in names} for key, known in found.items()}


def _value(known: Mapping[str, Any], name: str) -> Any:
    for prefix in PREFIXES:
        if name.startswith(prefix):
            return _at(known.get(prefix) or {}, name.removeprefix(prefix))
    return known.get(name)


def _at(value: Any, path: str) -> Any:
    """What a path leads to, such as `metadata.plan`; a name with dots in it is taken as it is, too."""
    if isinstance(value, Mapping) and path in value:
        return value[path]  # pyright: ignore[reportUnknownVariableType]
    first, dot, rest = path.partition(".")
    if not isinstance(value, Mapping) or first not in value:
        return None
    return _at(value[first], rest) if dot else value[first]  # pyright: ignore[reportUnknownVariableType]


def _take_own_worth(db: Connection, found: Mapping[int, dict[str, Any]]) -> None:
    """What properties say of a contact's worth and renewal stands for what Stripe does, as in conditions."""
    worth = rulebook.worth(db)
    if worth == Worth():
        return
    for row in db.execute(_OWN_WORTH, {"contacts": list(found)}):
        known = found[row.key]
        own = _value(known, worth.mrr) if worth.mrr else None
        if isinstance(own, int | float) and not isinstance(own, bool) and 0 <= own <= LARGEST:
            known |= {"mrr": own, "arr": 12 * own}
        if worth.renews_at and row.renews_at is not None:
            known["renews_at"] = instant(row.renews_at)


def _of_facts(row: Mapping[str, Any]) -> dict[str, Any]:
    mrr: Mapping[str, int] = row["mrr"] or {}
    statuses = list(row["statuses"] or ())
    times = ("customer_since", "churned_at", "renews_at", "ends_at", "trial_ends_at", "last_moved_at")
    return {
        **{name: row[name] for name in ("id", "kind", "name", "email", "owner", "customers")},
        "properties.": row["properties"],
        "mrr": _amounts({currency: _minor(amount) for currency, amount in mrr.items()}) if row["known"] else None,
        "arr": _amounts({currency: _minor(12 * amount) for currency, amount in mrr.items()}) if row["known"] else None,
        "currency": ", ".join(sorted(mrr)) or None,
        "statuses": statuses,
        "status": min(
            statuses, key=lambda one: STATUSES.index(one) if one in STATUSES else len(STATUSES), default=None
        ),
        "subscriptions": row["subscriptions"],
        **{name: instant(row[name]) if row[name] else None for name in times},
        "amount_open": 0,
    }


def _of_lifecycle(row: Mapping[str, Any]) -> dict[str, Any]:
    times = ("past_due_since", "card_expires_at")
    score = None if row["health"] is None else int(row["health"].to_integral_value(ROUND_HALF_UP))
    return {
        **{name: row[name] for name in OF_LIFECYCLE if name != "health_band"},
        "health": score,
        "health_band": None if score is None else band(score),
        **{name: instant(row[name]) if row[name] else None for name in times},
    }


def _minor(millionths: int) -> int:
    return int((Decimal(millionths) / MILLIONTHS).to_integral_value(ROUND_HALF_UP))


def _amounts(minor: Mapping[str, int]) -> Any:
    """A number where there is one currency at most, else one for each."""
    found = {currency: float(money.decimal(amount, currency)) for currency, amount in sorted(minor.items())}
    return found if len(found) > 1 else next(iter(found.values()), 0)


_FACTS = text("""
select c.key, c.external_id as id, c.kind, c.name, c.email, c.owner, c.properties, f.contact is not null as known,
  coalesce(l.customers, '{}') as customers, f.mrr, f.statuses, coalesce(f.subscriptions, 0) as subscriptions,
  f.customer_since, f.churned_at, f.renews_at, f.ends_at, f.trial_ends_at, f.last_moved_at
from tidegate.contacts c
left join tidegate.contact_facts f on f.contact = c.key
left join lateral (
  select array_agg(
    l.customer order by s.deleted_at is not null, s.created desc nulls last, l.customer desc) as customers
  from tidegate.links l left join stripe.customers s on s.connection = l.connection and s.id = l.customer
  where l.contact = c.key) l on true
where c.key = any(cast(:contacts as bigint[]))""")

_OWN_WORTH = text("""
select contact as key, renewals[1] as renews_at from tidegate.contact_lifecycle
where contact = any(cast(:contacts as bigint[]))""")

_OPEN = text("""
select key, jsonb_object_agg(currency, open) as open from (
  select l.contact as key, i.currency, sum((i.data ->> 'amount_remaining')::bigint) as open
  from tidegate.links l join stripe.invoices i on i.connection = l.connection and i.customer = l.customer
    and i.status = 'open' and i.deleted_at is null and i.test_clock is null
  where l.contact = any(cast(:contacts as bigint[])) and (i.data ->> 'amount_remaining')::bigint <> 0
  group by 1, 2) sums group by key""")

_LIFECYCLE = text("""
select c.key, l.stage, coalesce(l.segments, '{}') as segments, l.health, coalesce(l.failed_attempts, 0) as
  failed_payments, l.past_due_since, l.card_expires_at, l.cancellation_reason
from tidegate.contacts c left join tidegate.contact_lifecycle l on l.contact = c.key
where c.key = any(cast(:contacts as bigint[]))""")

_CUSTOMER = text("""
select distinct on (l.contact) l.contact as key, s.data
from tidegate.links l join stripe.customers s on s.connection = l.connection and s.id = l.customer
where l.contact = any(cast(:contacts as bigint[])) and s.deleted_at is null
order by l.contact, s.created desc nulls last, l.customer desc""")

_SUBSCRIPTION = text("""
select distinct on (l.contact) l.contact as key, s.data
from tidegate.links l join stripe.subscriptions s on s.connection = l.connection and s.customer = l.customer
where l.contact = any(cast(:contacts as bigint[])) and s.deleted_at is null
order by l.contact, s.ended_at is not null, s.created desc nulls last, s.id""")
