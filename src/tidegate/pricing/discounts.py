"""Discounts: which of them count, and what they take off the items of a subscription."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from tidegate.pricing.facts import Facts
from tidegate.pricing.policy import Policy
from tidegate.pricing.value import NOTHING
from tidegate.pricing.working import Working
from tidegate.stripe_api.shapes.catalog import Coupon
from tidegate.stripe_api.shapes.discounts import Discount

COUNTING = {
    "recurring": frozenset({"forever", "repeating"}),
    "applied": frozenset({"forever", "repeating"}),
    "forever": frozenset({"forever"}),
    "one_time": frozenset({"once"}),
    "all": frozenset({"forever", "repeating", "once"}),
    "renewal": frozenset({"forever", "repeating", "once"}),
}
"""The durations of coupons that each choice takes off."""


class Off(NamedTuple):
    """What a discount takes off: so many per cent (`left` is what stays of 1), or an amount in minor units once an
    invoice. `products` empty: of everything. `starts_at` and `ends_at`: epoch seconds.
    """

    coupon: str
    percent: Fraction | None
    left: Fraction
    amount: Fraction
    products: Sequence[str]
    starts_at: int | None
    ends_at: int | None


def take_off(facts: Facts, policy: Policy, items: Sequence[Working], as_of: int) -> None:
    """Takes the discounts off the items' amounts for a period: each item's own first, then the subscription's, each on
    what is left. The customer's count only where the subscription has none (docs.stripe.com/api/subscriptions/create:
    it "inherits" them). A discount that is not told becomes a `problem` of the items.
    """
    if policy.discounts == "none":
        return
    left = [item for item in items if not _as_invoiced(facts, item)] if policy.discounts == "applied" else items
    for item in left:
        if item.told.discounts:
            for discount in facts.named(item.told.discounts):
                _take(facts, policy, discount, [item], as_of)
    subscription = facts.subscription
    common = facts.named(subscription.discounts, subscription.discount) or facts.customer_discounts
    for discount in common:
        if isinstance(discount, str) or not discount.deleted:
            _take(facts, policy, discount, left, as_of)


def _take(facts: Facts, policy: Policy, discount: str | Discount, items: Sequence[Working], as_of: int) -> None:
    coupon = None if isinstance(discount, str) else facts.coupon_of(discount)
    if isinstance(discount, str) or coupon is None:
        named = discount if isinstance(discount, str) else discount.identity or discount.coupon
        for item in items:
            item.problem = item.problem or f"the discount {named} is not told; expand it"
        return
    off = _off(facts, policy, discount, coupon)
    if off is None:
        return
    met = [item for item in items if _meets(policy, off, item, as_of)]
    if off.percent is not None:
        for item in met:
            item.set(item.amount * off.left, "discount", "{} % off ({})", off.percent, off.coupon)
        return
    for group in _by_interval(met):
        _share_out(group, off)


def _share_out(items: Sequence[Working], off: Off) -> None:
    """Takes an amount off items that stand on one invoice, in proportion; never below nothing."""
    licensed = [item for item in items if not item.metered] or items
    whole = sum((item.amount for item in licensed), NOTHING)
    if whole <= 0:
        return
    taken = min(off.amount, whole)
    for item in licensed:
        share = taken * item.amount / whole
        words = "{} off ({})" if len(licensed) == 1 else "{} off, its share ({})"
        item.set(item.amount - share, "discount", words, share, off.coupon)


def _off(facts: Facts, policy: Policy, discount: Discount, coupon: Coupon) -> Off | None:
    """None: it does not count under the policy, or takes nothing off in this currency."""
    duration = coupon.duration or ("forever" if discount.ends_at is None else "repeating")
    if duration not in COUNTING[policy.discounts]:
        return None
    percent, left, amount = None, NOTHING, NOTHING
    if coupon.percent is not None:
        percent, left = _percent(coupon.percent_off or "0")
    else:
        taken = _amount_off(coupon, facts.currency)
        if taken is None or taken <= 0:
            return None
        amount = Fraction(taken)
    name = coupon.id or discount.coupon or ""
    return Off(name, percent, left, amount, coupon.products, discount.starts_at, discount.ends_at)


def _meets(policy: Policy, off: Off, item: Working, as_of: int) -> bool:
    """Whether the discount counts for the item now: to the end of the last period invoiced before its `end`; or, under
    `renewal`, whether the next period will be invoiced before it.
    """
    if off.products and item.product not in off.products:
        return False
    if off.starts_at is not None and off.starts_at > as_of:
        return False
    if off.ends_at is None:
        return True
    start, end = item.period
    if policy.discounts == "renewal":
        return (as_of if end is None else max(end, as_of)) < off.ends_at
    invoiced = start if start is not None and (end is None or as_of < end) else as_of
    return invoiced < off.ends_at


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
    if amount <= 0 or any(line.discount_amount is None for line in lines):
        return False
    off = sum(line.discount_amount or 0 for line in lines)
    if off > 0:
        item.set(item.amount * (1 - Fraction(min(off, amount), amount)), "discount", "as on its last invoice")
    return True


def _by_interval(items: Iterable[Working]) -> Iterable[list[Working]]:
    """Items of one interval stand on one invoice."""
    groups: dict[tuple[str, int], list[Working]] = {}
    for item in items:
        groups.setdefault((item.interval, item.interval_count), []).append(item)
    return groups.values()


@lru_cache(1024)
def _percent(decimal: str) -> tuple[Fraction, Fraction]:
    """Per cent between 0 and 100, and what stays of 1."""
    percent = min(max(Fraction(decimal), Fraction(0)), Fraction(100))
    return percent, 1 - percent / 100
