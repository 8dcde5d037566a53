"""One thread that stores webhook events in batches: what waits is committed together, then every sender is answered."""

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tidegate.api.rings import Rings
from tidegate.api.waiting import resolve
from tidegate.errors import InboxBusy, TidegateError
from tidegate.mirror.inbox import Entry
from tidegate.store.outage import Outage

log = logging.getLogger(__name__)

BATCH = 200
MOST_WAITING = 5_000  # events
MOST_BYTES = 64_000_000
RING_PAUSE = 0.5  # seconds
COMMIT_PAUSE = 0.01
"""Seconds from one commit's beginning to the next one's: under load ten events share what one of them would cost, and
an event that comes alone waits for nothing.
"""

Outcome = bool | TidegateError
"""Of one event: whether it was new, or why it was not stored."""


class Inlet(Protocol):
    """Where events go. Used by the committer's thread only."""

    def keep(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Stores the events durably; an outcome for each, in order. Raises when none was stored."""
        ...

    def ring(self, connection: str) -> None:
        """Lets a worker handle what waits. Raises when that failed; it is tried again."""
        ...

    def close(self) -> None:
        """Called once, at the end."""
        ...


class _Waiting(NamedTuple):
    entry: Entry
    answer: asyncio.Future[bool]
    loop: asyncio.AbstractEventLoop


class Committer:
    """Takes events from the event loop, stores up to 200 per transaction and then resolves each one's future."""

    def __init__(
        self,
        inlet: Inlet,
        *,
        most_waiting: int = MOST_WAITING,
        most_bytes: int = MOST_BYTES,
        pause: float = COMMIT_PAUSE,
    ) -> None:
        self._inlet = inlet
        self._most_waiting = most_waiting
        self._most_bytes = most_bytes
        self._pause = pause
        self._queue: deque[_Waiting] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._rings = Rings(RING_PAUSE)
        self._outage = Outage(log)
        self._thread = threading.Thread(target=self._run, name="webhook-committer", daemon=True)

    def start(self) -> None:
        """Begins to store; once."""
        self._thread.start()

    def stop(self) -> None:
        """Stores what waits, rings a last time and ends the thread; later events are refused."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def offer(self, entry: Entry) -> asyncio.Future[bool]:
        """Queues an event; the future tells whether it was new once it is stored durably, or raises why it was not.

        Called in the event loop. Raises InboxBusy when too much waits already.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()
        with self._changed:
            if self._stopping:
                raise InboxBusy(problem="this process is stopping")
            if not self._thread.is_alive():
                raise InboxBusy(problem="what stores events in this process has ended; restart it")
            if len(self._queue) >= self._most_waiting or self._bytes >= self._most_bytes:
                raise InboxBusy(problem=f"{len(self._queue)} events wait to be stored already")
            self._queue.append(_Waiting(entry, answer, loop))
            self._bytes += len(entry.body)
            self._changed.notify()
        return answer

    def _run(self) -> None:
        try:
            with contextlib.closing(self._inlet):
                while self._something_to_do():
                    if batch := self._next_batch():
                        began = time.monotonic()
                        self._commit(batch)
                        self._pause_until(began + self._pause)
                    self._ring(time.monotonic())
                self._ring(math.inf)
        except BaseException as error:
            log.critical("the thread that stores webhook events ends; restart this process", exc_info=error)
            raise
        finally:
            self._refuse_the_rest()

    def _refuse_the_rest(self) -> None:
        """Lets nobody wait for an answer that will not come."""
        with self._changed:
            self._stopping = True
            rest, self._bytes = list(self._queue), 0
            self._queue.clear()
        _resolve(rest, [InboxBusy(problem="this process stores no more events") for _ in rest])

    def _something_to_do(self) -> bool:
        """Waits for events or until a ring is due; false when it is time to end."""
        with self._changed:
            while not self._queue and not self._stopping:
                due, now = self._rings.next(), time.monotonic()
                if due is not None and due <= now:
                    return True
                self._changed.wait(None if due is None else due - now)
            return bool(self._queue)

    def _pause_until(self, then: float) -> None:
        """Lets events gather, unless a whole batch waits already or it is time to end."""
        with self._changed:
            while len(self._queue) < BATCH and not self._stopping and (left := then - time.monotonic()) > 0:
                self._changed.wait(left)

    def _next_batch(self) -> list[_Waiting]:
        with self._changed:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._bytes -= sum(len(one.entry.body) for one in batch)
        return batch

    def _commit(self, batch: list[_Waiting]) -> None:
        refused = [InboxBusy(problem="the database did not take it") for _ in batch]
        outcomes: Sequence[Outcome] = refused
        try:
            outcomes = self._inlet.keep([one.entry for one in batch])
        except Exception as error:  # whatever it was, every sender must hear that nothing was stored
            self._outage.note(f"could not store {len(batch)} webhook events", error)
        except BaseException:
            _resolve(batch, refused)
            raise
        now = time.monotonic()
        for one, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, bool):  # one that was known may have come when no worker could be told
                self._rings.want(one.entry.connection, now)
        _resolve(batch, outcomes)

    def _ring(self, now: float) -> None:
        for connection in self._rings.take(now):
            try:
                self._inlet.ring(connection)
            except Exception as error:  # the events are stored; only the worker does not know yet
                log.warning("could not ring for %s: %s", connection, error)
                if now != math.inf:
                    self._rings.want(connection, now)


def _resolve(waiting: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
    resolve((one.loop, one.answer, outcome) for one, outcome in zip(waiting, outcomes, strict=True))
