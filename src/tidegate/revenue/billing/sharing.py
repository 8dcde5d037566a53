"""Shares an amount out by weights, in whole minor units that add up to it."""

from collections.abc import Sequence
from fractions import Fraction


def share(amount: int, weights: Sequence[int]) -> list[int]:
    """An amount shared in proportion to the weights; what rounding leaves goes to the largest remainders, the first of
    equal ones first. Where the weights say nothing (they sum to 0) all of it is the first one's.
    """
    if not weights:
        return []
    whole = sum(weights)
    if whole == 0:
        return [amount, *(0 for _ in weights[1:])]
    exact = [Fraction(amount * weight, whole) for weight in weights]
    shares = [part.numerator // part.denominator for part in exact]
    order = sorted(range(len(exact)), key=lambda n: (shares[n] - exact[n], n))
    for n in order[: amount - sum(shares)]:
        shares[n] += 1
    return shares
