"""The truth of revenue: what every customer was worth at the end of each month, and how that moved."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tidegate.sandbox.monthly import over_time
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import World

TOGETHER = 3600
"""Seconds within which changes of a customer are one movement, from the first of them on; its date is the last's."""

Line = tuple[str, str]
"""A customer and a currency."""


class Movement(NamedTuple):
    """By how much (minor units a month) a customer's worth in a currency changed, dated `at` (UTC epoch seconds)."""

    customer: str
    currency: str
    at: int
    kind: str
    amount: Fraction


@dataclass(frozen=True, slots=True)
class Month:
    """One month: `ends` is its end or, if that is to come, a second from now (UTC epoch seconds); `worth` is how much a
    month each customer is worth then, those worth nothing left out.
    """

    name: str
    ends: int
    worth: dict[Line, Fraction]
    movements: list[Movement]

    def mrr(self) -> dict[str, Fraction]:
        """All customers' worth by currency."""
        found: dict[str, Fraction] = {}
        for (_, currency), amount in self.worth.items():
            found[currency] = found.get(currency, Fraction(0)) + amount
        return found

    def as_json(self) -> Obj:
        """As /__truth/revenue tells it: minor units as exact fractions."""
        customers = [
            {"customer": customer, "currency": currency, "mrr": str(amount)}
            for (customer, currency), amount in sorted(self.worth.items())
        ]
        mrr = {currency: str(amount) for currency, amount in sorted(self.mrr().items())}
        moved = _by_kind(self.movements)
        return {"month": self.name, "ends": self.ends, "mrr": mrr, "customers": customers, "movements": moved}


def revenue(world: World, zone: ZoneInfo) -> list[Month]:
    """The months of the company's life in a time zone, oldest first, the current one so far included."""
    steps = _by_customer(world)
    moved = [one for line, those in steps.items() for one in _movements(line, those)]
    begins = min((those[0][0] for those in steps.values()), default=world.clock.now)
    found: list[Month] = []
    for name, since, ends in months(begins, world.clock.now, zone):
        worth = {line: amount for line, those in steps.items() if (amount := _standing(those, ends))}
        inside = [one for one in moved if since <= one.at < ends]
        found.append(Month(name, ends, worth, sorted(inside, key=lambda one: (one.at, one.customer, one.currency))))
    return found


def months(begins: int, now: int, zone: ZoneInfo) -> Iterator[tuple[str, int, int]]:
    """The months from an instant until now: name (2026-03), start and end, the last one's end being just after now."""
    first = datetime.fromtimestamp(begins, UTC).astimezone(zone)
    year, month = first.year, first.month
    while (start := int(datetime(year, month, 1, tzinfo=zone).timestamp())) <= now:
        name = f"{year}-{month:02}"
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        yield name, start, min(now + 1, int(datetime(year, month, 1, tzinfo=zone).timestamp()))


def _by_kind(movements: Sequence[Movement]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, Fraction]] = {}
    for one in movements:
        kinds = found.setdefault(one.currency, {})
        kinds[one.kind] = kinds.get(one.kind, Fraction(0)) + one.amount
    return {currency: {kind: str(amount) for kind, amount in kinds.items()} for currency, kinds in found.items()}


def _by_customer(world: World) -> dict[Line, list[tuple[int, Fraction]]]:
    """From when on each customer was worth how much in each currency."""
    changes: dict[Line, dict[int, Fraction]] = {}
    for course in world.state.worth.courses.values():
        mine, before = changes.setdefault((course.customer, course.currency), {}), Fraction(0)
        for at, amount in over_time(world, course):
            mine[at] = mine.get(at, Fraction(0)) + amount - before
            before = amount
    found: dict[Line, list[tuple[int, Fraction]]] = {}
    for line, mine in changes.items():
        total = Fraction(0)
        for at, change in sorted(mine.items()):
            total += change
            if change:
                found.setdefault(line, []).append((at, total))
    return found


def _standing(steps: Sequence[tuple[int, Fraction]], ends: int) -> Fraction:
    """What steps come to just before an instant, which belongs to what follows it."""
    place = bisect_right(steps, ends - 1, key=lambda step: step[0])
    return steps[place - 1][1] if place else Fraction(0)


def _movements(line: Line, steps: Sequence[tuple[int, Fraction]]) -> Iterator[Movement]:
    opening, ever = Fraction(0), False
    place = 0
    while place < len(steps):
        last = place
        while last + 1 < len(steps) and steps[last + 1][0] - steps[place][0] <= TOGETHER:
            last += 1
        at, closing = steps[last]
        if closing != opening:
            yield Movement(*line, at, _kind(opening, closing, ever=ever), closing - opening)
        opening, ever, place = closing, ever or closing > 0, last + 1


def _kind(opening: Fraction, closing: Fraction, *, ever: bool) -> str:
    if opening == 0:
        return "reactivation" if ever else "new"
    return "churn" if closing == 0 else "expansion" if closing > opening else "contraction"
