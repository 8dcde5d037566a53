"""Fires actions for what happened, and settles their goals: a transaction for each, behind one another."""

import logging
import threading
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, ProgrammingError

from tidegate.delivery import queue
from tidegate.lifecycle import rulebook
from tidegate.lifecycle.actions import firing, goals, stored
from tidegate.lifecycle.actions.firing import Fired

log = logging.getLogger(__name__)


def fire_actions(
    engine: Engine,
    *,
    as_of: datetime | None = None,
    stop: threading.Event | None = None,
    at_once: int = firing.AT_ONCE,
) -> Fired:
    """Fires what happened since each action looked last. One that cannot be done, because it names what there is not
    any more or its condition fails on somebody, is told to the log, hinders no other, and finds later what it missed.

    `as_of`: the instant to look from; the database's clock where it is not said. `at_once`: occurrences of a
    transaction.
    """
    done = Fired()
    with engine.connect() as db:
        keys = [one.key for one in stored.every(db, enabled=True)]
    for key in keys:
        more = True
        while more:
            if stop and stop.is_set():
                return done
            try:
                with engine.begin() as db:
                    fired, more = _fire(db, key, as_of, at_once)
            except (DataError, ProgrammingError):
                log.exception("action_failed", extra={"action": key})
                break
            for name in Fired.__dataclass_fields__:
                setattr(done, name, getattr(done, name) + getattr(fired, name))
    with engine.begin() as db:
        rulebook.lock(db)
        goals.settle(db, as_of or _now(db))
    return done


def _fire(db: Connection, key: str, as_of: datetime | None, at_once: int) -> tuple[Fired, bool]:
    rulebook.lock(db)
    one = stored.find(db, key)
    if one is None or not one.enabled:
        return Fired(), False
    if one.wrong:
        log.warning("action_unusable", extra={"action": key, "problem": str(one.wrong[0])})
        return Fired(), False
    return firing.fire(db, one, as_of or _now(db), at_once)


def _now(db: Connection) -> datetime:
    return queue.now(db).astimezone(UTC)
