"""Usage: checks and debits in one transaction, each idempotency key once; set, release and reserve.

Many orders are carried out together, in the order given: what they cost the database is shared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tidegate.catalog.contents import Catalog
from tidegate.entitlements import forwards, ledger
from tidegate.entitlements.buckets import Debit, Spent, give_back, take, take_anyway
from tidegate.entitlements.forwards import Told, payer_of
from tidegate.entitlements.holders import is_text
from tidegate.entitlements.ledger import Note
from tidegate.entitlements.resolve import Entitlement, Holder, resolve
from tidegate.errors import TidegateError, UsageInvalid

RESERVED_FOR = timedelta(minutes=15)
"""How long a reservation holds that is neither confirmed nor released, unless it says so itself."""
LONGEST_RESERVED = timedelta(days=7)
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """What to do with the usage of one feature of one contact (internal key).

    `consume`, `reserve`: debit `amount`, at least 1. `release`: give `amount` back. `set`: make the usage `amount`, as
    of seats that are counted elsewhere. The same `key` gets the first answer again and debits nothing; `known_as`:
    other contacts in whose usage the key may have counted, the accounts of a user. `happened`: what is consumed was
    used already, while nobody could ask; it is counted though that is over the limit.
    """

    contact: int
    feature: str
    operation: str
    amount: int
    key: str | None = None
    seconds: int | None = None
    known_as: tuple[int, ...] = ()
    happened: bool = False

    @property
    def at(self) -> tuple[int, str]:
        """Whose usage of what."""
        return self.contact, self.feature


def check(order: Order, catalog: Catalog) -> None:
    """Raises UsageInvalid for what cannot be counted: a feature that is not metered, an amount, a key."""
    if catalog.features[order.feature].type != "metered":
        raise UsageInvalid(problem=f"the feature {order.feature} is not metered.")
    lowest = 0 if order.operation == "set" else 1
    if not lowest <= order.amount < 2**53:
        raise UsageInvalid(problem=f"the amount is {order.amount}; it is a whole number from {lowest} on.")
    if order.key is not None and not (0 < len(order.key) <= 255 and is_text(order.key)):
        raise UsageInvalid(problem="the idempotency key is empty, longer than 255 characters or no text.")
    if not timedelta() < _reserved_for(order) <= LONGEST_RESERVED:
        raise UsageInvalid(problem="a reservation holds for at least a second and at most 7 days.")


def carry_out(
    db: Connection, orders: Sequence[Order], holders: Mapping[int, Holder], catalog: Catalog, as_of: datetime
) -> list[Answer | TidegateError]:
    """Does the orders, in the caller's transaction, and returns for each its answer: `allowed`, `reason`, `debited`,
    `used`, `limit`, `remaining`, `resets_at`; with `repeated` true when the key was known. Instead UsageInvalid for an
    order that cannot be counted, or whose key was used with another order.

    `holders`: of all the contacts, loaded after `ledger.hold` made others wait.
    """
    outcomes: list[Answer | TidegateError | None] = [_refusal(order, catalog) for order in orders]
    sound = [(place, order) for place, order in enumerate(orders) if outcomes[place] is None]
    work = _begin(db, [order for _, order in sound], holders)
    drafts = [(place, order, _decide(work, order, catalog, as_of)) for place, order in sound]
    notes = {id(draft): draft for _, _, draft in drafts if isinstance(draft, Note)}
    numbers = dict(zip(notes, ledger.write(db, list(notes.values())), strict=True))
    _forward(db, catalog, [(numbers[place], note) for place, note in notes.items()])
    told: set[int] = set()
    for place, order, draft in drafts:
        if not isinstance(draft, Note):
            outcomes[place] = draft
        else:  # the same one twice for a key that comes twice
            row: dict[str, Any] = {"id": numbers[id(draft)], "operation": draft.operation}
            row |= {"answer": draft.answer, "expires_at": draft.expires_at}
            outcomes[place] = _again(order, row) if id(draft) in told else _first(row)
            told.add(id(draft))
    return [one for one in outcomes if one is not None]


def _forward(db: Connection, catalog: Catalog, written: Sequence[tuple[int, Note]]) -> None:
    """Keeps what is to be told to Stripe's meters: what was used or given back, not what is only reserved."""
    found = [
        Told(number, note.contact, note.feature, meter, sum(one.amount for one in note.debits), note.payer)
        for number, note in written
        if note.expires_at is None and (meter := catalog.features[note.feature].meter)
    ]
    forwards.record(db, found)


def _refusal(order: Order, catalog: Catalog) -> TidegateError | None:
    try:
        check(order, catalog)
    except UsageInvalid as error:
        return error
    return None


@dataclass(slots=True)
class _Work:
    """What the orders of a transaction are decided on; `used` of the holders goes with what is booked."""

    holders: Mapping[int, Holder]
    used: dict[int, dict[tuple[str, str, datetime], Spent]]
    known: Mapping[tuple[int, str, str], Mapping[str, Any]]
    noted: dict[tuple[int, str, str], Note] = field(default_factory=dict[tuple[int, str, str], Note])


def _begin(db: Connection, orders: Sequence[Order], holders: Mapping[int, Holder]) -> _Work:
    used = {key: dict(holder.used) for key, holder in holders.items()}
    own = {
        key: Holder(one.contact, one.since, one.grants, one.overrides, used[key], one.policies)
        for key, one in holders.items()
    }
    wanted = [
        (contact, order.feature, order.key)
        for order in orders
        if order.key is not None
        for contact in {order.contact, *order.known_as}
    ]
    return _Work(own, used, ledger.known(db, wanted) if wanted else {})


def _decide(work: _Work, order: Order, catalog: Catalog, as_of: datetime) -> Note | Answer | TidegateError:
    """Books the order in memory; a Note is still to be written, or is already about to be, for an earlier order."""
    if order.key is not None:
        for contact in (order.contact, *order.known_as):
            place = (contact, order.feature, order.key)
            if place in work.known:
                return _again(order, work.known[place])
            if place in work.noted:
                return work.noted[place]
    holder = work.holders[order.contact]
    before = resolve(holder, catalog, as_of, only=[order.feature])[0]
    debits = _debits(order, before)
    for one in debits or ():
        used, bucket = work.used[order.contact], (order.feature, one.bucket, one.start)
        was = used.get(bucket, Spent(0, one.end))
        used[bucket] = Spent(max(0, was.units + one.amount), was.end)
    after = resolve(holder, catalog, as_of, only=[order.feature])[0] if debits else before
    answer = standing_json(order, debits, before, after)
    expires = as_of + _reserved_for(order) if debits is not None and order.operation == "reserve" else None
    if expires is not None:
        answer["expires_at"] = expires.isoformat()
    payer = payer_of(before, debits) if debits and catalog.features[order.feature].meter else None
    note = Note(order.contact, order.feature, order.key, order.operation, tuple(debits or ()), answer, expires, payer)
    if order.key is not None:
        work.noted[order.contact, order.feature, order.key] = note
    return note


def _again(order: Order, row: Mapping[str, Any]) -> Answer | TidegateError:
    if row["operation"] != order.operation or row["answer"]["amount"] != order.amount:
        return UsageInvalid(
            problem=f"the idempotency key {order.key!r} was used for {row['operation']} {row['answer']['amount']}; "
            "use another for another order."
        )
    return {**_first(row), "repeated": True}


def _first(row: Mapping[str, Any]) -> Answer:
    return {**row["answer"], **({"reservation": row["id"]} if row["expires_at"] is not None else {})}


def _debits(order: Order, standing: Entitlement) -> Sequence[Debit] | None:
    """Where the order is booked; None when it is refused. What is used goes down though nothing gives any more."""
    if order.operation == "release":
        return give_back(standing.buckets, order.amount)
    if order.operation == "set" and order.amount <= standing.used:
        return give_back(standing.buckets, standing.used - order.amount) if order.amount < standing.used else ()
    if standing.reason == "feature_unavailable":
        return None
    more = order.amount - standing.used if order.operation == "set" else order.amount
    return (take_anyway if order.happened else take)(standing.buckets, more) or None


def _reserved_for(order: Order) -> timedelta:
    return timedelta(seconds=order.seconds) if order.seconds is not None else RESERVED_FOR


def standing_json(order: Order, debits: Sequence[Debit] | None, before: Entitlement, after: Entitlement) -> Answer:
    """How the usage stands after an order, and whether it was done; None: it was refused.

    `debited` is what really was, which of a release may be less than was asked for.
    """
    allowed = debits is not None
    reason = "granted" if allowed else before.reason if before.reason != "granted" else "usage_limit_reached"
    if allowed and (after.reason == "feature_unavailable" or (order.happened and after.reason == "over_limit")):
        reason = after.reason
    return {
        "feature": order.feature,
        "allowed": allowed,
        "reason": reason,
        "amount": order.amount,
        "debited": sum(one.amount for one in debits or ()),
        "used": after.used,
        "limit": after.limit,
        "unlimited": after.unlimited,
        "remaining": after.remaining,
        "resets_at": after.resets_at.isoformat() if after.resets_at else None,
    }
