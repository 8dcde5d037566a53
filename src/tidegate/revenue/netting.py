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
    by_unit = _by_unit(instants)
    return [Window(*whose, at, last) for whose, those in by_unit.items() for at, last in moved(those, seconds).items()]


def lasting(instants: Iterable[tuple[str, str, int]], seconds: int) -> bool:
    """Whether some of these (unit, currency, instant) are a chain, without a gap of more than so many seconds, that
    lasts longer than that: only then `windows` has something to say, of these or of fewer.
    """
    for those in _by_unit(instants).values():
        first = last = min(those)
        for at in sorted(those):
            first = at if at - last > seconds else first
            if at - first > seconds:
                return True
            last = at
    return False


def _by_unit(instants: Iterable[tuple[str, str, int]]) -> dict[tuple[str, str], list[int]]:
    found: dict[tuple[str, str], list[int]] = {}
    for unit, currency, at in instants:
        found.setdefault((unit, currency), []).append(at)
    return found


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
