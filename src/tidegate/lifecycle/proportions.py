"""How much two shares differ, and how certain that is: pure arithmetic on four counts."""

from dataclasses import dataclass
from math import sqrt

Z = 1.959963984540054
"""The normal distribution's quantile of 97.5 %: 95 % lie between -Z and Z."""
FEW = 30
"""With fewer than so many on either side nothing is said of a difference."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first share less the second, and the ends of its 95 % interval; parts of 1."""

    value: float
    low: float
    high: float


def wilson(reached: int, of: int) -> tuple[float, float]:
    """The 95 % score interval of a share, without continuity correction (E. B. Wilson, Probable inference, the law of
    succession, and statistical inference, JASA 22, 1927).
    """
    share = reached / of
    middle = share + Z**2 / (2 * of)
    half = Z * sqrt(share * (1 - share) / of + Z**2 / (4 * of**2))
    whole = 1 + Z**2 / of
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


def difference(reached: int, of: int, other_reached: int, other_of: int) -> Difference | None:
    """The difference of two independent shares with its 95 % interval: the hybrid score interval, method 10 of
    R. G. Newcombe, Interval estimation for the difference between independent proportions: comparison of eleven
    methods, Statistics in Medicine 17 (1998), 873-890. None where a side is empty.
    """
    if not of or not other_of:
        return None
    one, other = reached / of, other_reached / other_of
    (low, high), (other_low, other_high) = wilson(reached, of), wilson(other_reached, other_of)
    down = sqrt((one - low) ** 2 + (other_high - other) ** 2)
    up = sqrt((high - one) ** 2 + (other - other_low) ** 2)
    return Difference(one - other, max(-1.0, one - other - down), min(1.0, one - other + up))


def verdict(reached: int, of: int, other_reached: int, other_of: int) -> str:
    """What can be said of it, in a sentence."""
    found = difference(reached, of, other_reached, other_of)
    if found is None or min(of, other_of) < FEW:
        return (
            f"Too small a sample to say anything: the time is over for {of:,} that were acted on and {other_of:,} that "
            f"were held out; each side needs {FEW} at least."
        )
    if found.low <= 0 <= found.high:
        return "A difference cannot be told from chance yet: the interval holds 0."
    side = ("more", "above") if found.value > 0 else ("less", "below")
    return f"Those that were acted on reached it {side[0]} often: the interval lies {side[1]} 0."
