"""States of a subscription before its first version, from what invoices billed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from msgspec import structs

from tidegate.pricing.facts import Facts
from tidegate.pricing.policy import Policy
from tidegate.pricing.subscription import DAY, value
from tidegate.pricing.terms import Unpriced, charges, exact
from tidegate.revenue.history.applied import applied, given_at, period_of
from tidegate.revenue.history.evidence import Billed, Group
from tidegate.revenue.history.span import State
from tidegate.stripe_api.shapes.catalog import Price
from tidegate.stripe_api.shapes.discounts import Discount
from tidegate.stripe_api.shapes.invoices import Invoice
from tidegate.stripe_api.shapes.lines import InvoiceLine
from tidegate.stripe_api.shapes.subscriptions import PauseCollection, Subscription, SubscriptionItem

NEW = 300
"""Seconds after a subscription's creation within which its first invoice is paid where that takes no second try."""
UNBILLED = "nothing was billed for it: it is taken to have been from its start as it was first seen"


def states(first: Facts, groups: Sequence[Group], policy: Policy, until: int) -> list[State]:
    """The states that the groups tell of, oldest first, up to `until` (epoch seconds), when the first version begins.

    `first` is the first version: what stands on it carries forward to it.
    """
    if first.subscription.status in {"incomplete", "incomplete_expired"}:
        return []
    first = replace(first, prices=_own_prices(first) | {**first.prices})
    groups = [group for group in groups if _price(first, group).usage_type != "metered"]
    if not groups:
        return _unbilled(first, policy, until)
    timelines = {item: _timeline(item, first, groups) for item in sorted({group.key.item for group in groups})}
    begin = _backdated(first.subscription, groups)
    trial = first.subscription.trial or ()
    changes = {at for timeline in timelines.values() for at, _ in timeline}
    beside = (*given_at(first, groups), *trial, *_past_due(first, policy), *_asked(first, policy))
    instants = sorted({at for at in (*changes, *beside) if min(changes) <= at < until})
    found: list[State] = []
    for instant in instants:
        standing = {item: group for item, timeline in timelines.items() if (group := _at(timeline, instant))}
        newest = max((group for group in standing.values()), key=lambda group: group.from_, default=groups[0])
        facts = _facts(first, groups, standing, newest.paused, instant)
        at = begin if begin is not None and instant == instants[0] else instant
        found.append(State(at, value(facts, policy, instant), "inferred", newest.key.invoice))
    return found


def owed_since(first: Facts, billed: Iterable[Billed], at: int) -> int | None:
    """Since when a subscription that was past due as it was first seen (`at`, epoch seconds) had been so: since its
    oldest open invoice was due, where that is sent, else since it was first tried, as it was finalised. None: it was
    not, or nothing tells.
    """
    if first.subscription.status != "past_due":
        return None
    owed = [_owed(one.invoice) for one in billed if one.invoice.status == "open"]
    return min((since for since in owed if since is not None and since < at), default=None)


def _owed(invoice: Invoice) -> int | None:
    """Since when an open invoice should have been paid (docs.stripe.com/api/subscriptions/object, `status`)."""
    if invoice.collection_method == "send_invoice":
        return invoice.due_date
    return invoice.finalized_at if invoice.attempt_count else None


def _past_due(first: Facts, policy: Policy) -> list[int]:
    """When it became past due, and when that counts no more."""
    since, days = first.past_due_since, policy.past_due_days
    return [] if since is None or days is None else [since, since + days * DAY]


def _asked(first: Facts, policy: Policy) -> list[int]:
    """When its end was asked for, where that counts."""
    at = first.subscription.canceled_at
    return [] if at is None or policy.cancellation != "request" else [at]


def _unbilled(first: Facts, policy: Policy, until: int) -> list[State]:
    """A subscription of which no invoice tells anything, such as a free one."""
    subscription = first.subscription
    start = subscription.start_date if subscription.start_date is not None else subscription.created
    if start is None or start >= until:
        return []
    trial = subscription.trial_end
    then = "paused" if subscription.status == "paused" else "active"  # since its trial ended without a way to pay
    found: list[State] = []
    for at in sorted({max(start, one) for one in (start, trial, *_asked(first, policy)) if one is not None}):
        if at < until:
            status = "trialing" if trial is not None and at < trial else then
            found.append(State(at, value(_with_status(first, status), policy, at), "inferred", UNBILLED))
    return found


def _own_prices(first: Facts) -> dict[str, Price]:
    """The prices that its items carry."""
    return {item.price: item.terms for item in first.items if item.price and item.terms}


def _with_status(facts: Facts, status: str) -> Facts:
    plain = structs.replace(
        facts.subscription, status=status, pause_collection=None, cancel_at_period_end=None, cancel_at=None
    )
    return replace(facts, subscription=plain, past_due_since=None)


def _backdated(subscription: Subscription, groups: Sequence[Group]) -> int | None:
    """When a subscription that was backdated counts from; None: it was not, or its first invoice is not known."""
    start, created = subscription.start_date, subscription.created
    if start is None or created is None or start >= created:
        return None
    return start if groups[0].from_ <= created + NEW else None


def _timeline(item: str, first: Facts, groups: Sequence[Group]) -> list[tuple[int, Group | None]]:
    """From when on which group says what the item was; None: it was not there."""
    found: list[tuple[int, Group | None]] = []
    mine = [group for group in groups if group.key.item == item]
    for group in mine:
        ended = group.key.proration and group.key.negative
        found.append((group.key.start if group.key.proration else group.from_, None if ended else group))
    found.sort(key=lambda one: one[0])  # stable: what ends an item stands before what begins it anew
    if item not in {one.id for one in first.items} and found[-1][1] is not None:
        found.append((_gone(found[-1][1], first, groups), None))
    return found


def _gone(last: Group, first: Facts, groups: Sequence[Group]) -> int:
    """When an item that is not on the subscription any more ended: at the next renewal of its interval without it, else
    with the last period that was billed.
    """
    interval = _interval(first, last)
    renewals = [
        group.key.start
        for group in groups
        if not group.key.proration and group.key.start > last.key.start and _interval(first, group) == interval
    ]
    return min(renewals, default=last.key.end)


def _interval(first: Facts, group: Group) -> tuple[str | None, int | None]:
    price = _price(first, group)
    return price.interval, price.interval_count


def _at(timeline: Sequence[tuple[int, Group | None]], instant: int) -> Group | None:
    return next((group for at, group in reversed(timeline) if at <= instant), None)


def _price(first: Facts, group: Group) -> Price:
    """The mirrored price for interval, tiers and packages, the line's own for what a unit cost."""
    line = group.lines[0]
    known = first.prices.get(group.key.price) or line.terms or Price(id=group.key.price)
    unit = line.unit_amount_decimal
    if unit is None or known.billing_scheme == "tiered" or known.tiers_mode or _told_free(line, known):
        return known
    return structs.replace(
        known, currency=line.currency or known.currency, unit_amount=None, unit_amount_exact=unit, currency_options=None
    )


def _told_free(line: InvoiceLine, known: Price) -> bool:
    """Whether a line says that a unit of what costs cost nothing, as those of trials do."""
    told, costs = exact(line.unit_amount_decimal, None), exact(known.unit_amount_decimal, None)
    return not line.amount and told == 0 and bool(costs)


def _facts(first: Facts, groups: Sequence[Group], standing: Mapping[str, Group], paused: str, instant: int) -> Facts:
    """The subscription as the groups tell of it; `paused`: how its collection was, if it was."""
    held = applied(first, groups, standing, instant)
    subscription = Subscription(
        id=first.subscription.id,
        currency_told=first.currency,
        status=_status(first, groups, standing.values(), instant),
        default_tax_rates=first.subscription.default_tax_rates,
        canceled_at=first.subscription.canceled_at,
        discounts=list[str | Discount](held.whole.values()),
        pause_collection=PauseCollection(behavior=paused) if paused else None,
    )
    items = [
        _item(item, first, group, period_of(groups, group), held.of_items.get(item, {}))
        for item, group in standing.items()
    ]
    lines = {item: _taxed(group) for item, group in standing.items()}
    facts = Facts(subscription, items, prices={}, coupons=first.coupons, tax_rates=first.tax_rates, lines=lines)
    since = first.past_due_since
    return facts if since is None or instant < since else facts.past_due(since)


def _item(
    item: str, first: Facts, group: Group, period: tuple[int, int], discounts: Mapping[str, Discount]
) -> SubscriptionItem:
    return SubscriptionItem(
        id=item,
        price_embedded=_price(first, group),
        quantity=group.quantity,
        current_period_start=period[0],
        current_period_end=period[1],
        discounts=list[str | Discount](discounts.values()),
        tax_rates=group.lines[0].tax_rates,
    )


def _taxed(group: Group) -> list[InvoiceLine]:
    """Lines that tell of taxes; discounts are worked out from their coupons."""
    return [line for line in group.lines if line.inclusive_tax]


def _status(first: Facts, groups: Sequence[Group], standing: Iterable[Group], instant: int) -> str:
    """By the trial that stands on the subscription, which is its last; by what was billed with nothing before that."""
    begins, ends = first.subscription.trial or (instant + 1, instant + 1)
    if begins <= instant < ends:
        return "trialing"
    before = [group for group in standing if not begins <= group.key.start < ends]
    if instant >= ends and not before and _paused_at(first, groups, ends):
        return "paused"
    if any(_is_trial(first, group) for group in before):
        return "trialing"
    return "active" if first.past_due_since is None or instant < first.past_due_since else "past_due"


def _paused_at(first: Facts, groups: Sequence[Group], ends: int) -> bool:
    """Whether a subscription was paused as its trial ended, there being no way to pay. Then it still is, or what it was
    billed since begins when it was resumed, and not at the second of the day at which its periods would.
    """
    since = min((one.key.start for one in groups if one.key.start >= ends), default=ends)
    return first.subscription.status == "paused" or (since - ends) % DAY != 0


def _is_trial(first: Facts, group: Group) -> bool:
    """Whether something that costs was billed with nothing, and no discount explains it."""
    if group.key.proration or group.amount or group.off:
        return False
    listed = charges(_price(first, group), group.quantity, first.currency)
    return not isinstance(listed, Unpriced) and sum((one.amount for one in listed), Fraction(0)) > 0
