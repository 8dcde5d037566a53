"""What a subscription is scheduled to be worth: the phases of its schedule that have not started."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tidegate.pricing.facts import Facts
from tidegate.pricing.policy import Policy
from tidegate.pricing.subscription import value
from tidegate.pricing.value import Value, instant
from tidegate.stripe_api.shapes.catalog import Coupon
from tidegate.stripe_api.shapes.discounts import Discount
from tidegate.stripe_api.shapes.schedules import Phase, PhaseDiscount, PhaseItem
from tidegate.stripe_api.shapes.subscriptions import Subscription, SubscriptionItem

RUNNING = frozenset({"not_started", "active"})


class Scheduled(NamedTuple):
    """What the subscription will be worth from `starts_at` to `ends_at` (epoch seconds), as far as is known now."""

    starts_at: int
    ends_at: int | None
    value: Value

    def as_json(self, policy: str) -> dict[str, Any]:
        """As `tidegate price` prints it."""
        told = self.value.as_json(policy)
        return {
            "starts_at": instant(self.starts_at),
            "ends_at": instant(self.ends_at),
            **{name: told[name] for name in ("mrr", "mrr_exact", "counts", "why_not", "items")},
        }


def scheduled(facts: Facts, policy: Policy, as_of: int) -> list[Scheduled]:
    """The phases that start after an instant (epoch seconds), each valued at its start; none without a schedule."""
    schedule = facts.schedule
    if schedule is None or schedule.status not in RUNNING:
        return []
    return [
        Scheduled(phase.start_date, phase.end_date, _valued(facts, policy, phase, phase.start_date))
        for phase in schedule.phases or ()
        if phase.start_date is not None and phase.start_date > as_of
    ]


def _valued(facts: Facts, policy: Policy, phase: Phase, start: int) -> Value:
    in_trial = phase.trial_end is not None and phase.trial_end > start
    common = _discounts(facts, phase.discounts, phase.coupon, start)
    subscription = Subscription(
        id=facts.subscription.id,
        status="trialing" if in_trial else "active",
        currency_told=phase.currency or facts.currency or None,
        period_start=start,
        discounts=common,
        default_tax_rates=phase.default_tax_rates,
    )
    items = [_item(facts, one, start) for one in phase.items or ()]
    return value(replace(facts, subscription=subscription, items=items, lines={}, schedule=None), policy, start)


def _item(facts: Facts, told: PhaseItem, start: int) -> SubscriptionItem:
    return SubscriptionItem(
        price_embedded=told.price,
        plan=told.plan,
        quantity=told.quantity,
        discounts=_discounts(facts, told.discounts, None, start),
        tax_rates=told.tax_rates,
    )


def _discounts(
    facts: Facts, told: Sequence[PhaseDiscount] | None, single: str | Coupon | None, start: int
) -> list[str | Discount]:
    named = told or ([PhaseDiscount(coupon=single)] if single is not None else [])
    return [_discount(facts, one, start) for one in named]


def _discount(facts: Facts, told: PhaseDiscount, start: int) -> str | Discount:
    """The discount that a phase will have; one from a coupon begins with the phase."""
    if told.coupon is not None:
        return Discount(coupon_embedded=told.coupon, starts_at=start)
    if isinstance(told.discount, str):
        own = facts.told(facts.subscription.discounts, facts.subscription.discount)
        known = [one for one in own if one.id == told.discount]
        return known[0] if known else told.discount
    if told.discount is not None:
        return told.discount
    return f"of the promotion code {told.promotion_code if isinstance(told.promotion_code, str) else ''}".strip()
