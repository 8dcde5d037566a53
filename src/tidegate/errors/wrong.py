"""What is wrong in something that a person wrote, told whole: every fault with its place, not the first alone."""

from typing import NamedTuple


class Wrong(NamedTuple):
    """Something that cannot be: where (`when.all.0.mrr`), and what, in words that say how to mend it."""

    where: str
    problem: str
