"""What has to be written so that recorded events say what is derived: added, rewritten, reversed or dropped."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any

from tidegate.revenue.billing.event import AMOUNTS, MONEY, Event
from tidegate.revenue.billing.refunded import Withdrawn


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it is stored; `told`: others have heard of it. Times in epoch seconds."""

    id: str
    name: str
    at: int
    customer: str
    identity: str
    subscription: str | None
    invoice: str | None
    currency: str | None
    amount: int | None
    data: Mapping[str, Any]
    reverses: str | None
    told: bool


@dataclass(slots=True)
class Written:
    """Rows to be added, to be written anew under their ids, and ids of rows to be dropped."""

    added: list[Recorded] = field(default_factory=list[Recorded])
    rewritten: list[Recorded] = field(default_factory=list[Recorded])
    dropped: list[str] = field(default_factory=list[str])


def reconcile(
    stored: Sequence[Recorded],
    events: Iterable[Event],
    *,
    unsettled: AbstractSet[str],
    withdrawn: Mapping[str, Withdrawn],
    as_of: int,
    since: int | None,
) -> Written:
    """What is to be written. Events that stay the same are not.

    An event that is not derived any more, or with another date or amount, is reversed by another where it tells of
    money or others have heard of it, else dropped. What else changes of it (an identity, the name of a plan, the reason
    that a credit note adds) is written anew. Events that came about before `since` (None: all of them) are history, and
    not told. Nothing is done to those of `unsettled` invoices. Stored data has decimals as Decimal.
    """
    written = Written()
    standing, numbers = _standing(stored)
    for event in events:
        numbered = numbers.get(event.id, 0)
        now = standing.pop(event.id, None)
        fresh = _row(event, told=since is not None and event.came_at >= since)
        if now is None:
            written.added.append(_named(fresh, numbered + 1))
        elif _same(now, fresh):
            fresh = _named(fresh, numbered, told=now.told)
            if fresh != now:
                written.rewritten.append(fresh)
        elif _lasts(now):
            written.added.append(_reversal(now, withdrawn.get(event.id), as_of, "it is told otherwise now"))
            written.added.append(_named(fresh, numbered + 1, told=fresh.told or now.told))
        else:
            written.rewritten.append(_named(fresh, numbered))
    for id_, now in standing.items():
        if now.invoice is not None and now.invoice in unsettled:
            continue
        if _lasts(now):
            written.added.append(_reversal(now, withdrawn.get(id_), as_of, "it does not hold any more"))
        else:
            written.dropped.append(now.id)
    return written


def _standing(stored: Sequence[Recorded]) -> tuple[dict[str, Recorded], dict[str, int]]:
    """By the id that it is derived under the event that stands, if any does, and how many there were."""
    reversed_ = {one.reverses for one in stored if one.reverses is not None}
    standing: dict[str, Recorded] = {}
    numbers: dict[str, int] = {}
    for one in stored:
        if one.reverses is not None:
            continue
        id_, _, number = one.id.partition("#")
        numbers[id_] = max(numbers.get(id_, 0), int(number or 1))
        if one.id not in reversed_:
            standing[id_] = one
    return standing, numbers


def _row(event: Event, *, told: bool) -> Recorded:
    return Recorded(
        event.id, event.name, event.at, event.customer, event.identity, event.subscription, event.invoice,
        event.currency, event.amount, event.data, None, told,
    )  # fmt: skip


def _named(row: Recorded, number: int, *, told: bool | None = None) -> Recorded:
    """The row under the id of the n-th event that is derived under one id."""
    return replace(row, id=row.id if number == 1 else f"{row.id}#{number}", told=row.told if told is None else told)


def _same(one: Recorded, other: Recorded) -> bool:
    return (one.name, one.at, one.currency, one.amount) == (other.name, other.at, other.currency, other.amount)


def _lasts(row: Recorded) -> bool:
    return row.told or row.name in MONEY


def _reversal(row: Recorded, how: Withdrawn | None, as_of: int, why: str) -> Recorded:
    """The event that takes another back: the same with its amounts turned round."""
    at, reason = how or (as_of, why)
    properties = {name: -value if name in AMOUNTS else value for name, value in row.data.get("properties", {}).items()}
    data = {"kind": "reversal", "reason": reason, "properties": {**properties, "Reverses": row.id}}
    amount = None if row.amount is None else -row.amount
    return replace(row, id=f"{row.id}:reversed", at=at, amount=amount, data=data, reverses=row.id)
