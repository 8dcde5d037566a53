"""Identifiers that look like Stripe's and follow from the seed alone."""

import random

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


PAIRS = [first + second for first in ALPHABET for second in ALPHABET]


def base62(number: int, width: int) -> str:
    """`number` in base 62, padded to `width` characters and cut to the last `width`."""
    digits: list[str] = []
    for _ in range((width + 1) // 2):
        number, pair = divmod(number, 3844)
        digits.append(PAIRS[pair])
    digits.reverse()
    return "".join(digits)[-width:]


class Ids:
    """Hands out identifiers; the same seed gives the same sequence."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(f"ids-{seed}")
        self._taken = 0

    def new(self, prefix: str, width: int = 14) -> str:
        """The next identifier with this prefix, for example `cus_` gives `cus_Ab3…`; never the same twice."""
        self._taken += 1
        noise = base62(self._random.getrandbits(6 * width), width - 5)
        return prefix + noise + base62(self._taken, 5)
