"""Limits and usage of a metered feature by bucket: what counts in one period together, what is debited first (pure).

Everything that a subscription gives with the same reset is one bucket: the highest limit of the base packages, plus
the add-ons'. An override that expires is a bucket of its own, so that what expires is used up first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct

from tidegate.catalog.terms import Reset, Terms
from tidegate.entitlements.access import Access
from tidegate.entitlements.periods import EPOCH, Interval, period_of

Used = Mapping[tuple[str, str, datetime], int]


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


@dataclass(frozen=True, slots=True)
class Bucket:
    """Units that count together. `limit` None: unlimited. `start`, `resets_at`: the period, UTC."""

    key: str
    limit: int | None
    used: int
    start: datetime
    resets_at: datetime | None
    since: datetime
    priority: int = 0
    expires_at: datetime | None = None
    sources: tuple[Source, ...] = ()


class Debit(NamedTuple):
    """Units taken from (below 0: given back to) one bucket of a feature."""

    bucket: str
    start: datetime
    amount: int


def fill(feature: str, reset: Reset, sources: Sequence[Source], used: Used, as_of: datetime) -> list[Bucket]:
    """The buckets of what gives something now, in the order in which they are debited: highest priority, earliest
    expiry, oldest (semantics, Usage). `reset`: the feature's own.
    """
    if len(sources) == 1:
        return [_alone(feature, sources[0], reset, used, as_of)]
    plan = _leading(sources, reset)
    groups: dict[str, list[Source]] = {}
    for one in sources:
        groups.setdefault(one.bucket or f"plan:{one.terms.reset or plan}", []).append(one)
    buckets = [_bucket(feature, key, group, plan, used, as_of) for key, group in groups.items()]
    return sorted(buckets, key=lambda b: (-b.priority, b.expires_at is None, b.expires_at or b.since, b.since, b.key))


def _alone(feature: str, one: Source, reset: Reset, used: Used, as_of: datetime) -> Bucket:
    """The bucket of what alone gives something, which is what most contacts have."""
    repeated = one.terms.reset or ("never" if one.bucket else reset)
    key = one.bucket or f"plan:{repeated}"
    start, end = period_of(repeated, one.since if one.bucket else one.anchor, as_of, one.billing)
    expires = one.expires_at if one.bucket else None
    return Bucket(
        key, one.amount, used.get((feature, key, start), 0), start, end, one.since, one.priority, expires, (one,)
    )


def kept_buckets(feature: str, filled: Sequence[Bucket], used: Used) -> list[Bucket]:
    """What is used of a bucket that never resets and that nothing gives any more: it still counts, as seats do that
    are taken while the plan that gave them is gone.
    """
    if not used:
        return []
    here = {one.key for one in filled}
    never = any(one.key == "plan:never" for one in filled)
    kept: list[Bucket] = []
    for (name, bucket, start), amount in sorted(used.items()):
        if name == feature and start == EPOCH and bucket not in here and amount and never:
            kept.append(Bucket(bucket, 0, amount, start, None, start))
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
            debits.append(Debit(one.key, one.start, free))
            amount -= free
        if not amount:
            break
    return debits


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


def _leading(sources: Sequence[Source], reset: Reset) -> Reset:
    """The reset where terms say none: that of the base package that gives most, else the feature's."""
    bases = [one for one in sources if one.kind in {"base", "default"} and one.terms.reset]
    return max(bases, key=_size).terms.reset or reset if bases else reset


def _size(one: Source) -> tuple[bool, int, float]:
    return (one.terms.unlimited, one.amount or 0, -one.since.timestamp())


def _bucket(feature: str, key: str, sources: Sequence[Source], plan: Reset, used: Used, as_of: datetime) -> Bucket:
    lead = max(sources, key=lambda one: (one.kind in {"base", "default"}, *_size(one)))
    own = bool(lead.bucket)
    reset = lead.terms.reset or ("never" if own else plan)
    period = period_of(reset, lead.since if own else lead.anchor, as_of, lead.billing)
    return Bucket(
        key,
        _limit(sources),
        used.get((feature, key, period.start), 0),
        period.start,
        period.end,
        min(one.since for one in sources),
        max(one.priority for one in sources),
        lead.expires_at if own else None,
        tuple(sources),
    )


def _limit(sources: Sequence[Source]) -> int | None:
    """Overlapping base packages give the highest, everything else adds; unlimited dominates (semantics, Resolution)."""
    amounts = [one.amount for one in sources]
    if any(amount is None for amount in amounts):
        return None
    bases = [one.amount or 0 for one in sources if one.kind in {"base", "default"}]
    return max(bases, default=0) + sum(one.amount or 0 for one in sources if one.kind not in {"base", "default"})
