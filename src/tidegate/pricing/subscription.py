"""What a subscription is worth a month at an instant: its items priced, discounted, without tax, by the month."""

from fractions import Fraction

from tidegate.pricing import discounts, taxes
from tidegate.pricing.facts import Facts
from tidegate.pricing.months import per_month
from tidegate.pricing.policy import Policy
from tidegate.pricing.terms import Unpriced, charges, in_currency
from tidegate.pricing.value import NOTHING, ItemValue, Step, Value
from tidegate.pricing.working import Working
from tidegate.stripe_api.shapes.catalog import Price
from tidegate.stripe_api.shapes.subscriptions import Subscription, SubscriptionItem

COUNTING = frozenset({"active", "past_due"})
DAY = 86_400
ONE = Fraction(1)
SINCE_UNKNOWN = "since when it is past due is not told; taken as within the days that count"


def value(facts: Facts, policy: Policy, as_of: int) -> Value:
    """What a subscription is worth at an instant (epoch seconds), by the rules of the policy; never raises.

    What waits in its `pending_update` is not in it: Stripe tells the items that hold until that is paid.
    """
    currency = facts.currency
    items = [_working(facts, policy, told, currency) for told in facts.items]
    priced = [item for item in items if not item.problem and item.interval]
    discounts.take_off(facts, policy, priced, as_of)
    for item in priced:
        taxes.take_out(facts, item)
    if facts.subscription.status == "past_due" and policy.past_due != "counts" and facts.past_due_since is None:
        for item in priced:
            item.problem = item.problem or SINCE_UNKNOWN
    why_not = _why_not(facts, policy, as_of)
    in_trial = facts.subscription.status == "trialing"
    values = tuple(_valued(item, policy, why_not, in_trial, as_of) for item in items)
    return Value(currency, values, why_not, _ends_at(facts))


def _working(facts: Facts, policy: Policy, told: SubscriptionItem, currency: str) -> Working:
    price = facts.price_of(told, currency)
    recurring = price.recurring if price else None
    metered = recurring is not None and recurring.usage_type == "metered"
    item = Working(
        told=told,
        id=told.id or "",
        price=told.price or "",
        product=(price.product if price else None) or "",
        quantity=told.quantity if told.quantity is not None else 0 if metered else 1,
        interval=(recurring.interval if recurring else None) or "",
        interval_count=(recurring.interval_count if recurring else None) or 1,
        metered=metered,
        period=_period(told, facts.subscription),
        steps=[],
    )
    if price is None:
        item.problem = "it names no price"
        return item
    item.tax_behavior = _tax_behavior(price, currency)
    if metered:
        _meter(facts, policy, item)
    else:
        _charge(item, price, currency)
    item.listed = item.amount
    return item


def _period(told: SubscriptionItem, subscription: Subscription) -> tuple[int | None, int | None]:
    if told.current_period_start is not None:
        return told.current_period_start, told.current_period_end
    return subscription.period_start, subscription.period_end


def _tax_behavior(price: Price, currency: str) -> str:
    told = in_currency(price, currency)
    return (told.tax_behavior if told is not None else None) or price.tax_behavior or ""


def _charge(item: Working, price: Price, currency: str) -> None:
    found = charges(price, item.quantity, currency)
    if isinstance(found, Unpriced):
        item.problem = found.reason
        return
    for charge in found:
        amount = charge.amount if len(found) == 1 else item.amount + charge.amount
        if charge.tier:
            words = "{:,} × {} + {} (tier {}, up to {})" if charge.flat else "{0:,} × {1} (tier {3}, up to {4})"
            end = "any" if charge.up_to is None else charge.up_to
            item.set(amount, "tier", words, charge.quantity, charge.unit, charge.flat, charge.tier, end)
        elif (packs := price.transform_quantity) is not None and packs.divide_by:
            item.set(amount, "price", "{:,} packages of {:,} × {}", charge.quantity, packs.divide_by, charge.unit)
        else:
            item.set(amount, "price", "{:,} × {}", charge.quantity, charge.unit)


def _meter(facts: Facts, policy: Policy, item: Working) -> None:
    """Usage is nothing that recurs, unless the policy takes the last closed period for the next ones."""
    item.usage = Fraction(sum(line.amount or 0 for line in facts.lines.get(item.id, ())))
    if policy.metered == "zero":
        item.set(NOTHING, "metered", "usage does not count")
    else:
        item.set(item.usage, "metered", "usage of the last closed period")


def _why_not(facts: Facts, policy: Policy, as_of: int) -> str:
    """Why the subscription counts for nothing now; empty: it counts."""
    subscription = facts.subscription
    status = subscription.status or "unknown"
    if status == "trialing" and policy.trials != "count":
        return "it is trialing"
    if status not in COUNTING and status != "trialing":
        return f"it is {status.replace('_', ' ')}"
    if status == "past_due":
        since, days = facts.past_due_since, policy.past_due_days
        if days is not None and since is not None and as_of >= since + days * DAY:
            return f"it has been past due for {days} days"
    if subscription.pause_collection is not None and policy.pauses == "drafts":
        resumes = subscription.pause_resumes_at
        free = subscription.pause_behavior in {"void", "mark_uncollectible"}
        if free and (resumes is None or as_of < resumes):
            return f"collection is paused ({subscription.pause_behavior})"
    if policy.cancellation == "request" and _asked_to_end(subscription, as_of):
        return "its cancellation was asked for"
    return ""


def _asked_to_end(subscription: Subscription, as_of: int) -> bool:
    """Stripe tells in `canceled_at` when it was asked for, also where it ends only later."""
    if subscription.canceled_at is not None:
        return subscription.canceled_at <= as_of
    return bool(subscription.cancel_at_period_end) or subscription.cancel_at is not None


def _ends_at(facts: Facts) -> int | None:
    """When it is to end by what was asked for, the earliest, epoch seconds; None: it goes on, or has ended."""
    subscription = facts.subscription
    if subscription.ended_at is not None or subscription.status in {"canceled", "incomplete_expired"}:
        return None
    asked = subscription.cancel_at
    if asked is None and subscription.cancel_at_period_end:
        asked = subscription.current_period_end
    schedule, planned = facts.schedule, None
    if schedule is not None and schedule.end_behavior == "cancel" and schedule.status in {"active", "not_started"}:
        planned = schedule.ends_at if schedule.ends_at is not None else schedule.phase_end
    return min((at for at in (asked, planned) if at is not None), default=None)


def _valued(item: Working, policy: Policy, why_not: str, in_trial: bool, as_of: int) -> ItemValue:
    rate = per_month(item.interval, item.interval_count, policy)
    problem = item.problem
    steps = item.steps
    monthly, listed, usage = item.amount, item.listed, item.usage
    if rate is None:
        monthly = listed = usage = NOTHING
        problem = problem or ("its price does not recur" if not item.interval else f"no interval: {item.interval}")
    elif rate is not ONE and rate != 1:
        listed = listed * rate
        monthly = listed if monthly is item.listed else monthly * rate
        usage = usage * rate if usage else NOTHING
        steps.append(Step("month", monthly, "a month, at {} periods a month", (rate,)))
    if why_not:
        steps.append(Step("trial" if in_trial else "none", NOTHING, "counts for nothing: {}", (why_not,)))
    elif _tries_out(item.told, as_of):
        steps.append(Step("trial", monthly, "at the price of its trial, which still runs"))
    return ItemValue(
        item.id, item.price, item.product, item.quantity, item.interval, item.interval_count, item.metered,
        listed, NOTHING if why_not else monthly, monthly if in_trial else NOTHING, tuple(steps), problem, usage,
    )  # fmt: skip


def _tries_out(item: SubscriptionItem, as_of: int) -> bool:
    """Whether a trial offer of the item's own runs; until it ends the item has the offer's price, which may be 0."""
    trial = item.current_trial
    return trial is not None and (trial.start_date or 0) <= as_of and (trial.end_date is None or as_of < trial.end_date)
