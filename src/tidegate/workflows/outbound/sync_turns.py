"""Whose turn it is to write to Stripe: runs of a sync, and of a connection, follow each other, in whatever process."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager

from sqlalchemy import Engine, text

from tidegate.connections import runs
from tidegate.errors import OutboundBusy, SyncRunning
from tidegate.outbound.push.turns import Turns

KIND = "sync"
OUTBOUND = "outbound"
"""The kind of work of which a connection's runs share the lock: two would write one customer at a time, which Stripe
refuses, or make an object twice that both of their rows match.
"""


@contextmanager
def turn(engine: Engine, syncs: Sequence[str], connection: str) -> Generator[Turns]:
    """The right to run these syncs of a connection, until the block ends or the process dies, with the turns that their
    requests take beside sales. Raises SyncRunning, and OutboundBusy where another sync of the connection runs.
    """
    # Each request asks for its turn and gives it back: with a transaction around each that were six questions, not two.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db, ExitStack() as held:
        for key in syncs:
            if not held.enter_context(runs.alone(db, f"sync:{key}", KIND)):
                raise SyncRunning(sync=key, process=process_of(engine, key))
        if not held.enter_context(runs.alone(db, connection, OUTBOUND)):
            other, process = _at_work(engine, connection)
            raise OutboundBusy(sync=syncs[0], other=other, connection=connection, process=process)
        yield Turns(db, connection)


def process_of(engine: Engine, key: str) -> str:
    """Which process runs a sync, or ran it last."""
    with engine.connect() as db:
        last = runs.last(db, f"sync:{key}", KIND)
    return last["process"] if last else "another process"


def _at_work(engine: Engine, connection: str) -> tuple[str, str]:
    """The sync of a connection that runs, and its process."""
    with engine.connect() as db:
        row = db.execute(_AT_WORK, {"connection": connection}).first()
    return (row.sync, row.process) if row else ("another", "another process")


_AT_WORK = text("""
select substr(connection, length('sync:') + 1) as sync, process from tidegate.runs
where kind = 'sync' and state = 'running' and options ->> 'connection' = :connection order by id desc limit 1""")
