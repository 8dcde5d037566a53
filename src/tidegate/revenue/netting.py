"""Which changes are one movement: those within so many seconds of its first one."""

from collections.abc import Iterable
from typing import NamedTuple


class Window(NamedTuple):
    """A change of a unit in a currency, and the last change of the movement that it belongs to, epoch seconds."""

    unit: str
    currency: str
    at: int
    moved_at: int


def windows(instants: Iterable[tuple[str, str, int]], seconds: int) -> list[Window]:
    """For each (unit, currency, instant) the movement that it belongs to."""
    by_unit: dict[tuple[str, str], list[int]] = {}
    for unit, currency, at in instants:
        by_unit.setdefault((unit, currency), []).append(at)
    return [Window(*whose, at, last) for whose, those in by_unit.items() for at, last in moved(those, seconds).items()]


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
