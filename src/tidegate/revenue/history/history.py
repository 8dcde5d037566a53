"""The whole history of a subscription: observed where versions tell, inferred from invoices before."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from tidegate.pricing.facts import Facts
from tidegate.pricing.policy import Policy
from tidegate.pricing.value import NOTHING, Value
from tidegate.revenue.history import inferred, observed
from tidegate.revenue.history.applied import applied, with_coupons
from tidegate.revenue.history.evidence import Billed, Group, groups
from tidegate.revenue.history.lasting import Held
from tidegate.revenue.history.observed import Version
from tidegate.revenue.history.span import Span, State, spans


class History(NamedTuple):
    """What a subscription was worth; `stands`: how it stands in the end, one that is over from its end on (None: it had
    not begun). `changes_at`: when its worth changes next without a word of Stripe's, epoch seconds.
    """

    spans: list[Span]
    stands: State | None
    changes_at: int | None


def history(
    versions: Sequence[Version],
    billed: Sequence[Billed],
    policy: Policy,
    as_of: int,
    stood: Facts | None = None,
) -> History:
    """The spans of a subscription up to an instant (epoch seconds); those that go on have no end.

    `versions` oldest first, at least one; `billed`: the lines of all its invoices; `stood`: how it was just before the
    first version, if that is known.
    """
    evidence = groups(billed, pending_invoice=_awaited(stood or versions[0].facts))
    coupons = with_coupons(versions[-1].facts, evidence)
    if coupons is not versions[-1].facts.coupons:
        versions = [one._replace(facts=replace(one.facts, coupons=coupons)) for one in versions]
    versions = observed.lasted(versions, _borne(versions[0], evidence))
    first = versions[0].facts if stood is None else replace(stood, coupons=coupons)
    owed = inferred.owed_since(first, billed, versions[0].at)
    if owed is not None:
        first = first.past_due(owed)
        versions = [versions[0]._replace(facts=versions[0].facts.past_due(owed)), *versions[1:]]
    end, begin = observed.ends(versions), observed.begins(versions)
    before = inferred.states(first, evidence, policy, begin if end is None else min(begin, end))
    after = observed.states(versions, policy, as_of)
    states = [state for state in [*before, *after] if state.at <= as_of and (end is None or state.at < end)]
    if policy.start == "first_paid_invoice":
        states = [*_once_paid(states, _paid_at(billed), as_of if end is None else end - 1)]
    stands = states[-1] if states else None
    if end is not None and end <= as_of:
        stands = after[-1]._replace(at=end)
    return History(spans(states, end), stands, observed.next_change(versions, policy, as_of))


def _paid_at(billed: Iterable[Billed]) -> int | None:
    """When its first invoice was paid."""
    told = [one.invoice.paid_at for one in billed if one.invoice.status == "paid"]
    return min((at for at in told if at is not None), default=None)


def _once_paid(states: Sequence[State], paid: int | None, until: int) -> Iterator[State]:
    """The states, worth nothing before the first payment."""
    for number, state in enumerate(states):
        after = states[number + 1].at if number + 1 < len(states) else until + 1
        if paid is not None and state.at >= paid:
            yield state
            continue
        yield state._replace(value=_unpaid(state.value))
        if paid is not None and paid < after:
            yield state._replace(at=paid)


def _unpaid(value: Value) -> Value:
    items = tuple(item._replace(monthly=NOTHING) for item in value.items)
    return value._replace(items=items, why_not=value.why_not or "its first invoice is not paid yet")


def _awaited(facts: Facts) -> str | None:
    """The invoice that a pending update waits for."""
    subscription = facts.subscription
    return subscription.latest_invoice if subscription.pending_update else None


def _borne(first: Version, evidence: Sequence[Group]) -> Held:
    """The discounts of the last invoices of the items on the first version."""
    found = applied(first.facts, evidence, [item.id or "" for item in first.facts.items], first.at)
    return {"": list(found.whole.values())} | {item: list(those.values()) for item, those in found.of_items.items()}
