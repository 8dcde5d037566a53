"""Waiting for one's slot: reservations in chunks, by as many threads as like, over any keeper of limits."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Protocol

from tidegate.stripe_api.calls import wait_or_stop
from tidegate.stripe_api.pace import Slots

CONNECTION = ""
"""The row of the whole connection, beside one row per endpoint."""
CHUNK_SECONDS = 0.05
"""A reservation takes at most what is due in this time."""


class Limits(Protocol):
    """Keeps the pace of each limit, by its row: an endpoint, or CONNECTION."""

    def reserve(self, row: str, ceiling: float, count: int, *, interactive: bool) -> Slots: ...

    def slow(self, row: str, ceiling: float, retry_after: float) -> bool:
        """Slow the limit; False where the answers of one burst have slowed it already."""
        ...


@dataclass(slots=True)
class Lane:
    """One limit as this process sees it: `slots` reserved and not yet taken (moments on its clock).

    A chunk is as many slots as threads are `wanting` one at that moment, so none is reserved in vain: the slower the
    keeper of the limit, the more threads gather, the larger the chunk, up to `largest`. `voided` moves when a slowing
    makes slots void.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    counting: threading.Lock = field(default_factory=threading.Lock)
    slots: deque[float] = field(default_factory=deque[float])
    wanting: int = 0
    largest: int = 1
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

    def acquire(self, endpoint: str, *, interactive: bool = False, stop: threading.Event | None = None) -> float:
        """See `Budget.acquire`."""

        def pause(seconds: float) -> None:
            wait_or_stop(seconds, endpoint, self._sleep, stop)

        return sum(self._wait(row, ceiling, interactive, pause) for row, ceiling in self._limited(endpoint).items())

    def note(self, endpoint: str, status: int, retry_after: float | None = None, reason: str | None = None) -> None:
        """See `Budget.note`."""
        if status != 429:
            return
        for row, ceiling in self._slowed_by(endpoint, reason):
            if self._limits.slow(row, ceiling, retry_after or 0.0):
                lane = self._lane(row)
                with lane.lock:
                    lane.slots.clear()
                    lane.voided += 1

    def _limited(self, endpoint: str) -> dict[str, float]:
        """The rows a request to the endpoint draws from, in order, with their ceilings."""
        ceilings = {endpoint: self._endpoint, CONNECTION: self._connection}
        return {row: ceiling for row, ceiling in ceilings.items() if ceiling}

    def _slowed_by(self, endpoint: str, reason: str | None) -> list[tuple[str, float]]:
        """The rows that a 429 for this reason slows: the one it names; without a reason, or that one unlimited, any.

        The lock on one object (resource-specific) says nothing about a rate.
        """
        limited = self._limited(endpoint)
        named = {"global": CONNECTION, "endpoint": endpoint}.get((reason or "").partition("-")[0])
        if reason == "resource-specific":
            return []
        return [(named, limited[named])] if named in limited else list(limited.items())

    def _wait(self, row: str, ceiling: float, interactive: bool, pause: Callable[[float], None]) -> float:
        started, lane = self._clock(), self._lane(row)
        while True:
            voided = lane.voided
            slot = self._own_slot(row, ceiling) if interactive else self._shared_slot(lane, row, ceiling)
            if (delay := slot - self._clock()) > 0:
                pause(delay)
            if voided == lane.voided:
                return self._clock() - started

    def _lane(self, row: str) -> Lane:
        return self._lanes.setdefault(row, Lane())

    def _own_slot(self, row: str, ceiling: float) -> float:
        slots = self._limits.reserve(row, ceiling, 1, interactive=True)
        return self._clock() + slots.first_in

    def _shared_slot(self, lane: Lane, row: str, ceiling: float) -> float:
        with lane.counting:
            lane.wanting += 1
        with lane.lock:
            try:
                if not lane.slots:
                    self._refill(lane, row, ceiling)
            finally:
                with lane.counting:
                    lane.wanting -= 1
            return lane.slots.popleft()

    def _refill(self, lane: Lane, row: str, ceiling: float) -> None:
        slots = self._limits.reserve(row, ceiling, min(lane.wanting, lane.largest), interactive=False)
        first = self._clock() + slots.first_in
        lane.slots.extend(first + place * slots.step for place in range(slots.count))
        lane.largest = max(1, ceil(CHUNK_SECONDS / slots.step))
