"""Amounts of the ledger as people and programs get them: whole minor units, rounded last, parts that still add up."""

from collections.abc import Mapping
from fractions import Fraction

from tidegate.money import half_away

UNIT = 1_000_000
"""The ledger's amounts are millionths of a minor unit."""


def minor(amount: int | Fraction | None) -> int | None:
    """Whole minor units of a ledger's amount, halves away from zero."""
    return None if amount is None else half_away(amount.numerator, amount.denominator * UNIT)


def whole(amount: int) -> int:
    """The same of an amount that is known."""
    return minor(amount) or 0


def fitted(parts: Mapping[str, int | None], total: int | None) -> dict[str, int | None]:
    """Parts in whole minor units that sum to `total`, of which none is a unit away from what it is exactly.

    They are as they would be rounded, but for those nearest to the other side. Unknown parts stay so, and all are only
    rounded then.
    """
    known = {name: amount for name, amount in parts.items() if amount is not None}
    rounded: dict[str, int | None] = {name: minor(amount) for name, amount in parts.items()}
    if total is None or len(known) < len(parts):
        return rounded
    sums = {name: whole(amount) for name, amount in known.items()}
    rest = total - sum(sums.values())
    step = 1 if rest > 0 else -1
    nearest = sorted(known, key=lambda name: step * (sums[name] * UNIT - known[name]))
    for name in [name for name in nearest if step * (known[name] - sums[name] * UNIT) > 0][: abs(rest)]:
        sums[name] += step
    return dict(sums)


def ratio(told: Fraction | None) -> float | None:
    """A ratio for JSON, to six places."""
    return None if told is None else round(float(told), 6)
