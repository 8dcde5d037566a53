"""Which changes are one movement: those within so many seconds of its first one."""

from collections.abc import Iterable


def moved(instants: Iterable[int], seconds: int) -> dict[int, int]:
    """For each instant at which something changed (epoch seconds) the last instant of the movement that it belongs to.

    A movement begins with the first change that no earlier movement holds, and ends `seconds` after that.
    """
    found: dict[int, int] = {}
    begun: list[int] = []
    for at in sorted(set(instants)):
        if begun and at - begun[0] > seconds:
            found.update((one, begun[-1]) for one in begun)
            begun = []
        begun.append(at)
    found.update((one, begun[-1]) for one in begun)
    return found
