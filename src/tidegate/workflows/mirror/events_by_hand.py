"""Handles events of the inbox again, or gives them up, because a person says so."""

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, RowMapping

from tidegate.errors import EventUnknown
from tidegate.mirror import inbox
from tidegate.security import audit_log
from tidegate.workflows.doorbell import Doorbell


def show(db: Connection, connection: str, event: str) -> RowMapping:
    """What became of an event, and its body. Raises EventUnknown."""
    row = inbox.show(db, connection, event)
    if row is None:
        raise EventUnknown(event=event, connection=connection)
    return row


def replay(engine: Engine, connection: str, events: Sequence[str] | None, actor: str) -> int:
    """Lets a worker handle events again at once, whatever their state, or without `events` all that are parked; returns
    how many. Raises EventUnknown, and then does nothing.
    """
    with engine.begin() as db:
        for one in events or ():
            show(db, connection, one)
        count = inbox.replay(db, connection, events)
        if count:
            audit_log.record(db, actor, "events.replayed", connection, events=list(events or ()), count=count)
            Doorbell(engine).ring("drain", connection=connection, db=db)
        return count


def discard(engine: Engine, connection: str, events: Sequence[str], actor: str) -> int:
    """Gives up those of the events that wait or are parked; they stay listed as skipped. Returns how many. Raises
    EventUnknown, and then does nothing.
    """
    with engine.begin() as db:
        for one in events:
            show(db, connection, one)
        count = inbox.discard(db, connection, events)
        if count:
            audit_log.record(db, actor, "events.discarded", connection, events=list(events), count=count)
        return count
