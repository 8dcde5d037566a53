"""How fast work goes just now, and how long the rest takes (pure): what it did at first tells little of either."""

from collections import deque
from dataclasses import dataclass, field

WINDOW = 15.0
"""Seconds that the rate is of."""


@dataclass(slots=True)
class Tempo:
    """Takes how much is done in all, again and again; times are seconds of a steady clock."""

    _marks: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])

    def take(self, objects: int, now: float) -> float:
        """Objects a second over the last seconds; 0 while that is not known."""
        self._marks.append((now, objects))
        while len(self._marks) > 2 and self._marks[1][0] <= now - WINDOW:
            self._marks.popleft()
        at, before = self._marks[0]
        return (objects - before) / (now - at) if now > at else 0.0
