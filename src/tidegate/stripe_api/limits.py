"""The rate budget: every request to Stripe first draws a slot of its endpoint and one of the whole connection."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

from sqlalchemy import Engine

from tidegate.stripe_api import pace
from tidegate.stripe_api.lanes import PacedBudget
from tidegate.stripe_api.pace import Pace, Slots
from tidegate.stripe_api.shared_limits import SharedLimits


class Budget(Protocol):
    """Where a request gets its slot from, and learns of what Stripe answered."""

    def acquire(self, endpoint: str, *, interactive: bool = False, stop: threading.Event | None = None) -> float:
        """Block until a request to `endpoint` (`endpoints.endpoint_of`) may go; the seconds waited.

        Interactive: somebody waits for the answer; does not queue behind background work. A wait ends with WorkStopped
        when `stop` is set; what needs no wait goes.
        """
        ...

    def note(self, endpoint: str, status: int, retry_after: float | None = None, reason: str | None = None) -> None:
        """Tell what Stripe answered: a 429 slows the limit that `reason` (Stripe-Rate-Limited-Reason) names.

        `retry_after`: seconds. Quiet needs no telling.
        """
        ...


class OwnLimits:
    """Limits of this process alone."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._paces: dict[str, Pace] = {}

    def reserve(self, row: str, ceiling: float, count: int, *, interactive: bool) -> Slots:
        with self._lock:
            now = self._clock()
            old = self._paces.get(row) or pace.untouched(ceiling, now)
            new, slots = pace.reserve_interactive(old, now) if interactive else pace.reserve(old, now, count)
            self._paces[row] = new
            return slots

    def slow(self, row: str, ceiling: float, retry_after: float) -> bool:
        with self._lock:
            now = self._clock()
            old = self._paces.get(row) or pace.untouched(ceiling, now)
            new = self._paces[row] = pace.slow(old, now, retry_after)
            return new.slowed_at != old.slowed_at


class LocalBudget(PacedBudget):
    """A budget of this process alone, for use before a connection exists (probing a key). No arguments: unlimited."""

    def __init__(
        self,
        per_second: float | None = None,
        endpoint_per_second: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(OwnLimits(clock), per_second, endpoint_per_second, clock=clock, sleep=sleep)


class SharedBudget(PacedBudget):
    """The budget of a connection, shared by all its processes and machines through the database.

    Rates are requests per second; zero or less is unlimited and costs no trip to the database. No database connection
    is held while waiting. Raises DatabaseUnreachable.
    """

    def __init__(
        self,
        engine: Engine,
        connection: str,
        per_second: float | None,
        endpoint_per_second: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(SharedLimits(engine, connection), per_second, endpoint_per_second, clock=clock, sleep=sleep)
