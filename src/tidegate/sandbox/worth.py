"""What each subscription was on which terms, noted as the company lives: what the truth of revenue is worked out from.

Of what is stored at every change only that is kept which the worth depends on, and only where it differs.
"""

from typing import NamedTuple

from tidegate.sandbox.resources import Obj, part

COUNTING = frozenset({"active", "past_due"})
UNBILLED = frozenset({"void", "mark_uncollectible"})
"""Pauses of collection whose invoices nobody is ever to pay."""


class ItemTerms(NamedTuple):
    """One licensed item. `period`: the one that was billed last, UTC epoch seconds; None while no discount needs it."""

    id: str
    price: str
    quantity: int
    discounts: tuple[str, ...]
    rates: tuple[tuple[str, bool], ...]
    period: tuple[int, int] | None


class Terms(NamedTuple):
    """How a subscription stood from `at` on, UTC epoch seconds. `counts`: whether it is worth anything."""

    at: int
    counts: bool
    items: tuple[ItemTerms, ...]
    discounts: tuple[str, ...]


class Course:
    """One subscription's terms over time, oldest first, and whose it is."""

    __slots__ = ("currency", "customer", "discounted", "terms")

    def __init__(self, subscription: Obj) -> None:
        self.customer: str = subscription.get("customer") or ""
        self.currency: str = subscription.get("currency") or ""
        self.discounted = False
        """Whether it ever had a discount: from then on periods matter."""
        self.terms: list[Terms] = []

    def note(self, terms: Terms) -> None:
        """Adds terms unless they are those that hold; what is told of the same instant later takes the place."""
        if self.terms and self.terms[-1].at >= terms.at:
            self.terms.pop()
        if not self.terms or self.terms[-1][1:] != terms[1:]:
            self.terms.append(terms)


class Worth:
    """The courses of all subscriptions by id, those on test clocks left out, and the customers' own discounts: from
    when on which, None for none.
    """

    def __init__(self) -> None:
        self.courses: dict[str, Course] = {}
        self.own: dict[str, list[tuple[int, str | None]]] = {}

    def note(self, obj: Obj, now: int) -> None:
        """Notes a subscription or customer as it is stored at an instant; other objects do not matter."""
        if obj.get("test_clock"):
            return
        if obj["object"] == "subscription":
            self._note_subscription(obj, now)
        elif obj["object"] == "customer":
            given = obj["discount"]["id"] if obj.get("discount") else None
            known = self.own.get(obj["id"])
            if given != (known[-1][1] if known else None):
                self.own.setdefault(obj["id"], []).append((now, given))

    def end(self, subscription: str, now: int) -> None:
        """Notes that a subscription was deleted."""
        if (course := self.courses.get(subscription)) is not None:
            course.note(Terms(now, False, (), ()))

    def _note_subscription(self, obj: Obj, now: int) -> None:
        course = self.courses.get(obj["id"])
        begins = now
        if course is None:
            course = self.courses[obj["id"]] = Course(obj)
            begins = min(now, obj.get("start_date") or now)  # backdated: it counts from its start
        items = _items(obj)
        course.discounted |= bool(_ids(obj) or any(one.discounts for one in items))
        if not course.discounted:
            items = tuple(one._replace(period=None) for one in items)
        course.note(Terms(begins, _counts(obj), items, _ids(obj)))


def _counts(obj: Obj) -> bool:
    return obj["status"] in COUNTING and part(obj, "pause_collection").get("behavior") not in UNBILLED


def _items(obj: Obj) -> tuple[ItemTerms, ...]:
    """The licensed items of a subscription. What is put from outside may lack what the sandbox itself always writes."""
    return tuple(
        ItemTerms(
            one["id"],
            one["price"]["id"],
            one["quantity"],
            _ids(one),
            _rates(one.get("tax_rates") or obj.get("default_tax_rates") or []),
            _period(one),
        )
        for one in part(obj, "items").get("data", ())
        if "quantity" in one and "price" in one
    )


def _period(item: Obj) -> tuple[int, int] | None:
    begin, end = item.get("current_period_start"), item.get("current_period_end")
    return None if begin is None or end is None else (begin, end)


def _ids(owner: Obj) -> tuple[str, ...]:
    return tuple(one if isinstance(one, str) else one["id"] for one in owner.get("discounts") or ())


def _rates(rates: list[Obj]) -> tuple[tuple[str, bool], ...]:
    return tuple((str(rate["percentage"]), bool(rate["inclusive"])) for rate in rates)
