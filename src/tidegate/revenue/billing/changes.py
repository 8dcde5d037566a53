"""What became of subscriptions: upgraded, downgraded, in trial, converted, back, canceled."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

from tidegate.money import decimal, half_away
from tidegate.revenue.billing.billed import named
from tidegate.revenue.billing.event import (
    CANCELED,
    DOWNGRADED,
    PLAN_LEVEL,
    REACTIVATED,
    TRIAL_CONVERTED,
    TRIAL_STARTED,
    UPGRADED,
    Event,
    told,
)
from tidegate.revenue.billing.given import Catalog, Ended, Return, Stretch, Who

MILLION = 1_000_000


class _State(NamedTuple):
    """A subscription from an instant on, its items by their ids; none: it is over."""

    at: int
    items: Mapping[str, Stretch]

    @property
    def listed(self) -> int:
        return sum(one.listed for one in self.items.values())

    @property
    def mrr(self) -> int:
        return sum(one.mrr for one in self.items.values())

    @property
    def trial(self) -> int:
        return sum(one.trial for one in self.items.values())

    @property
    def inferred(self) -> bool:
        return any(one.inferred for one in self.items.values())

    @property
    def currency(self) -> str:
        return next((one.currency for one in self.items.values()), "")

    def level(self, catalog: Catalog) -> str:
        ranked = sorted(self.items.values(), key=lambda one: (-one.listed, one.item))
        return named([(one.price, one.product) for one in ranked], catalog)


def changes(stretches: Sequence[Stretch], who: Who, catalog: Catalog, paid_since: int | None = None) -> Iterator[Event]:
    """The changes of list price and the trials of subscriptions, of all their spans; `paid_since`: when the contact was
    first worth something, epoch seconds (None: never).

    What differs from a state that was inferred came about some time before it was seen: it is history.
    """
    by_subscription: dict[str, list[Stretch]] = {}
    for one in stretches:
        by_subscription.setdefault(one.subscription, []).append(one)
    for subscription, those in by_subscription.items():
        states = _states(those)
        for before, after in pairwise(states):
            if before.items and after.items and half_away(before.listed, MILLION) != half_away(after.listed, MILLION):
                yield _changed(subscription, before, after, who, catalog)
        yield from _trials(subscription, states, who, catalog, paid_since)


def canceled(ended: Ended, stretches: Sequence[Stretch], who: Who, catalog: Catalog) -> Event:
    """The end of a subscription, at the instant it ended."""
    last = [one for one in stretches if one.subscription == ended.subscription and one.ends_at == ended.ended_at]
    ranked = sorted(last, key=lambda one: (-one.listed, one.item))
    level = named([(one.price, one.product) for one in ranked], catalog)
    return Event(
        id=f"canceled:{ended.subscription}",
        name=CANCELED,
        at=ended.ended_at,
        came_at=ended.ended_at,
        customer=who.customer,
        identity=who.identity(),
        subscription=ended.subscription,
        details={"kind": "canceled", "reason": ended.reason},
        properties=told(**{"Subscription Cancelation Reason": ended.reason, PLAN_LEVEL: level}),
    )


def returned(one: Return, who: Who, catalog: Catalog) -> Event:
    """A subscription by which somebody who had left is back."""
    amount = half_away(one.amount, MILLION)
    properties = {"Subscription MRR": decimal(amount, one.currency), PLAN_LEVEL: named(one.prices, catalog)}
    event = _event(
        f"reactivated:{one.subscription}:{one.at}", REACTIVATED, one.at, one.subscription, one.currency, amount, who,
        {"kind": "reactivated"}, properties,
    )  # fmt: skip
    return _as_history(event) if one.inferred else event


def _states(stretches: Sequence[Stretch]) -> list[_State]:
    """What a subscription was from each instant on at which a span begins or ends."""
    instants = sorted({at for one in stretches for at in (one.starts_at, one.ends_at) if at is not None})
    return [
        _State(
            at,
            {one.item: one for one in stretches if one.starts_at <= at and (one.ends_at is None or at < one.ends_at)},
        )
        for at in instants
    ]


def _changed(subscription: str, before: _State, after: _State, who: Who, catalog: Catalog) -> Event:
    old, new, currency = half_away(before.listed, MILLION), half_away(after.listed, MILLION), after.currency
    name = UPGRADED if new > old else DOWNGRADED
    details = {
        "kind": "changed",
        "by": _by(before, after),
        "from": old,
        "to": new,
        "difference": new - old,
        "before": _items(before),
        "after": _items(after),
    }
    properties = {
        "Subscription Old MRR": decimal(old, currency),
        "Subscription New MRR": decimal(new, currency),
        "Subscription MRR Change": decimal(new - old, currency),
        "Subscription Old Plan Level": before.level(catalog),
        PLAN_LEVEL: after.level(catalog),
    }
    id_ = f"changed:{subscription}:{after.at}"
    event = _event(id_, name, after.at, subscription, currency, new - old, who, details, properties)
    return _as_history(event) if before.inferred else event


def _by(before: _State, after: _State) -> str:
    """What changed: price, quantity or items, the first of several in the order items, price, quantity."""
    if before.items.keys() != after.items.keys():
        return "items"
    both = [(one, after.items[item]) for item, one in before.items.items()]
    return "price" if any(a.price != b.price for a, b in both) else "quantity"


def _items(state: _State) -> list[dict[str, Any]]:
    return [
        {"item": one.item, "price": one.price, "product": one.product, "quantity": one.quantity}
        for one in sorted(state.items.values(), key=lambda one: one.item)
    ]


def _trials(
    subscription: str, states: Sequence[_State], who: Who, catalog: Catalog, paid_since: int | None
) -> Iterator[Event]:
    """Trials begun, and the first one that was followed by something paid. One that began after its contact was worth
    something was restarted, and converts nobody.
    """
    begun = 0
    for before, state in pairwise([_State(0, {}), *states]):
        if state.trial and not before.trial:
            paid = paid_since is not None and paid_since < state.at
            begun = 0 if paid else state.at
            worth = half_away(state.trial, MILLION)
            event = _event(
                f"trial:{subscription}:{state.at}", TRIAL_STARTED, state.at, subscription, state.currency, worth, who,
                {"kind": "trial", "restarted": paid},
                {
                    "Subscription MRR": decimal(worth, state.currency),
                    "Restarted": paid or None,
                    PLAN_LEVEL: state.level(catalog),
                },
            )  # fmt: skip
            yield _as_history(event) if before.inferred else event
        if state.mrr and not state.trial:
            if begun:
                worth = half_away(state.mrr, MILLION)
                event = _event(
                    f"converted:{subscription}:{begun}", TRIAL_CONVERTED, state.at, subscription, state.currency, worth,
                    who, {"kind": "converted", "trial_started": begun},
                    {"Subscription MRR": decimal(worth, state.currency), PLAN_LEVEL: state.level(catalog)},
                )  # fmt: skip
                yield _as_history(event) if before.inferred else event
            begun = 0


def _as_history(event: Event) -> Event:
    return replace(event, came_at=0)


def _event(
    id_: str,
    name: str,
    at: int,
    subscription: str,
    currency: str,
    amount: int,
    who: Who,
    details: Mapping[str, Any],
    properties: Mapping[str, Any],
) -> Event:
    return Event(
        id=id_,
        name=name,
        at=at,
        came_at=at,
        customer=who.customer,
        identity=who.identity(),
        subscription=subscription,
        currency=currency,
        amount=amount,
        details=details,
        properties=told(**properties, Currency=currency.upper()),
    )
