"""What a subscription is worth a month at an instant: its items priced, discounted, without tax, by the month."""

from collections.abc import Sequence
from fractions import Fraction

from tidegate.pricing import discounts, taxes
from tidegate.pricing.facts import Facts
from tidegate.pricing.months import per_month
from tidegate.pricing.policy import Policy
from tidegate.pricing.terms import Unpriced, charges
from tidegate.pricing.value import NOTHING, ItemValue, Step, Value
from tidegate.pricing.working import Working
from tidegate.stripe_api.shapes.catalog import Price
from tidegate.stripe_api.shapes.subscriptions import Subscription, SubscriptionItem

COUNTING = frozenset({"active", "past_due"})
DAY = 86_400


def value(facts: Facts, policy: Policy, as_of: int) -> Value:
    """What a subscription is worth at an instant (epoch seconds), by the rules of the policy; never raises."""
    items = [_working(facts, policy, told) for told in facts.items]
    priced = [item for item in items if not item.problem and item.interval]
    discounts.take_off(facts, policy, priced, as_of)
    for item in priced:
        taxes.take_out(facts, item)
    why_not = _why_not(facts, policy, as_of)
    in_trial = facts.subscription.status == "trialing"
    values = tuple(_valued(item, policy, why_not, in_trial) for item in items)
    return Value(facts.currency, values, why_not, _ends_at(facts.subscription))


def _working(facts: Facts, policy: Policy, told: SubscriptionItem) -> Working:
    price = facts.price_of(told)
    metered = price is not None and price.usage_type == "metered"
    subscription = facts.subscription
    item = Working(
        told=told,
        id=told.id or "",
        price=told.price or "",
        product=(price.product if price else None) or told.product or "",
        quantity=told.quantity if told.quantity is not None else 0 if metered else 1,
        interval=(price.interval if price else None) or "",
        interval_count=(price.interval_count if price else None) or 1,
        metered=metered,
        period=_period(told, subscription),
        steps=[],
    )
    if metered:
        _meter(facts, policy, item)
    elif price is not None:
        _charge(item, price, facts.currency)
    else:
        item.problem = "it names no price"
    item.listed = item.amount
    return item


def _period(told: SubscriptionItem, subscription: Subscription) -> tuple[int | None, int | None]:
    if told.current_period_start is not None:
        return told.current_period_start, told.current_period_end
    return subscription.period_start, subscription.period_end


def _charge(item: Working, price: Price, currency: str) -> None:
    found = charges(price, item.quantity, currency)
    if isinstance(found, Unpriced):
        item.problem = found.reason
        return
    amount = NOTHING
    for charge in found:
        amount += charge.amount
        if charge.tier:
            words = "{:,} × {} + {} (tier {}, up to {})" if charge.flat else "{0:,} × {1} (tier {3}, up to {4})"
            end = "any" if charge.up_to is None else charge.up_to
            item.set(amount, "tier", words, charge.quantity, charge.unit, charge.flat, charge.tier, end)
        else:
            item.set(amount, "price", "{:,} × {}", charge.quantity, charge.unit)


def _meter(facts: Facts, policy: Policy, item: Working) -> None:
    """Usage is nothing that recurs, unless the policy takes the last closed period for the next ones."""
    if policy.metered == "zero":
        item.set(NOTHING, "metered", "usage does not count")
        return
    billed = sum(line.amount or 0 for line in facts.lines.get(item.id, ()))
    item.set(Fraction(billed), "metered", "usage of the last closed period")


def _why_not(facts: Facts, policy: Policy, as_of: int) -> str:
    """Why the subscription counts for nothing now; empty: it counts."""
    subscription = facts.subscription
    status = subscription.status or "unknown"
    if status == "trialing":
        return "" if policy.trials == "count" else "it is trialing"
    if status not in COUNTING:
        return f"it is {status.replace('_', ' ')}"
    since, days = facts.past_due_since, policy.past_due_days
    if status == "past_due" and days is not None and since is not None and as_of >= since + days * DAY:
        return f"it has been past due for {days} days"
    resumes = subscription.pause_resumes_at
    paused = subscription.pause_behavior in {"void", "mark_uncollectible"} and (resumes is None or as_of < resumes)
    if paused:
        return f"collection is paused ({subscription.pause_behavior})"
    asked = subscription.canceled_at
    if policy.cancellation == "request" and asked is not None and asked <= as_of:
        return "its cancellation was asked for"
    return ""


def _ends_at(subscription: Subscription) -> int | None:
    """When it is to end by what was asked for, epoch seconds; None: it goes on, or has ended."""
    if subscription.ended_at is not None or subscription.status in {"canceled", "incomplete_expired"}:
        return None
    if subscription.cancel_at is not None:
        return subscription.cancel_at
    return subscription.current_period_end if subscription.cancel_at_period_end else None


def _valued(item: Working, policy: Policy, why_not: str, in_trial: bool) -> ItemValue:
    rate = per_month(item.interval, item.interval_count, policy)
    problem = item.problem
    if rate is None:
        rate = NOTHING
        problem = problem or ("its price does not recur" if not item.interval else f"no interval: {item.interval}")
    monthly = item.amount * rate
    steps = item.steps
    if rate not in (0, 1):
        steps.append(Step("month", monthly, "a month, at {} periods a month", (rate,)))
    if why_not:
        steps.append(Step("trial" if in_trial else "none", NOTHING, "counts for nothing: {}", (why_not,)))
    return ItemValue(
        item.id, item.price, item.product, item.quantity, item.interval, item.interval_count, item.metered,
        item.listed * rate, NOTHING if why_not else monthly, monthly if in_trial else NOTHING, tuple(steps), problem,
    )  # fmt: skip


def listed(items: Sequence[ItemValue]) -> Fraction:
    """What items cost a month by their prices, before discounts and tax."""
    return sum((item.listed for item in items), NOTHING)
