"""Why another report says something else of a customer: causes whose amounts sum to the whole difference."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, product
from typing import Literal, NamedTuple

from tidegate.pricing.value import whole

Cause = Literal[
    "fx", "fx (rate missing)", "coupon", "tax", "past due", "timing", "excluded", "trial", "rounding", "unexplained"
]

ABOUT: dict[Cause, str] = {
    "fx": "it is converted at another rate, or in another way",
    "fx (rate missing)": "there is no rate to convert it by, so that nothing is known here",
    "coupon": "the report leaves a discount out that counts here",
    "tax": "the report counts the tax that prices include, which is taken out here",
    "past due": "the report leaves out what was past due at the month's end",
    "timing": "it changed within two days of the month's end, and the report has the other side of that",
    "excluded": "the customer is excluded here",
    "trial": "the report counts what is still on trial",
    "rounding": "amounts are rounded item by item",
    "unexplained": "none of these explains it: `tidegate explain mrr` shows how it comes about here",
}

FX_SHARE = Fraction(3, 100)
"""Other rates move an amount by no more than that."""


@dataclass(frozen=True, slots=True)
class Ours:
    """What we know of a customer at the end of a month, in minor units of the report's currency, exact.

    `mrr` counts. `excluded`: what would, were the customer not excluded. `discounts`: what discounts take off it;
    `tax`: the tax that is taken out of it, `listed_tax` of what it would be without discounts. `past_due`: of `mrr`,
    what is past due. `trial`: to come after trials. `nearby`: other MRR that it had within two days. `items`: how many
    amounts it is the sum of. `converted`: all this is, from another currency; `lacking`: a rate is missing, so that
    nothing is known.
    """

    mrr: Fraction = Fraction(0)
    excluded: Fraction = Fraction(0)
    discounts: Fraction = Fraction(0)
    tax: Fraction = Fraction(0)
    listed_tax: Fraction = Fraction(0)
    past_due: Fraction = Fraction(0)
    trial: Fraction = Fraction(0)
    nearby: tuple[Fraction, ...] = ()
    items: int = 0
    converted: bool = False
    lacking: bool = False


class Part(NamedTuple):
    """A part of a difference, in minor units, exact."""

    cause: Cause
    amount: Fraction


def causes(theirs: Fraction, ours: Ours) -> list[Part]:
    """The parts of `theirs` − `ours`, which sum to it; none where there is no difference. What is not known for want of
    a rate is nothing in it.

    Of the ways in which known causes come near enough to the whole, the one with the fewest causes is taken. What is
    left then is rounding, or the rate's where amounts are converted. Where there is no way, all is unexplained.
    """
    if ours.lacking:
        return [Part("fx (rate missing)", theirs)]
    whole = theirs - ours.mrr
    if not whole:
        return []
    best: tuple[int, Fraction, tuple[Part, ...]] | None = None
    for parts in _ways(ours):
        rest = whole - sum(part.amount for part in parts)
        limit = _limit(ours, ours.mrr + sum(part.amount for part in parts))
        if abs(rest) <= limit and (best is None or (len(parts), abs(rest)) < best[:2]):
            best = len(parts), abs(rest), parts
    if best is None:
        return [Part("unexplained", whole)]
    rest = whole - sum(part.amount for part in best[2])
    return [*best[2], *([Part(_rest(rest, ours), rest)] if rest else [])]


def _ways(ours: Ours) -> Iterator[tuple[Part, ...]]:
    """Every choice of causes; of what it was nearby at most one. Without discounts there is more tax in it."""
    known = (
        Part("excluded", ours.excluded),
        Part("past due", -ours.past_due),
        Part("coupon", ours.discounts),
        Part("tax", ours.tax),
        Part("trial", ours.trial),
    )
    single = [part for part in known if part.amount]
    moved = [Part("timing", amount - ours.mrr) for amount in ours.nearby if amount != ours.mrr]
    for count, timing in product(range(len(single) + 1), [None, *moved]):
        for chosen in combinations(single, count):
            undiscounted = any(part.cause == "coupon" for part in chosen)
            taxed = [Part("tax", ours.listed_tax) if undiscounted and one.cause == "tax" else one for one in chosen]
            yield (*taxed, timing) if timing is not None else (*taxed,)


def _limit(ours: Ours, expected: Fraction) -> Fraction:
    """How far from what is expected rounding, and rates, may lead."""
    rounding = Fraction(max(ours.items, 1))
    return rounding + abs(expected) * FX_SHARE if ours.converted else rounding


def _rest(rest: Fraction, ours: Ours) -> Cause:
    return "fx" if ours.converted and abs(rest) > max(ours.items, 1) else "rounding"


def fitted(parts: Sequence[Part], total: int) -> list[tuple[Cause, int]]:
    """Parts in whole minor units that sum to the whole difference; what rounding leaves goes to the largest."""
    told: list[tuple[Cause, int]] = [(part.cause, whole(part.amount)) for part in parts]
    rest = total - sum(amount for _, amount in told)
    if rest and told:
        place = max(range(len(told)), key=lambda number: abs(told[number][1]))
        told[place] = (told[place][0], told[place][1] + rest)
    elif rest:
        told = [("rounding", rest)]
    return [(cause, amount) for cause, amount in told if amount]
