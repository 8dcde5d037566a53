"""Waiting for one's slot: reservations in chunks, by as many threads as like, over any keeper of limits."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Protocol

from tidegate.stripe_api.pace import Slots

CONNECTION = ""
"""The row of the whole connection, beside one row per endpoint."""
CHUNK_SECONDS = 0.05
"""A reservation takes at most what is due in this time."""
STALE_SECONDS = 0.02
"""A reserved slot this long past is dropped: used late it would be a burst on top of everybody else's pace."""


class Limits(Protocol):
    """Keeps the pace of each limit, by its row: an endpoint, or CONNECTION."""

    def reserve(self, row: str, ceiling: float, count: int, *, interactive: bool) -> Slots: ...

    def slow(self, row: str, ceiling: float, retry_after: float) -> bool:
        """Slow the limit; False where the answers of one burst have slowed it already."""
        ...


@dataclass(slots=True)
class Lane:
    """One limit as this process sees it: slots reserved ahead, and `voided`, which moves when a slowing voids them."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    slots: deque[float] = field(default_factory=deque[float])
    chunk: int = 1
    voided: int = 0


class PacedBudget:
    """A budget over any keeper of limits: reserves in chunks, waits for its slots. `None`, zero or less: unlimited.

    The endpoint's slot is waited for first, then the connection's: a slot of the connection held while an endpoint is
    busy would be lost to the others.
    """

    def __init__(
        self,
        limits: Limits,
        per_second: float | None,
        endpoint_per_second: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._limits = limits
        self._connection = max(per_second or 0.0, 0.0)
        self._endpoint = max(endpoint_per_second or 0.0, 0.0)
        self._clock = clock
        self._sleep = sleep
        self._lanes: dict[str, Lane] = {}

    def acquire(self, endpoint: str, *, interactive: bool = False) -> float:
        """See `Budget.acquire`."""
        return sum(
            self._wait(row, ceiling, interactive)
            for row, ceiling in ((endpoint, self._endpoint), (CONNECTION, self._connection))
            if ceiling
        )

    def note(self, endpoint: str, status: int, retry_after: float | None = None, reason: str | None = None) -> None:
        """See `Budget.note`."""
        if status != 429:
            return
        for row, ceiling in ((endpoint, self._endpoint), (CONNECTION, self._connection)):
            if ceiling and _concerns(row, reason) and self._limits.slow(row, ceiling, retry_after or 0.0):
                lane = self._lane(row)
                with lane.lock:
                    lane.slots.clear()
                    lane.voided += 1

    def _wait(self, row: str, ceiling: float, interactive: bool) -> float:
        started, lane = self._clock(), self._lane(row)
        while True:
            voided = lane.voided
            slot = self._own_slot(row, ceiling) if interactive else self._shared_slot(lane, row, ceiling)
            if (delay := slot - self._clock()) > 0:
                self._sleep(delay)
            if voided == lane.voided:
                return self._clock() - started

    def _lane(self, row: str) -> Lane:
        return self._lanes.setdefault(row, Lane())

    def _own_slot(self, row: str, ceiling: float) -> float:
        slots = self._limits.reserve(row, ceiling, 1, interactive=True)
        return self._clock() + slots.first_in

    def _shared_slot(self, lane: Lane, row: str, ceiling: float) -> float:
        with lane.lock:
            stale, oldest = False, self._clock() - STALE_SECONDS
            while lane.slots and lane.slots[0] < oldest:
                lane.slots.popleft()
                stale = True
            if stale:
                lane.chunk = max(1, lane.chunk // 2)
            if not lane.slots:
                slots = self._limits.reserve(row, ceiling, lane.chunk, interactive=False)
                first = self._clock() + slots.first_in
                lane.slots.extend(first + place * slots.step for place in range(slots.count))
                if not stale:
                    lane.chunk = min(lane.chunk * 2, max(1, ceil(CHUNK_SECONDS / slots.step)))
            return lane.slots.popleft()


def _concerns(row: str, reason: str | None) -> bool:
    """Whether a 429 for this reason slows that row; without a reason both, for one object's lock neither."""
    if reason is None:
        return True
    return reason.startswith("global") if row == CONNECTION else reason.startswith("endpoint")
