"""When to ring for which connection: at once, then at most once a pause, and once more after the last event."""

import math


class Rings:
    """Times are seconds of any steady clock, given by the caller. Not thread-safe: one thread owns it."""

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._due: dict[str, float] = {}
        self._rung: dict[str, float] = {}

    def want(self, name: str, now: float) -> None:
        """Something arrived for `name`: a ring is due now, or a pause after the last one."""
        self._due.setdefault(name, max(now, self._rung.get(name, -math.inf) + self._pause))

    def take(self, now: float) -> list[str]:
        """The names to ring now; they count as rung."""
        due = [name for name, at in self._due.items() if at <= now]
        for name in due:
            del self._due[name]
            self._rung[name] = now
        return due

    def next(self) -> float | None:
        """When the next ring is due; None: nothing to ring."""
        return min(self._due.values(), default=None)
