"""Delivers what is due: every destination at its own pace beside the others, until nothing is or the time is over."""

import asyncio
import gc
import logging
import random
import socket
import threading
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from tidegate.delivery import contacts_due, queue, stored
from tidegate.delivery.outcomes import Due, Outcome
from tidegate.delivery.queue import Claim, Settled
from tidegate.delivery.sending import Sending, Taken
from tidegate.delivery.stored import Stored
from tidegate.errors import ConfigurationError, TidegateError
from tidegate.workflows.delivery import delivery_messages

log = logging.getLogger(__name__)

NOTES = 200
"""Notes of changed contacts that are looked at in one transaction."""
COLLECTED = (20_000, 20, 20)
"""When Python looks for cycles (`gc.set_threshold`) while messages are sent."""
Open = Callable[[Connection, str], Stored]
"""A destination with its secrets (`wiring.Hub.destination`)."""


@dataclass(slots=True)
class Delivered:
    """What a delivery did, by destination. `more`: something is left that could go on at once."""

    by_destination: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    problems: dict[str, str] = field(default_factory=dict[str, str])
    more: bool = False

    @property
    def delivered(self) -> int:
        """All of them."""
        return sum(one.delivered for one in self.by_destination.values())

    def as_json(self) -> dict[str, Any]:
        """As a job's result."""
        return {
            "delivered": self.delivered,
            "dead": sum(one.dead for one in self.by_destination.values()),
            "failed": sum(one.failed for one in self.by_destination.values()),
            "problems": self.problems,
        }


def deliver(
    engine: Engine,
    opened: Open,
    *,
    seconds: float = 20.0,
    stop: threading.Event | None = None,
    ahead: float = 0.0,
    only: str | None = None,
    chance: random.Random | None = None,
) -> Delivered:
    """Sends what is due for about so many seconds. Any number of processes may do so at a time.

    `ahead`: seconds that the clock is taken to be ahead; `only`: one destination. A destination that cannot be opened
    (a variable that is not set, a lost key) is named in `problems` and hinders no other.
    """
    stop = stop or threading.Event()
    while not stop.is_set():
        with engine.begin() as db:
            if not contacts_due.expand_noted(db, NOTES):
                break
    done = Delivered()
    found: list[Stored] = []
    with engine.connect() as db:
        for key in queue.due(db, ahead=ahead):
            if only is None or key == only:
                try:
                    found.append(opened(db, key))
                except (ConfigurationError, TidegateError) as error:
                    log.warning("destination_unusable", extra={"destination": key, "problem": str(error)})
                    done.problems[key] = str(error)
    for key, problem in done.problems.items():
        with engine.begin() as db:
            stored.stood(db, key, delivered=0, failures=1, error=problem, wait=60.0, ahead=ahead)
    if found:
        turns = [_Turn(engine, one, seconds, stop, ahead, chance or random.Random()) for one in found]
        with _seldom_collected():
            asyncio.run(_all(turns))
        done.by_destination = {turn.destination.key: turn.outcome for turn in turns}
        done.more = any(one.more and one.wait is None and not one.refused for one in done.by_destination.values())
    return done


@contextmanager
def _seldom_collected() -> Generator[None]:
    """Lets Python look for cycles less often: thousands of messages in hand, which have none, would be looked through
    again and again, for a tenth of the time.
    """
    before = gc.get_threshold()
    gc.set_threshold(*COLLECTED)
    try:
        yield
    finally:
        gc.set_threshold(*before)


async def _all(turns: Sequence["_Turn"]) -> None:
    """Every turn to its end; then what the database could not do is raised."""
    for ended in await asyncio.gather(*(turn.run() for turn in turns), return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended


class _Turn:
    """One destination's turn: what `Sending` needs of the store."""

    def __init__(
        self, engine: Engine, destination: Stored, seconds: float, stop: threading.Event, ahead: float,
        chance: random.Random,
    ) -> None:  # fmt: skip
        self.destination = destination
        self.outcome = Outcome()
        self._engine = engine
        self._ahead = ahead
        self._me = f"{socket.gethostname()}:{uuid.uuid4().hex[:12]}"
        self._sending = Sending(
            destination.speaks,
            destination.options,
            self._take,
            self._settle,
            seconds,
            stop,
            failures=destination.failures,
            shift=timedelta(seconds=ahead),
            chance=chance,
        )

    async def run(self) -> None:
        """Sends, and writes down how the destination stands. What goes wrong with one is no other's trouble."""
        try:
            self.outcome = await self._sending.run()
        except DBAPIError:
            raise
        except Exception as error:
            log.exception("destination_failed", extra={"destination": self.destination.key})
            failures = self.destination.failures + 1
            self.outcome = Outcome(failures=failures, wait=60.0, error=f"{type(error).__name__}: {error}")
        await asyncio.to_thread(self._stood)

    def _take(self, wanted: int) -> Taken:
        options, key, kind = self.destination.options, self.destination.key, self.destination.speaks
        with self._engine.begin() as db:
            found = queue.claim(db, key, self._me, wanted, rate=options.rate, batch=kind.batch, ahead=self._ahead)
        return Taken(
            len(found.rows), partial(self._read, found), found.put_off, found.busy, found.starts_in, found.open
        )

    def _read(self, found: Claim) -> Sequence[Due]:
        """In a transaction of its own: what changes once a claim can be seen is due again (`expand_noted`)."""
        with self._engine.begin() as db:
            if hasattr(self.destination.speaks, "second_of"):  # one at a time keeps seconds
                queue.hold(db, self.destination.key)
            return self._due(db, found)

    def _due(self, db: Connection, found: Claim) -> Sequence[Due]:
        """What was claimed, as it is to be sent."""
        if not found.rows or found.now is None:
            return ()
        return delivery_messages.due(db, self.destination, found.rows, found.now)

    def _settle(self, settled: Sequence[Settled]) -> None:
        with self._engine.begin() as db:
            now = queue.now(db, ahead=self._ahead)
            queue.settle(db, self.destination.key, self._me, settled, now)

    def _stood(self) -> None:
        outcome, key = self.outcome, self.destination.key
        with self._engine.begin() as db:
            since = stored.stood(
                db,
                key,
                delivered=outcome.delivered,
                failures=outcome.failures,
                error=outcome.error,
                wait=outcome.wait,
                ahead=self._ahead,
            )
            pause = partial(stored.pause, db, key, "")
            now = queue.now(db, ahead=self._ahead)
            if outcome.refused:
                pause(outcome.refused)
            elif since is not None and now - since > timedelta(days=self.destination.options.pause_days):
                pause(
                    f"every try has failed for {self.destination.options.pause_days:g} days; the last: {outcome.error}"
                )
            else:
                return
        log.warning("destination_paused", extra={"destination": key, "problem": outcome.refused or outcome.error})
