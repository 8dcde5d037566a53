"""States of a subscription from its versions: each holds until the next, and what changes by itself in between."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tidegate.pricing.facts import Facts
from tidegate.pricing.policy import Policy
from tidegate.pricing.subscription import DAY, value
from tidegate.revenue.history.lasting import Held, bearing, held, lasting
from tidegate.revenue.history.span import State

NEW = 300
"""Seconds after its creation within which a first version counts as the state that it was created with."""


class Version(NamedTuple):
    """A version of a subscription: it stood so from `at` on, epoch seconds. `source`: the event, or how it was read."""

    at: int
    facts: Facts
    source: str


def states(versions: Sequence[Version], policy: Policy, until: int) -> list[State]:
    """The states that the versions tell of, oldest first, up to `until` (epoch seconds)."""
    found: list[State] = []
    for number, (at, facts) in enumerate(_stood(versions)):
        after = versions[number + 1].at if number + 1 < len(versions) else until + 1
        for instant in [at, *(one for one in changes(facts, policy, at) if at < one < after)]:
            found.append(State(instant, value(facts, policy, instant), "observed", versions[number].source))
    return found


def _stood(versions: Sequence[Version]) -> Iterator[tuple[int, Facts]]:
    """From when on each version stood, and how; one that is past due says since when."""
    past_due_since: int | None = None
    for number, version in enumerate(versions):
        at = _begin(version) if number == 0 else version.at
        status, told = version.facts.subscription.status, version.facts.past_due_since
        since = past_due_since if past_due_since is not None else told if told is not None else at
        past_due_since = since if status == "past_due" else None
        yield at, version.facts if past_due_since is None else version.facts.past_due(past_due_since)


def lasted(versions: Sequence[Version], borne: Held) -> list[Version]:
    """The versions with the discounts that still hold although their time is over; `borne`: what the invoices of the
    periods bore that had begun with the first version.
    """
    found: list[Version] = []
    for version in versions:
        facts = bearing(version.facts, lasting(borne, version.facts, version.at))
        found.append(version._replace(facts=facts))
        borne = held(facts)
    return found


def begins(versions: Sequence[Version]) -> int:
    """From when on versions tell; before, invoices have to."""
    return _begin(versions[0])


def ends(versions: Sequence[Version]) -> int | None:
    """When the subscription ended, epoch seconds."""
    last = versions[-1].facts.subscription
    over = last.status in {"canceled", "incomplete_expired"}
    return last.ended_at if last.ended_at is not None else versions[-1].at if over else None


def next_change(versions: Sequence[Version], policy: Policy, as_of: int) -> int | None:
    """When the value changes next without a word of Stripe's; None: not as far as it is known."""
    if ends(versions) is not None:
        return None
    *_, (at, facts) = _stood(versions)
    return next((one for one in changes(facts, policy, at) if one > as_of), None)


def _begin(version: Version) -> int:
    """A backdated subscription counts from its `start_date`; one first seen later only from when it was seen."""
    subscription = version.facts.subscription
    created, start = subscription.created, subscription.start_date
    if created is None or version.at - created > NEW:
        return version.at
    return min(version.at, created, start if start is not None else created)


def changes(facts: Facts, policy: Policy, after: int) -> list[int]:
    """The instants after one at which something about the subscription changes by itself, as far as it is known."""
    found = {one for tell in _TELLERS for one in tell(facts, policy) if one > after}
    return sorted(found)


def _discounts(facts: Facts, _policy: Policy) -> Iterator[int]:
    """A discount begins at its start; it ends with the last period that was invoiced before its end."""
    subscription = facts.subscription
    common = facts.told(subscription.discounts, subscription.discount) or list(facts.customer_discounts)
    for item in facts.items:
        start = item.current_period_start if item.current_period_start is not None else subscription.period_start
        end = item.current_period_end if item.current_period_end is not None else subscription.period_end
        for discount in [*common, *facts.told(item.discounts)]:
            if discount.starts_at is not None:
                yield discount.starts_at
            if discount.ends_at is not None:
                yield end if end is not None and (start or 0) < discount.ends_at <= end else discount.ends_at


def _pause(facts: Facts, _policy: Policy) -> Iterator[int]:
    if facts.subscription.pause_resumes_at is not None:
        yield facts.subscription.pause_resumes_at


def _past_due(facts: Facts, policy: Policy) -> Iterator[int]:
    if facts.past_due_since is not None and policy.past_due_days is not None:
        yield facts.past_due_since + policy.past_due_days * DAY


def _request(facts: Facts, policy: Policy) -> Iterator[int]:
    if policy.cancellation == "request" and facts.subscription.canceled_at is not None:
        yield facts.subscription.canceled_at


_TELLERS: tuple[Callable[[Facts, Policy], Iterator[int]], ...] = (_discounts, _pause, _past_due, _request)
