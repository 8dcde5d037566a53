"""Lets a worker run a sync now, and waits a moment for it to begin, as people at a page or a client of the API ask."""

import time

from sqlalchemy import Engine, RowMapping

from tidegate.connections import accounts, runs
from tidegate.errors import ConnectionDisconnected
from tidegate.outbound import pausing, syncs
from tidegate.workflows.outbound import sync_task
from tidegate.workflows.outbound.run_sync import Wanted
from tidegate.workflows.outbound.sync_turns import KIND

START_SECONDS = 2.0
"""How long is waited for a worker to begin."""


def start(engine: Engine, key: str, by: str, wanted: Wanted) -> RowMapping | None:
    """The run that a worker begins; None: none has yet. Raises SyncUnknown, OutboundPaused and ConnectionDisconnected.
    Why a run sent nothing, its `error` says.
    """
    with engine.connect() as db:
        sync = syncs.sync(db, key)
        pausing.refuse(db)
        account = accounts.named(db, sync.connection)
    if account.disconnected_at:
        raise ConnectionDisconnected(name=account.name)
    before = _last(engine, key)
    sync_task.ask(engine, key, by, wanted)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        last = _last(engine, key)
        if last and last["id"] != (before["id"] if before else None):
            return last
        time.sleep(0.05)
    return None


def _last(engine: Engine, key: str) -> RowMapping | None:
    with engine.connect() as db:
        return runs.last(db, f"sync:{key}", KIND)
