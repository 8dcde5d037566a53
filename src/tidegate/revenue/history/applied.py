"""Discounts that invoices bore: what each was on, and what it took off where its coupon is not told any more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from msgspec import structs

from tidegate.pricing.facts import Facts
from tidegate.revenue.history.evidence import Group
from tidegate.stripe_api.shapes.catalog import Coupon
from tidegate.stripe_api.shapes.discounts import Discount
from tidegate.stripe_api.shapes.lines import InvoiceLine


@dataclass(slots=True)
class Applied:
    """Discounts that held at an instant: those of the whole subscription (or its customer), and those of its items."""

    whole: dict[str, Discount] = field(default_factory=dict[str, Discount])
    of_items: dict[str, dict[str, Discount]] = field(default_factory=dict[str, dict[str, Discount]])


def applied(facts: Facts, groups: Sequence[Group], items: Iterable[str], instant: int) -> Applied:
    """What the invoices of these items' periods bore at an instant. A discount of the period that follows which was
    given before it holds from then on, also where that is a trial.
    """
    found = Applied()
    for item in items:
        current, following = _around(groups, item, instant)
        for group in [one for one in (current, following) if one]:
            for id_, own in _named(group):
                discount = _discount(facts, id_)
                if group is following and not _given_since(discount, current, instant):
                    continue
                held = found.of_items.setdefault(item, {}) if own else found.whole
                held.setdefault(id_, structs.replace(discount, starts_at=None))
    return found


def given_at(facts: Facts, groups: Sequence[Group]) -> set[int]:
    """When the discounts that invoices bore were given, epoch seconds, as far as that is told."""
    named = {id_ for group in groups for id_, _ in _named(group)}
    return {at for id_ in named if (known := facts.discounts.get(id_)) and (at := known.starts_at) is not None}


def period_of(groups: Sequence[Group], group: Group) -> tuple[int, int]:
    """The period that a group belongs to, epoch seconds: all that was billed of its item until the same end."""
    until = [one for one in groups if one.key.item == group.key.item and one.key.end == group.key.end]
    return min(one.key.start for one in until), group.key.end


def with_coupons(facts: Facts, groups: Sequence[Group]) -> Mapping[str, Coupon]:
    """The coupons that are known, with those that are not (deleted ones) as what they took off tells of them."""
    taken: dict[str, list[_Taken]] = {}
    for group in groups:
        for line in group.lines:
            for id_, one in _taken(group.key.invoice, line):
                if facts.coupon_of(_discount(facts, id_)) is None:
                    taken.setdefault(id_, []).append(one)
    if not taken:
        return facts.coupons
    made = {_discount(facts, id_).coupon or id_: _coupon(facts, id_, those) for id_, those in taken.items()}
    return {**facts.coupons, **made}


def _around(groups: Sequence[Group], item: str, instant: int) -> tuple[Group | None, Group | None]:
    """The item's period that had begun by an instant, and the next one: groups that are no proration, where there are
    any.
    """
    mine = [one for one in groups if one.key.item == item and not one.key.negative]
    whole = [one for one in mine if not one.key.proration] or mine
    begun = [one for one in whole if one.from_ <= instant]
    return (begun[-1] if begun else None), next((one for one in whole if one.from_ > instant), None)


def _given_since(discount: Discount, current: Group | None, instant: int) -> bool:
    start = discount.starts_at
    if start is None or current is None or start > instant:
        return False
    return current.from_ < start or not current.amount  # of nothing, as in a trial, no discount takes anything off


def _named(group: Group) -> Iterator[tuple[str, bool]]:
    """The discounts that took something off, in order; true: it is the item's own."""
    for line in group.lines:
        own = {one if isinstance(one, str) else one.identity for one in line.discounts or ()}
        for part in line.discount_amounts or ():
            if part.discount and part.amount:
                yield part.discount, part.discount in own


def _discount(facts: Facts, id_: str) -> Discount:
    known = facts.discounts.get(id_)
    return known if known is not None else Discount(id=id_, coupon_embedded=id_)


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a discount took off a line of which `left` was left, minor units."""

    invoice: str
    left: int
    amount: int


def _taken(invoice: str, line: InvoiceLine) -> Iterator[tuple[str, _Taken]]:
    left = line.amount or 0
    for part in line.discount_amounts or ():
        amount = part.amount or 0
        if part.discount and amount > 0 and left > 0:
            yield part.discount, _Taken(invoice, left, amount)
        left -= amount


def _coupon(facts: Facts, id_: str, taken: Sequence[_Taken]) -> Coupon:
    """So many per cent, to a tenth, where that explains all amounts, else the amount of the last invoice."""
    discount = _discount(facts, id_)
    name, duration = discount.coupon or id_, _duration(facts, discount, {one.invoice for one in taken})
    most = max(taken, key=lambda one: one.left)
    percent = Fraction(round(Fraction(most.amount * 1000, most.left)), 10)
    if all(abs(one.left * percent / 100 - one.amount) <= Fraction(1, 2) for one in taken):
        return Coupon(id=name, percent=float(percent), duration=duration)
    amount = sum(one.amount for one in taken if one.invoice == taken[-1].invoice)
    return Coupon(id=name, amount_off=amount, currency=facts.currency, duration=duration)


def _duration(facts: Facts, discount: Discount, invoices: set[str]) -> str:
    """What stood on one invoice alone and is gone was for that one; Stripe takes such a discount away with it."""
    if discount.ends_at is not None:
        return "repeating"
    subscription = facts.subscription
    named = facts.told(subscription.discounts, subscription.discount)
    live = {one.id for one in [*named, *facts.customer_discounts]}
    live |= {one.id for item in facts.items for one in facts.told(item.discounts)}
    return "forever" if discount.id in live or len(invoices) > 1 else "once"
