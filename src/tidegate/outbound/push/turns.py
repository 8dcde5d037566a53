"""Whose turn it is to send something of a customer: of syncs and sales of a connection one at a time, by a lock of the
database that goes with its session, so with the process that holds it. Of a customer who is to be made, too, by what it
would be found by.
"""

import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from tidegate.errors import CustomerBusy
from tidegate.store import trouble

log = logging.getLogger(__name__)

WAIT_SECONDS = 30.0
"""For which a sale waits for a sync's request to be answered."""
POLL = 0.05
"""Seconds after which a sync that a sale keeps off looks again."""


class Turns:
    """The turns that one process's requests take side by side; all of their locks are of one session, `db`."""

    def __init__(self, db: Connection, connection: str) -> None:
        self._db, self._connection = db, connection
        self._lock = threading.Lock()

    @contextmanager
    def of(self, lane: str, stopped: Callable[[], bool]) -> Generator[bool]:
        """The turn of a lane (`requests.lane`), waited for without keeping others from theirs; false: `stopped` said so
        before it came. What is no object yet is no one else's.
        """
        if lane.startswith("row:"):
            yield True
            return
        held = self.take(lane, stopped)
        try:
            yield held
        finally:
            if held:
                self.give_back(lane)

    def take(self, lane: str, stopped: Callable[[], bool]) -> bool:
        """Waits for the turn of a lane, as `of` does, and keeps it until it is given back, or the session ends."""
        while not (held := self._asked("pg_try_advisory_lock", lane)) and not stopped():
            time.sleep(POLL)
        return held

    def give_back(self, lane: str) -> None:
        """Ends a turn that was taken."""
        self._asked("pg_advisory_unlock", lane)

    def _asked(self, function: str, lane: str) -> bool:
        with self._lock:
            try:
                return _asked(self._db, function, self._connection, lane)
            except DBAPIError as error:
                if not trouble.connection_lost(error):
                    raise
                log.warning("turns_lost", extra={"problem": trouble.told(error)})
                self._db.rollback()  # what follows has another session, and what is under way has no turn any more
                return _asked(self._db, function, self._connection, lane)


def making(way: str, name: str, value: str) -> str:
    """The lane of a customer that is to be made: whoever makes one that would be found so has it, from before he looks
    whether there is one until what he made is in the mirror. `way`, `name` and `value` as `lookups.find` takes them.
    """
    return f"new:{way}:{name}:{value.lower() if way == 'email' else value}"


@contextmanager
def waited(db: Connection, connection: str, lane: str, called: str = "") -> Generator[None]:
    """The turn of a lane for whoever has this session to himself. Raises CustomerBusy, which names who is
    `called` so, when it does not come in time.

    Who waits is next: PostgreSQL gives the lock to nobody that only tries meanwhile.
    """
    try:
        db.execute(text("select set_config('lock_timeout', :wait, true)"), {"wait": f"{int(WAIT_SECONDS * 1000)}ms"})
        _asked(db, "pg_advisory_lock", connection, lane)
    except DBAPIError as error:
        if not trouble.held_by_others(error):
            raise
        db.rollback()
        raise CustomerBusy(customer=called or lane, connection=connection, seconds=f"{WAIT_SECONDS:g}") from error
    try:
        yield
    finally:
        _let_go(db, connection, lane)


def _let_go(db: Connection, connection: str, lane: str) -> None:
    """What was done in a turn stands all the same where its session was lost, and the turn with it."""
    if db.invalidated:
        return
    try:
        _asked(db, "pg_advisory_unlock", connection, lane)
    except DBAPIError as error:
        if not trouble.connection_lost(error):
            raise
        log.warning("turns_lost", extra={"problem": trouble.told(error)})


def _asked(db: Connection, function: str, connection: str, lane: str) -> bool:
    """Whether PostgreSQL said yes. No transaction stays open."""
    said = db.scalar(text(f"select {function}(hashtextextended(:key, 0))"), {"key": f"lane:{connection}:{lane}"})
    db.commit()
    return bool(said)
