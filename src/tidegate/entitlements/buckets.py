"""Limits and usage of a metered feature by bucket: what counts in one period together, what is debited first (pure).

Of the base packages the best one fills, and add-ons fill up the bucket of their reset, which is the base's where they
say none. An override that expires is a bucket of its own, so that what expires is used up first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct

from tidegate.catalog.terms import RESETS, Reset, Terms
from tidegate.entitlements.access import Access
from tidegate.entitlements.periods import Interval, per_year, period_of

SHARED = "package:"
"""How the keys of all buckets begin but of overrides that expire."""
LASTING = f"{SHARED}never"


class Spent(NamedTuple):
    """Units used of a bucket in a period that is not over: until `end`, UTC (None: for good)."""

    units: int
    end: datetime | None = None


Used = Mapping[tuple[str, str, datetime], Spent]
"""By feature, bucket and start of the period, of every period that the instant which is asked for lies in."""


class Source(Struct, frozen=True, gc=False):
    """One thing that gives something of a feature, or gave it; `kind`: base, add_on, feature, override, default.

    `via` names the path to it. `bucket` empty: the one of its reset.
    """

    kind: str
    terms: Terms
    access: Access
    times: int
    since: datetime
    anchor: datetime
    operation: str = "add"
    priority: int = 0
    bucket: str = ""
    expires_at: datetime | None = None
    billing: Interval | None = None
    via: dict[str, Any] = {}

    @property
    def amount(self) -> int | None:
        """Units that it gives in a period; None: unlimited."""
        return None if self.terms.unlimited else (self.terms.limit or 0) * self.times

    @property
    def is_base(self) -> bool:
        """Whether it is a base package: only the best of them fills."""
        return self.kind in {"base", "default"}


@dataclass(frozen=True, slots=True)
class Bucket:
    """Units that count together. `limit` None: unlimited. `start`, `resets_at`: the period, UTC. Without `sources` it
    is what was used of something that gives nothing any more.
    """

    key: str
    limit: int | None
    used: int
    start: datetime
    resets_at: datetime | None
    since: datetime
    priority: int = 0
    expires_at: datetime | None = None
    sources: tuple[Source, ...] = ()
    reset: Reset = "never"


class Debit(NamedTuple):
    """Units taken from (below 0: given back to) one bucket of a feature, in the period from `start` to `end`."""

    bucket: str
    start: datetime
    amount: int
    end: datetime | None = None


def fill(feature: str, reset: Reset, sources: Sequence[Source], used: Used, as_of: datetime) -> list[Bucket]:
    """The buckets of what gives something now, in the order in which they are debited: highest priority, earliest
    expiry, oldest (semantics, Usage). `reset`: the feature's own.
    """
    if len(sources) == 1:
        [one] = sources
        key = one.bucket or f"{SHARED}{one.terms.reset or reset}"
        return [_bucket(feature, key, sources, reset, used, as_of)]
    bases = [one for one in sources if one.is_base]
    best = max(bases, key=lambda one: _worth(one, reset), default=None)
    leading = (best.terms.reset if best is not None else None) or reset
    groups: dict[str, list[Source]] = {}
    for one in sources:
        if one is best or not one.is_base:
            groups.setdefault(one.bucket or f"{SHARED}{one.terms.reset or leading}", []).append(one)
    buckets = [_bucket(feature, key, group, leading, used, as_of) for key, group in groups.items()]
    return sorted(buckets, key=lambda b: (-b.priority, b.expires_at is None, b.expires_at or b.since, b.since, b.key))


def kept_buckets(feature: str, reset: Reset, filled: Sequence[Bucket], used: Used) -> list[Bucket]:
    """What is used of a feature in a period that is not over, and of a bucket that nothing fills: it still counts.

    So do seats that are taken while the plan that gave them is gone, and calls of this month when another subscription
    with another anchor, or another reset, gives them now. What never ends counts only beside what never ends, and what
    was used of an override is over with it, unless it was a seat.
    """
    if not used:
        return []
    here = {(one.key, one.start) for one in filled}
    lasting = reset == "never" or any(one.key == LASTING for one in filled)
    kept: list[Bucket] = []
    for (name, bucket, start), spent in sorted(used.items()):
        if name != feature or not spent.units or (bucket, start) in here:
            continue
        counts = lasting or (not filled and bucket == LASTING) if spent.end is None else bucket.startswith(SHARED)
        if counts:
            kept.append(Bucket(bucket, 0, spent.units, start, spent.end, start))
    return kept


def take(buckets: Sequence[Bucket], amount: int) -> list[Debit]:
    """Where `amount` (above 0) is debited; empty when less is left in all.

    A bucket that is used over its limit, since that was lowered, keeps the others from giving as much.
    """
    left = sum((one.limit or 0) - one.used for one in buckets)
    if amount > left and not any(one.limit is None for one in buckets):
        return []
    debits: list[Debit] = []
    for one in buckets:
        free = amount if one.limit is None else min(amount, max(0, one.limit - one.used))
        if free > 0:
            debits.append(Debit(one.key, one.start, free, one.resets_at))
            amount -= free
        if not amount:
            break
    return debits


def take_anyway(buckets: Sequence[Bucket], amount: int) -> list[Debit]:
    """Where `amount` (above 0) is debited that was used already: what is not left goes over the limit of the last
    bucket that something gives. Empty when nothing gives any.
    """
    given = [one for one in buckets if one.sources]
    if not given:
        return []
    return take(buckets, amount) or take([*given[:-1], replace(given[-1], limit=None)], amount)


def give_back(buckets: Sequence[Bucket], amount: int) -> list[Debit]:
    """Where `amount` (above 0) is given back: what is over a limit first, then in the reverse order of debiting.

    Less than `amount` when less is used.
    """
    over = sorted(buckets, key=lambda one: one.limit is None or one.used <= one.limit)
    first = [one for one in over if one.limit is not None and one.used > one.limit]
    debits: dict[tuple[str, datetime], int] = {}
    for one, most in [*((b, b.used - (b.limit or 0)) for b in first), *((b, b.used) for b in reversed(buckets))]:
        key = (one.key, one.start)
        back = min(amount, most - debits.get(key, 0))
        if back > 0:
            debits[key] = debits.get(key, 0) + back
            amount -= back
    return [Debit(bucket, start, -back) for (bucket, start), back in debits.items()]


def _worth(one: Source, reset: Reset) -> tuple[bool, float, float]:
    """What a base package is measured by: units a year, then age."""
    given = (one.amount or 0) * per_year(one.terms.reset or reset, one.billing)
    return (one.terms.unlimited, given, -one.since.timestamp())


def _bucket(feature: str, key: str, sources: Sequence[Source], reset: Reset, used: Used, as_of: datetime) -> Bucket:
    """The bucket that these fill together; `reset`: where terms say none."""
    lead = sources[0] if len(sources) == 1 else max(sources, key=lambda one: (one.is_base, _worth(one, reset)))
    own = bool(lead.bucket)
    repeated = lead.terms.reset or reset
    period = period_of(repeated, lead.since if own else lead.anchor, as_of, lead.billing)
    spent = used.get((feature, key, period.start))
    return Bucket(
        key,
        _limit(sources),
        spent.units if spent is not None else 0,
        period.start,
        period.end,
        min(one.since for one in sources),
        max(one.priority for one in sources),
        lead.expires_at if own else None,
        tuple(sources),
        repeated,
    )


def _limit(sources: Sequence[Source]) -> int | None:
    """Everything that fills a bucket adds up; unlimited dominates (semantics, Resolution)."""
    total = 0
    for one in sources:
        if one.amount is None:
            return None
        total += one.amount
    return total


def soonest(buckets: Sequence[Bucket]) -> Reset:
    """The shortest reset of those that are given."""
    given = {one.reset for one in buckets if one.sources}
    for reset in RESETS:
        if reset in given:
            return reset
    return "never"
