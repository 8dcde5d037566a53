"""What is read at most once in a while however many look at it."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

MOST = 100
"""Things that are kept at a time."""


class Readings:
    """What was read within the last `lasting` seconds, by keys. Safe for many threads: the first one reads, the others
    wait for it.
    """

    def __init__(self, lasting: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lasting = lasting
        self._clock = clock
        self._reading = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()

    def get(self, key: Hashable, read: Callable[[], Any]) -> Any:
        """What `read` gives, or gave not long ago."""
        with self._reading:
            at, value = self._kept.get(key, (float("-inf"), None))
            if self._clock() - at >= self._lasting:
                value = read()
                self._kept.pop(key, None)
                self._kept[key] = (self._clock(), value)
                while len(self._kept) > MOST:
                    self._kept.popitem(last=False)
            return value
