"""Stops a run that somebody asked to stop, or all of them while outbound is paused, in whichever process they are."""

import logging
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from tidegate.catalog import journal
from tidegate.connections import runs
from tidegate.errors import UsageError, WorkStopped
from tidegate.outbound import dues, pausing, syncs
from tidegate.workflows.outbound.sync_plan import Progress

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks."""
SOON = 0.2
"""Seconds after which the caller's own stop is heard."""


class Heard(threading.Event):
    """Set when a run is to stop; `asked`: somebody canceled it, `paused`: or paused all of them, so that its end is
    still owed; neither: it is the caller's own stop.
    """

    asked = paused = False

    def planning(self, sync: str, progress: Progress | None) -> Progress:
        """The same progress of a plan, at each step of which is heard whether to stop. Raises WorkStopped."""

        def told(what: str, done: int, total: int | None) -> None:
            if self.is_set():
                raise WorkStopped(endpoint=f"the plan of {sync}")
            if progress is not None:
                progress(what, done, total)

        return told


@contextmanager
def heard(engine: Engine, sync: str, run: int, outer: threading.Event | None) -> Generator[Heard]:
    """Set when `outer` is, which may be a whole worker's, or when this run is asked to stop; until the block ends."""
    stop, over = Heard(), threading.Event()

    def listen() -> None:
        looked_at = time.monotonic()
        while not over.wait(SOON) and not stop.is_set():
            if outer is not None and outer.is_set():
                stop.set()
            elif time.monotonic() - looked_at >= EVERY:
                looked_at = time.monotonic()
                if why := _why(engine, sync, run):
                    stop.paused, stop.asked = why == "paused", why == "canceled"
                    stop.set()

    listener = threading.Thread(target=listen, name="stop", daemon=True)
    listener.start()
    try:
        yield stop
    finally:
        over.set()
        listener.join()


def _why(engine: Engine, sync: str, run: int) -> str | None:
    try:
        with engine.connect() as db:
            why = pausing.why_to_stop(db, sync, run)
    except OperationalError:  # the run itself notices whether the database is away
        log.warning("stop_not_heard", extra={"sync": sync, "run": run})
        return None
    if why:
        log.info("run_stopped", extra={"sync": sync, "run": run, "why": why})
    return why


def cancel(engine: Engine, key: str, by: str) -> int | None:
    """Asks the run of a sync that is under way to stop, and returns its id; None: one was due and had not begun, and is
    not due any more. Who asked is written down. Raises SyncUnknown, and UsageError where neither is so.
    """
    with engine.begin() as db:
        syncs.sync(db, key)
        withdrawn = dues.settle(db, key, None)
        last = runs.last(db, f"sync:{key}", "sync")
        if last is not None and last["state"] == "running":
            pausing.ask_to_stop(db, key, int(last["id"]))
            journal.note(db, by, "sync.canceled", key, run=int(last["id"]))
            return int(last["id"])
        if not withdrawn:
            raise UsageError(problem=f"No run of {key} is under way.")
        journal.note(db, by, "sync.canceled", key)
    return None
