"""Takes a run of a sync back in the background, as a page asks for it."""

import logging
import time
from typing import Any

from sqlalchemy import Engine, RowMapping, text

from tidegate.catalog import journal
from tidegate.errors import OutboundBusy, OutboundPaused, SyncRunning, TidegateError, WorkStopped
from tidegate.outbound import pausing
from tidegate.store.trouble import told
from tidegate.workflows.doorbell import Doorbell
from tidegate.workflows.outbound import revert_sync
from tidegate.workflows.outbound.sync_asking import START_SECONDS
from tidegate.workflows.outbound.sync_task import BUSY_SECONDS
from tidegate.workflows.task_context import LONGEST_WAIT, PASSING, TaskContext, connected

log = logging.getLogger(__name__)


def start(engine: Engine, run: int, by: str, *, despite_edits: bool = False) -> RowMapping | None:
    """Lets a worker take a run back, and returns the run that does it; None: none has begun yet. Raises RunUnknown,
    RunNotReverted, OutboundPaused.
    """
    before = _last(engine, run)
    with engine.begin() as db:
        pausing.refuse(db)
        sync, connection = revert_sync.whose(db, run)
        journal.note(db, by, "sync.reverted", sync, reverts=run, despite_edits=despite_edits)
        Doorbell(engine).ring("revert_sync", connection=connection, db=db, run=run, despite_edits=despite_edits)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        last = _last(engine, run)
        if last and last != before:
            return last
        time.sleep(0.05)
    return None


def revert_sync_(
    context: TaskContext, connection: str, run: int, despite_edits: bool = False, attempt: int = 0
) -> dict[str, Any]:
    """Takes a run back; what was taken back before needs nothing. `attempt` counts the failures so far.

    Interrupted by a stop it is rung for at once; kept off by a run of a sync, or by trouble that passes, after a while.
    """
    if connected(context, connection) is None:
        return {"run": run, "state": "disconnected"}

    def again(delay: int, attempt: int = attempt) -> None:
        said: dict[str, Any] = {"run": run, "despite_edits": despite_edits, "attempt": attempt}
        context.doorbell.ring("revert_sync", connection=connection, delay=delay, **said)

    try:
        done = revert_sync.revert(
            context.engine, run, context.open_writing, despite_edits=despite_edits, stop=context.stop
        )
    except WorkStopped:
        raise  # it is rung for again
    except (SyncRunning, OutboundBusy):
        again(BUSY_SECONDS)
        return {"run": run, "state": "busy"}
    except OutboundPaused:
        return {"run": run, "state": "paused"}
    except PASSING as trouble:
        wait = min(LONGEST_WAIT, 15 * 2**attempt)
        log.warning("revert_put_off", extra={"run": run, "seconds": wait, "problem": told(trouble)})
        again(wait, attempt + 1)
        return {"run": run, "state": "put_off", "error": told(trouble)}
    except TidegateError as error:
        log.warning("revert_failed", extra={"run": run, "problem": type(error).__name__})
        return {"run": run, "state": "failed", "error": str(error)}
    if done["state"] == "interrupted" and context.stop.is_set():
        again(0)
    return {"run": done["run"], "reverted": run, "state": done["state"]}


def _last(engine: Engine, run: int) -> RowMapping | None:
    """The last run that took this one back."""
    with engine.connect() as db:
        return db.execute(_LAST, {"run": run}).mappings().first()


_LAST = text("""
select id, substr(connection, length('sync:') + 1) as sync from tidegate.runs
where kind = 'sync' and cast(options ->> 'reverts' as bigint) = :run order by id desc limit 1""")
