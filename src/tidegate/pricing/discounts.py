"""Discounts: which of them recur, and what they take off the items of a subscription."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from tidegate.pricing.facts import Facts
from tidegate.pricing.policy import Policy
from tidegate.pricing.working import Working
from tidegate.stripe_api.shapes.catalog import Coupon
from tidegate.stripe_api.shapes.discounts import Discount


class Off(NamedTuple):
    """What a discount takes off: so many per cent, or an amount in minor units once an invoice. `products` empty: of
    everything.
    """

    coupon: str
    percent: Fraction | None
    amount: Fraction
    products: frozenset[str]

    def concerns(self, item: Working) -> bool:
        """Whether the coupon is valid for the item."""
        return not self.products or item.product in self.products


def take_off(facts: Facts, policy: Policy, items: Sequence[Working], as_of: int) -> None:
    """Takes the discounts off the items' amounts for a period: each item's own first, then the subscription's, each on
    what is left. The customer's count only where the subscription has none (docs.stripe.com/billing/
    subscriptions/coupons).
    """
    if policy.discounts == "none":
        return
    left = [item for item in items if not (policy.discounts == "applied" and _as_invoiced(facts, item))]
    for item in left:
        for discount in facts.told(item.told.discounts):
            if off := _off(facts, policy, discount, item, as_of):
                _from_each([item], off)
    subscription = facts.subscription
    named = subscription.discounts or subscription.discount
    common = facts.told(subscription.discounts, subscription.discount) if named else facts.customer_discounts
    for discount in common:
        for group in _by_interval(left):
            _from_group(facts, policy, discount, group, as_of)


def _from_group(facts: Facts, policy: Policy, discount: Discount, group: Sequence[Working], as_of: int) -> None:
    """Items of one interval stand on one invoice."""
    found = [(item, off) for item in group if (off := _off(facts, policy, discount, item, as_of))]
    if found:
        _from_each([item for item, off in found if off.concerns(item)], found[0][1])


def _from_each(items: Sequence[Working], off: Off) -> None:
    """Takes per cent off each item, or an amount off all of them in proportion; never below nothing."""
    if off.percent is not None:
        left = _left(off.percent)
        for item in items:
            item.set(item.amount * left, "discount", "{} % off ({})", off.percent, off.coupon)
        return
    licensed = [item for item in items if not item.metered] or list(items)
    whole = sum((item.amount for item in licensed), Fraction(0))
    if whole <= 0:
        return
    taken = min(off.amount, whole)
    for item in licensed:
        share = taken * item.amount / whole
        item.set(item.amount - share, "discount", "{} off, its share ({})", share, off.coupon)


def _off(facts: Facts, policy: Policy, discount: Discount, item: Working, as_of: int) -> Off | None:
    coupon = facts.coupon_of(discount)
    if coupon is None or not _lasts(policy, discount, coupon, item, as_of):
        return None
    products = frozenset(coupon.products)
    if coupon.percent_off is not None:
        return Off(coupon.id or "", _percent(coupon.percent_off), Fraction(0), products)
    amount = _amount_off(coupon, facts.currency)
    return None if amount is None else Off(coupon.id or "", None, Fraction(amount), products)


def _lasts(policy: Policy, discount: Discount, coupon: Coupon, item: Working, as_of: int) -> bool:
    """Whether the discount counts for the item now: to the end of the last period invoiced before its `end`."""
    if coupon.duration == "once" and policy.discounts != "all":
        return False
    if discount.starts_at is not None and discount.starts_at > as_of:
        return False
    if discount.ends_at is None:
        return True
    start, end = item.period
    invoiced = start if start is not None and (end is None or as_of < end) else as_of
    return invoiced < discount.ends_at


def _amount_off(coupon: Coupon, currency: str) -> int | None:
    """In minor units of the currency; None: the coupon takes nothing off in it."""
    if coupon.amount_off is not None and (coupon.currency or "").lower() == currency:
        return coupon.amount_off
    option = (coupon.currency_options or {}).get(currency)
    return option.amount_off if option else None


def _as_invoiced(facts: Facts, item: Working) -> bool:
    """Takes off the part that the item's last lines had taken off; false where they do not tell."""
    lines = facts.lines.get(item.id, ())
    amount = sum(line.amount or 0 for line in lines)
    if amount <= 0:
        return False
    off = sum(line.discount_amount or 0 for line in lines)
    if off:
        item.set(item.amount * (1 - Fraction(min(off, amount), amount)), "discount", "as on its last invoice")
    return True


def _by_interval(items: Iterable[Working]) -> list[list[Working]]:
    groups: dict[tuple[str, int], list[Working]] = {}
    for item in items:
        groups.setdefault((item.interval, item.interval_count), []).append(item)
    return list(groups.values())


@lru_cache(1024)
def _percent(decimal: str) -> Fraction:
    return min(Fraction(decimal), Fraction(100))


@lru_cache(1024)
def _left(percent: Fraction) -> Fraction:
    return 1 - percent / 100
