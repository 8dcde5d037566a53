"""The formulas of recurring revenue: pure arithmetic over a period's bridge and what its contacts did.

What each figure means, with Stripe's own where the policy follows Stripe, stands in docs/howto/revenue.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from tidegate.revenue.bridge import Line
from tidegate.revenue.periods import PER_MONTH


@dataclass(slots=True)
class Counts:
    """What the contacts of one group and currency did over a period, net: each is compared at both ends of it.

    Numbers of contacts: `opening` and `closing` with MRR, `lost` and `contracted` of the opening's, `new` for the first
    time, `returned`. Amounts in millionths of a minor unit, none negative: `lost_mrr`, `contracted_mrr`,
    `expanded_mrr` of the opening's, `returned_mrr` of those that came again. `subscriptions`, `trial_mrr` and
    `usage` (of metered prices, a month) are of the closing; `movements` by kind: how many there were.
    """

    opening: int = 0
    closing: int = 0
    lost: int = 0
    contracted: int = 0
    new: int = 0
    returned: int = 0
    lost_mrr: int = 0
    contracted_mrr: int = 0
    expanded_mrr: int = 0
    returned_mrr: int = 0
    subscriptions: int = 0
    trial_mrr: int | None = 0
    usage: int | None = 0
    movements: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, before: int, after: int, *, known: bool) -> None:
        """Counts one contact: its MRR at the opening and at the closing; `known`: it had some before that."""
        self.opening += before > 0
        self.closing += after > 0
        if before > 0 >= after:
            self.lost, self.lost_mrr = self.lost + 1, self.lost_mrr + before
        elif 0 < after < before:
            self.contracted, self.contracted_mrr = self.contracted + 1, self.contracted_mrr + before - after
        elif after > before > 0:
            self.expanded_mrr += after - before
        elif after > 0 >= before and known:
            self.returned, self.returned_mrr = self.returned + 1, self.returned_mrr + after
        elif after > 0 >= before:
            self.new += 1

    def plus(self, other: "Counts") -> None:
        """Adds what other contacts did."""
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for kind, number in other.movements.items():
            self.movements[kind] = self.movements.get(kind, 0) + number


_SUMMED = tuple(name for name in Counts.__dataclass_fields__ if name not in {"movements", "trial_mrr", "usage"})

Ratio = Fraction | None
"""Null where there is nothing to divide by, or a rate of a currency is missing."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a period comes to; amounts in millionths of a minor unit, exact, ratios as fractions of one."""

    arr: Fraction | None
    arpa: Ratio
    net_new: int | None
    growth: Ratio
    gross_churn: Ratio
    net_churn: Ratio
    customer_churn: Ratio
    nrr: Ratio
    grr: Ratio
    ltv: Ratio
    quick_ratio: Ratio


def metrics(line: Line, counts: Counts, by: str) -> Metrics:
    """The figures of a period (`by` day, week or month); amounts of the counts at the rate of the line's opening."""
    lost, gained = counts.lost_mrr + counts.contracted_mrr, counts.expanded_mrr + counts.returned_mrr
    churn = over(counts.lost, counts.opening)
    return _told(line, counts, by, churn, over(lost, line.opening), over(lost - gained, line.opening))


def stripes(line: Line, counts: Counts, month: Line, over_30_days: Counts, by: str) -> Metrics:
    """The same as Stripe's reports have it: churn over the 30 days that end with the period (`month`, `over_30_days`),
    every churn counted, and of subscribers in relation to those of its opening and those who came since.

    https://support.stripe.com/questions/calculating-subscriber-churn-rate-in-billing
    """
    came = sum(over_30_days.movements.get(kind, 0) for kind in ("new", "reactivation"))
    churn = over(over_30_days.movements.get("churn", 0), over_30_days.opening + came)
    lost = _sum(month.moved, "churn", "contraction")
    gained = _sum(month.moved, "expansion", "reactivation")
    gross = None if lost is None else over(-lost, month.opening)
    net = None if lost is None or gained is None else over(-lost - gained, month.opening)
    return _told(line, counts, "month", churn, gross, net)


def _told(line: Line, counts: Counts, by: str, churn: Ratio, gross: Ratio, net: Ratio) -> Metrics:
    arpa = over(line.closing, counts.closing)
    won, lost = _sum(line.moved, "new", "expansion", "reactivation"), _sum(line.moved, "contraction", "churn")
    opening = line.opening
    kept = None if opening is None else opening - counts.lost_mrr - counts.contracted_mrr
    return Metrics(
        arr=None if line.closing is None else Fraction(12 * line.closing),
        arpa=arpa,
        net_new=line.net_new,
        growth=over(line.net_new, line.opening),
        gross_churn=gross,
        net_churn=net,
        customer_churn=churn,
        nrr=None if kept is None else over(kept + counts.expanded_mrr, opening),
        grr=over(kept, opening),
        ltv=None if arpa is None or not churn else arpa / (churn * PER_MONTH[by]),
        quick_ratio=None if won is None or lost is None else over(won, -lost),
    )


def over(one: int | None, other: int | None) -> Ratio:
    """A ratio; None where there is nothing to divide by."""
    return None if one is None or not other else Fraction(one, other)


def _sum(moved: Mapping[str, int | None], *kinds: str) -> int | None:
    found = [moved.get(kind, 0) for kind in kinds]
    known = [one for one in found if one is not None]
    return sum(known) if len(known) == len(found) else None
