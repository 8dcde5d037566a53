"""Usage: checks and debits in one transaction, each idempotency key once; set, release, reserve and confirm."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from tidegate.catalog.contents import Catalog
from tidegate.entitlements import holders
from tidegate.entitlements.buckets import Debit, give_back, take
from tidegate.entitlements.resolve import Entitlement, resolve
from tidegate.errors import UsageInvalid

RESERVED_FOR = timedelta(minutes=15)
"""How long a reservation holds that is neither confirmed nor released, unless it says so itself."""
LONGEST_RESERVED = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Order:
    """What to do with the usage of one feature of one contact (internal key).

    `consume`, `reserve`: debit `amount`, at least 1. `release`: give `amount` back. `set`: make the usage `amount`, as
    of seats that are counted elsewhere. The same `key` gets the first answer again and debits nothing.
    """

    contact: int
    feature: str
    operation: str
    amount: int
    key: str | None = None
    seconds: int | None = None


def check(order: Order) -> None:
    """Raises UsageInvalid for an amount or a key that cannot be counted."""
    lowest = 0 if order.operation == "set" else 1
    if not lowest <= order.amount < 2**53:
        raise UsageInvalid(problem=f"the amount is {order.amount}; it is a whole number from {lowest} on.")
    if order.key is not None and not 0 < len(order.key) <= 255:
        raise UsageInvalid(problem="the idempotency key is empty or longer than 255 characters.")


def carry_out(db: Connection, order: Order, catalog: Catalog, as_of: datetime) -> dict[str, Any]:
    """Does it, in the caller's transaction, and returns the answer: `allowed`, `reason`, `used`, `limit`, `remaining`,
    `resets_at`; with `repeated` true when the key was known.

    Orders for one contact and feature wait for each other until the transaction ends. The feature must be metered.
    Raises UsageInvalid, also for a key that was used with another order.
    """
    check(order)
    if catalog.features[order.feature].type != "metered":
        raise UsageInvalid(problem=f"the feature {order.feature} is not metered.")
    _alone(db, order.contact, order.feature)
    if order.key is not None and (known := _known(db, order)) is not None:
        return known
    _end_reservations(db, order.contact, order.feature, as_of)
    before = _standing(db, order, catalog, as_of)
    debits = _debits(order, before)
    allowed = debits is not None
    _book(db, order.contact, order.feature, debits or ())
    after = _standing(db, order, catalog, as_of) if debits else before
    answer = _answer(order, allowed, before, after)
    expires = as_of + _reserved_for(order) if allowed and order.operation == "reserve" else None
    answer |= {"expires_at": expires.isoformat()} if expires else {}
    written = _note(db, order, debits or (), answer, expires)
    return answer | ({"reservation": written} if expires else {})


def settle_reservation(
    db: Connection, contact: int, reservation: int, catalog: Catalog, as_of: datetime, amount: int | None
) -> dict[str, Any]:
    """Confirms a reservation with the amount that was really used (0: releases it), at most what was reserved.

    Settling it again the same way answers the same. Raises UsageInvalid.
    """
    row = db.execute(_RESERVATION, {"id": reservation, "contact": contact}).mappings().first()
    if row is None:
        raise UsageInvalid(problem=f"there is no reservation {reservation} of this contact.")
    _alone(db, contact, row["feature"])
    row = db.execute(_RESERVATION, {"id": reservation, "contact": contact}).mappings().one()
    wanted = row["amount"] if amount is None else amount
    if row["state"] in ("confirmed", "released") and row["answer"].get("settled") is not None:
        if row["answer"]["settled"] == wanted:
            return dict(row["answer"])
        raise UsageInvalid(
            problem=f"the reservation {reservation} was settled with {row['answer']['settled']} already."
        )
    if not 0 <= wanted <= row["amount"]:
        raise UsageInvalid(
            problem=f"the reservation {reservation} is of {row['amount']}, so at most that is confirmed."
        )
    if row["expires_at"] <= as_of:
        raise UsageInvalid(problem=f"the reservation {reservation} has expired and was given back; consume anew.")
    back = row["amount"] - wanted
    debits = [Debit(one["bucket"], datetime.fromisoformat(one["start"]), one["amount"]) for one in row["debits"]]
    _book(db, contact, row["feature"], _last_of(debits, back))
    order = Order(contact, row["feature"], "consume", max(wanted, 1))
    after = _standing(db, order, catalog, as_of)
    answer = _answer(order, True, after, after) | {"settled": wanted, "reservation": reservation, "amount": wanted}
    state = "confirmed" if wanted else "released"
    db.execute(_SETTLE, {"id": reservation, "state": state, "amount": wanted, "answer": json.dumps(answer)})
    return answer


def _alone(db: Connection, contact: int, feature: str) -> None:
    """Until the transaction ends, nobody else debits this feature of this contact."""
    db.execute(text("select pg_advisory_xact_lock(:contact, hashtext(:feature))"), _lock_key(contact, feature))


def _lock_key(contact: int, feature: str) -> dict[str, Any]:
    return {"contact": (contact % 2**31) - 2**30, "feature": feature}


def _known(db: Connection, order: Order) -> dict[str, Any] | None:
    row = db.execute(_KNOWN, {"contact": order.contact, "feature": order.feature, "key": order.key}).mappings().first()
    if row is None:
        return None
    if row["operation"] != order.operation or row["answer"]["amount"] != order.amount:
        raise UsageInvalid(
            problem=f"the idempotency key {order.key!r} was used for {row['operation']} {row['answer']['amount']}; "
            "use another for another order."
        )
    reserved = {"reservation": row["id"]} if row["expires_at"] is not None else {}
    return row["answer"] | reserved | {"repeated": True}


def _standing(db: Connection, order: Order, catalog: Catalog, as_of: datetime) -> Entitlement:
    holder = holders.load(db, [order.contact], as_of, [order.feature])[order.contact]
    return resolve(holder, catalog, as_of, only=[order.feature])[0]


def _debits(order: Order, standing: Entitlement) -> Sequence[Debit] | None:
    """Where the order is booked; None when it is refused."""
    if order.operation == "release":
        return give_back(standing.buckets, order.amount)
    if standing.reason == "feature_unavailable":
        return None
    if order.operation == "set":
        if order.amount <= standing.used:
            return give_back(standing.buckets, standing.used - order.amount) if order.amount < standing.used else ()
        return take(standing.buckets, order.amount - standing.used) or None
    return take(standing.buckets, order.amount) or None


def _last_of(debits: Sequence[Debit], back: int) -> list[Debit]:
    """The debits that take `back` units away again, the last first."""
    taken: list[Debit] = []
    for one in reversed(debits):
        some = min(back, one.amount)
        if some:
            taken.append(Debit(one.bucket, one.start, -some))
            back -= some
    return taken


def _book(db: Connection, contact: int, feature: str, debits: Sequence[Debit]) -> None:
    for one in debits:
        values = {"contact": contact, "feature": feature, "bucket": one.bucket, "start": one.start, "n": one.amount}
        db.execute(_BOOK, values)


def _end_reservations(db: Connection, contact: int, feature: str, as_of: datetime) -> None:
    """Gives back what was reserved and neither confirmed nor released in time."""
    values = {"contact": contact, "feature": feature, "as_of": as_of}
    for row in db.execute(_EXPIRED, values).mappings().all():
        back = [Debit(one["bucket"], datetime.fromisoformat(one["start"]), -one["amount"]) for one in row["debits"]]
        _book(db, contact, feature, back)


def _reserved_for(order: Order) -> timedelta:
    asked = timedelta(seconds=order.seconds) if order.seconds else RESERVED_FOR
    if not timedelta() < asked <= LONGEST_RESERVED:
        raise UsageInvalid(problem="a reservation holds for at least a second and at most 7 days.")
    return asked


def _answer(order: Order, allowed: bool, before: Entitlement, after: Entitlement) -> dict[str, Any]:
    reason = "granted" if allowed else before.reason if before.reason != "granted" else "usage_limit_reached"
    return {
        "feature": order.feature,
        "allowed": allowed,
        "reason": reason,
        "amount": order.amount,
        "used": after.used,
        "limit": after.limit,
        "unlimited": after.unlimited,
        "remaining": after.remaining,
        "resets_at": after.resets_at.isoformat() if after.resets_at else None,
    }


def _note(
    db: Connection, order: Order, debits: Sequence[Debit], answer: dict[str, Any], expires: datetime | None
) -> int:
    shown = [{"bucket": one.bucket, "start": one.start.isoformat(), "amount": one.amount} for one in debits]
    return db.execute(
        _NOTE,
        {
            "contact": order.contact,
            "feature": order.feature,
            "key": order.key,
            "operation": order.operation,
            "amount": sum(one.amount for one in debits),
            "debits": json.dumps(shown),
            "answer": json.dumps(answer),
            "expires": expires,
            "state": "reserved" if expires else "done",
        },
    ).scalar_one()


_KNOWN = text("""
select id, operation, answer, expires_at from tidegate.usage_debits
where contact = :contact and feature = :feature and idempotency_key = :key""")

_BOOK = text("""
insert into tidegate.usage as u (contact, feature, bucket, period_start, used)
values (:contact, :feature, :bucket, :start, greatest(0, :n))
on conflict (contact, feature, bucket, period_start) do update set used = greatest(0, u.used + :n)""")

_NOTE = text("""
insert into tidegate.usage_debits
  (contact, feature, idempotency_key, operation, amount, debits, answer, expires_at, state)
values (:contact, :feature, :key, :operation, :amount, cast(:debits as jsonb), cast(:answer as jsonb), :expires, :state)
returning id""")

_RESERVATION = text("""
select * from tidegate.usage_debits where id = :id and contact = :contact and operation = 'reserve'""")

_SETTLE = text("""
update tidegate.usage_debits set state = :state, amount = :amount, answer = cast(:answer as jsonb) where id = :id""")

_EXPIRED = text("""
update tidegate.usage_debits set state = 'released', amount = 0
where contact = :contact and feature = :feature and state = 'reserved' and expires_at <= :as_of returning debits""")
