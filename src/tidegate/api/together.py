"""One thread that does the work of many requests together: what they cost the database is shared."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from tidegate.api.waiting import resolve
from tidegate.errors import HubBusy, TidegateError

log = logging.getLogger(__name__)

BATCH = 64
MOST_WAITING = 2_000

Ask = TypeVar("Ask")
Work = Callable[[Sequence[Ask]], Sequence[Any]]
"""Takes what was asked and returns as many outcomes, in order; an outcome that is a TidegateError is raised to whoever
asked. When it raises, nothing was done, and everybody hears of it.
"""


class _Waiting(NamedTuple):
    ask: Any
    answer: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class Together(Generic[Ask]):
    """Takes asks from the event loop; its thread does up to 64 at a time. One that comes alone waits for nothing."""

    def __init__(self, name: str, work: Work[Ask]) -> None:
        self._work = work
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begins; once."""
        self._thread.start()

    def stop(self) -> None:
        """Does what waits and ends the thread; later asks are refused."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    async def do(self, ask: Ask) -> Any:
        """The outcome of this ask. Raises HubBusy when too much waits already, and what the work raises."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        with self._changed:
            if self._stopping:
                raise HubBusy(problem="this process is stopping")
            if len(self._queue) >= MOST_WAITING:
                raise HubBusy(problem=f"{len(self._queue)} requests wait already")
            self._queue.append(_Waiting(ask, answer, loop))
            if len(self._queue) == 1:
                self._changed.notify()
        return await answer

    def _run(self) -> None:
        while batch := self._next():
            outcomes: Sequence[Any]
            try:
                outcomes = self._work([one.ask for one in batch])
            except Exception as error:  # everybody who waits must hear of it; it is logged where it is answered
                outcomes = [error] * len(batch)
            except BaseException as error:
                log.critical("the thread %s ends; restart this process", self._thread.name, exc_info=error)
                _resolve(batch, [HubBusy(problem="this process is ending") for _ in batch])
                raise
            _resolve(batch, outcomes)

    def _next(self) -> list[_Waiting]:
        """What waits, as soon as anything does; nothing when it is time to end."""
        with self._changed:
            while not self._queue and not self._stopping:
                self._changed.wait()
            return [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]


def _resolve(batch: Sequence[_Waiting], outcomes: Sequence[Any]) -> None:
    resolve((one.loop, one.answer, _own(outcome)) for one, outcome in zip(batch, outcomes, strict=True))


def _own(outcome: Any) -> Any:
    return _again(outcome) if isinstance(outcome, TidegateError) else outcome


def _again(error: TidegateError) -> TidegateError:
    """An error of its own for each, since raising one adds to its traceback."""
    return type(error)(**error.facts)
