"""The background task of a sync, and what rings for it: whatever is due is run until it comes to its end."""

import logging
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from tidegate.errors import OutboundPaused, SyncRunning, TidegateError, WorkStopped
from tidegate.outbound import dues, syncs
from tidegate.outbound.dues import Due
from tidegate.store.trouble import told
from tidegate.workflows.doorbell import Doorbell
from tidegate.workflows.outbound import run_sync as running
from tidegate.workflows.outbound import sync_plan
from tidegate.workflows.outbound.run_sync import Wanted
from tidegate.workflows.outbound.sync_turns import line_of
from tidegate.workflows.task_context import LONGEST_WAIT, PASSING, TaskContext, connected

log = logging.getLogger(__name__)

BUSY_SECONDS = 60
"""After which a sync that another process runs is looked at again."""


def ask(engine: Engine, key: str, by: str, wanted: Wanted | None = None) -> str:
    """Lets a worker run a sync now, as it is wanted, and writes down who did; returns the connection's name. Raises
    SyncUnknown.
    """
    with engine.begin() as db:
        sync = syncs.sync(db, key)
        connection = sync.connection or ""
        running.note(db, by, key, wanted or Wanted())
        dues.ask(db, key, by, None if wanted is None else wanted.as_json())
        line = line_of(sync.resource, connection)
        Doorbell(engine).ring("run_sync", connection=connection, db=db, line=line, sync=key)
    return connection


def run_sync(context: TaskContext, connection: str, sync: str, attempt: int = 0) -> dict[str, Any]:
    """Runs a sync that is due. `attempt` counts the failures so far.

    Interrupted by a stop it is rung for at once; kept off by another run, or by trouble that passes (`PASSING`), after
    a while. What ends it otherwise, `status` tells, and its next time is its schedule's.
    """
    if connected(context, connection) is None:
        return {"sync": sync, "state": "disconnected"}
    with context.engine.connect() as db:
        due = dues.of(db, sync)
        wanted = _wanted(db, due) if due else None
    if due is None:
        return {"sync": sync, "state": "nothing due"}

    def again(delay: int, attempt: int = attempt) -> None:
        line = line_of(due.resource, connection)
        context.doorbell.ring("run_sync", connection=connection, delay=delay, line=line, sync=sync, attempt=attempt)

    try:
        done = running.run(
            context.engine,
            sync,
            context.url_of,
            context.open_writing,
            wanted,
            stop=context.stop,
            passing=(*PASSING, WorkStopped),
        )
    except WorkStopped:
        raise  # it is rung for again
    except SyncRunning:
        again(BUSY_SECONDS)
        return {"sync": sync, "state": "busy"}
    except OutboundPaused:
        return {"sync": sync, "state": "paused"}
    except PASSING as trouble:
        wait = min(LONGEST_WAIT, 15 * 2**attempt)
        log.warning("sync_put_off", extra={"sync": sync, "seconds": wait, "problem": told(trouble)})
        again(wait, attempt + 1)
        return {"sync": sync, "state": "put_off", "error": told(trouble)}
    except TidegateError as error:
        log.warning("sync_failed", extra={"sync": sync, "problem": str(error)})
        _settle(context, due)  # also where it failed before its run began
        return {"sync": sync, "state": "failed", "error": str(error)}
    if done["state"] == "interrupted" and context.stop.is_set():
        again(0)  # nothing is due where it was also canceled
    elif done["state"] != "interrupted":  # else it was canceled, and owes nothing, or paused, and is owed
        _settle(context, due)  # also of a run of a part, which owes nothing when its process dies
    return {"sync": sync, "run": done["run"], "state": done["state"]}


def ring_for_syncs(context: TaskContext, as_of: datetime) -> list[str]:
    """Rings for the syncs that are due, by their schedules too; returns what it rang for."""
    with context.engine.begin() as db:
        dues.by_the_clock(db, as_of)
    with context.engine.connect() as db:
        found = dues.due(db)
    return [
        f"run_sync:{one.sync}"
        for one in found
        if context.doorbell.ring(
            "run_sync", connection=one.connection, line=line_of(one.resource, one.connection), sync=one.sync
        )
    ]


def _settle(context: TaskContext, due: Due) -> None:
    with context.engine.begin() as db:
        dues.settle(db, due.sync, due.at)


def _wanted(db: Connection, due: Due) -> Wanted:
    """How it is to be run. A plan of a run that began and is gone on with is not what is left to do any more."""
    wanted = Wanted.of(due.asked or {})
    return replace(wanted, plan=None) if sync_plan.was_begun(db, due.sync) else wanted
