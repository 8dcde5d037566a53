"""What was looked up a moment ago, kept for some seconds in this process."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

MOST = 10_000


class Recent(Generic[Key, Value]):
    """Values by key, each good for `seconds`. To be used in one thread."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._kept: dict[Key, tuple[float, Value]] = {}

    def get(self, key: Key) -> Value | None:
        """The value, when it was put in less than `seconds` ago."""
        found = self._kept.get(key)
        return found[1] if found is not None and self._clock() < found[0] else None

    def put(self, key: Key, value: Value, looked_up_at: float) -> None:
        """Keeps a value that was looked up at this time of the clock, before the look-up began."""
        if len(self._kept) >= MOST:
            self._kept.clear()
        self._kept[key] = (looked_up_at + self._seconds, value)

    def now(self) -> float:
        """The clock's time."""
        return self._clock()
