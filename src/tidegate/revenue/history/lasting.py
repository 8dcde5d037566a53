"""Discounts whose time is over: what was billed before that stays reduced to the end of its period.

Stripe takes such a discount off the subscription at its end, in the middle of a yearly period, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from msgspec import structs

from tidegate.pricing.facts import Facts
from tidegate.stripe_api.shapes.discounts import Discount

Held = Mapping[str, Sequence[Discount]]
"""Discounts by the item that they are on; under '' those of the whole subscription."""


def held(facts: Facts) -> Held:
    """The discounts on a subscription and its items."""
    subscription = facts.subscription
    whole = facts.told(subscription.discounts, subscription.discount)
    return {"": whole} | {item.id or "": facts.told(item.discounts) for item in facts.items if item.discounts}


def lasting(before: Held, facts: Facts, at: int) -> Held:
    """Those that were held before and went because their time was over, as far as a period that was billed until then
    still runs. One that was taken away earlier is gone at once.
    """
    now = held(facts)
    found: dict[str, list[Discount]] = {}
    for where, discounts in before.items():
        still = {one.identity for one in now.get(where, ())}
        starts = [_begun(facts, item.current_period_start) for item in facts.items if where in {"", item.id}]
        for one in discounts:
            end = one.ends_at
            if end is not None and end <= at and one.identity not in still and any(start < end for start in starts):
                found.setdefault(where, []).append(one)
    return found


def bearing(facts: Facts, lasts: Held) -> Facts:
    """The subscription with these discounts as well."""
    if not lasts:
        return facts
    now = held(facts)
    subscription = structs.replace(
        facts.subscription, discounts=list[str | Discount]((*lasts.get("", ()), *now.get("", ()))), discount=None
    )
    items = [
        structs.replace(item, discounts=list[str | Discount]((*lasts[id_], *now.get(id_, ()))))
        if id_ in lasts
        else item
        for item in facts.items
        for id_ in [item.id or ""]
    ]
    return replace(facts, subscription=subscription, items=items)


def _begun(facts: Facts, told: int | None) -> int:
    """When a period began, epoch seconds; where nobody says so, never before an end."""
    start = told if told is not None else facts.subscription.period_start
    return start if start is not None else 2**62
