"""Writes webhook events into the inbox over a connection of its own, and rings for the workers."""

import logging
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from tidegate.api.committer import Outcome
from tidegate.errors import EventRefused
from tidegate.mirror import inbox
from tidegate.mirror.inbox import Entry, Kept
from tidegate.store.trouble import of_the_data

log = logging.getLogger(__name__)

Ring = Callable[[Connection, str], None]
"""Defers the handling of a connection's inbox, inside the transaction of the given database connection."""


class DatabaseInlet:
    """The committer's way into the database.

    Its connection is not returned to the pool, so that no slow page can keep webhooks from being stored.
    """

    def __init__(self, engine: Engine, ring: Ring) -> None:
        self._engine = engine
        self._deliver = ring
        self._db: Connection | None = None

    def keep(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Stores the events in one transaction, and once more when the connection was lost: the insert may be repeated.

        Raises the database's error when nothing was stored.
        """
        try:
            return self._keep(entries)
        except OperationalError as error:
            if not error.connection_invalidated:
                raise
            log.warning("the database connection was lost; trying once more")
            self._let_go()
            return self._keep(entries)

    def _keep(self, entries: Sequence[Entry]) -> list[Outcome]:
        db = self._connected()
        try:
            with db.begin():
                return _outcomes(db, entries)
        except DBAPIError as error:
            if not of_the_data(error):
                raise
        with db.begin():  # one cannot be stored: only one by one tells which
            return [_keep_alone(db, entry) for entry in entries]

    def ring(self, connection: str) -> None:
        """Notes that webhooks arrive, and rings. A row that another transaction holds is not waited for."""
        db = self._connected()
        with db.begin():
            db.execute(
                text("""
update tidegate.connections set last_webhook_at = now()
where name = (select name from tidegate.connections where name = :name for no key update skip locked)"""),
                {"name": connection},
            )
            self._deliver(db, connection)

    def close(self) -> None:
        """Returns the connection."""
        self._let_go()

    def _connected(self) -> Connection:
        if self._db is None or self._db.closed or self._db.invalidated:
            self._let_go()
            self._db = self._engine.connect()
        return self._db

    def _let_go(self) -> None:
        if self._db is not None:
            self._db.close()
        self._db = None


def _outcomes(db: Connection, entries: Sequence[Entry]) -> list[Outcome]:
    kept = inbox.keep_each(db, entries)
    return [_stray(entry) if one is Kept.STRAY else one is Kept.NEW for entry, one in zip(entries, kept, strict=True)]


def _stray(entry: Entry) -> EventRefused:
    return EventRefused(connection=entry.connection, problem="the connection was removed, or is another account's now.")


def _keep_alone(db: Connection, entry: Entry) -> Outcome:
    try:
        with db.begin_nested():
            return _outcomes(db, [entry])[0]
    except DBAPIError as error:
        if not of_the_data(error):
            raise
        told = str(error.orig).strip().splitlines()[0]
        return EventRefused(connection=entry.connection, problem=f"it cannot be stored: {told}.")
