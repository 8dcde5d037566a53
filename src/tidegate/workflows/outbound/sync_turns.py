"""Whose turn it is to write: runs of a sync, of a connection, and of contacts, follow each other, in any process."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager

from sqlalchemy import Engine, text

from tidegate.connections import runs
from tidegate.errors import OutboundBusy, SyncRunning
from tidegate.outbound.push.turns import Turns
from tidegate.outbound.resources import OWN

KIND = "sync"
OUTBOUND = "outbound"
"""The kind of work of which a connection's runs share the lock: two would write one customer at a time, which Stripe
refuses, or make an object twice that both of their rows match.
"""
HERE = "the contacts here"
"""What runs of syncs of contacts, of whatever connection, follow each other in; no connection is called so."""


def line_of(resource: str, connection: str) -> str:
    """In which line a sync's runs stand: that of its connection to Stripe, or of what is the hub's own."""
    return HERE if resource in OWN else connection


@contextmanager
def turn(engine: Engine, syncs: Sequence[str], line: str) -> Generator[Turns]:
    """The right to run these syncs of a line (`line_of`), until the block ends or the process dies, with the turns that
    their requests take beside sales. Raises SyncRunning, and OutboundBusy where another sync of the line runs.
    """
    # Each request asks for its turn and gives it back: with a transaction around each that were six questions, not two.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db, ExitStack() as held:
        for key in syncs:
            if not held.enter_context(runs.alone(db, f"sync:{key}", KIND)):
                raise SyncRunning(sync=key, process=process_of(engine, key))
        if not held.enter_context(runs.alone(db, line, OUTBOUND)):
            other, process = _at_work(engine, line)
            raise OutboundBusy(sync=syncs[0], other=other, line=line, process=process)
        yield Turns(db, line)


def process_of(engine: Engine, key: str) -> str:
    """Which process runs a sync, or ran it last."""
    with engine.connect() as db:
        last = runs.last(db, f"sync:{key}", KIND)
    return last["process"] if last else "another process"


def _at_work(engine: Engine, line: str) -> tuple[str, str]:
    """The sync of a line that runs, and its process."""
    with engine.connect() as db:
        row = db.execute(_AT_WORK, {"line": line}).first()
    return (row.sync, row.process) if row else ("another", "another process")


_AT_WORK = text("""
select substr(connection, length('sync:') + 1) as sync, process from tidegate.runs
where kind = 'sync' and state = 'running' and coalesce(options ->> 'line', options ->> 'connection') = :line
order by id desc limit 1""")
