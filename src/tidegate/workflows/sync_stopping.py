"""Stops a run that somebody asked to stop, or all of them while outbound is paused, in whichever process they are."""

import logging
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from tidegate.connections import runs
from tidegate.errors import UsageError
from tidegate.outbound import dues, pausing, syncs

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks."""
SOON = 0.2
"""Seconds after which the caller's own stop is heard."""


class Heard(threading.Event):
    """Set when a run is to stop; `asked`: somebody asked for it, and not the caller's own stop."""

    asked = False


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
                if _is_asked(engine, sync, run):
                    stop.asked = True
                    stop.set()

    listener = threading.Thread(target=listen, name="stop", daemon=True)
    listener.start()
    try:
        yield stop
    finally:
        over.set()
        listener.join()


def _is_asked(engine: Engine, sync: str, run: int) -> bool:
    try:
        with engine.connect() as db:
            asked = pausing.is_to_stop(db, sync, run)
    except OperationalError:  # the run itself notices whether the database is away
        log.warning("stop_not_heard", extra={"sync": sync, "run": run})
        return False
    if asked:
        log.info("run_stopped", extra={"sync": sync, "run": run})
    return asked


def cancel(engine: Engine, key: str) -> int | None:
    """Asks the run of a sync that is under way to stop, and returns its id; None: one was due and had not begun, and is
    not due any more. Raises SyncUnknown, and UsageError where neither is so.
    """
    with engine.begin() as db:
        syncs.sync(db, key)
        withdrawn = dues.settle(db, key, None)
        last = runs.last(db, f"sync:{key}", "sync")
        if last is not None and last["state"] == "running":
            pausing.ask_to_stop(db, key, int(last["id"]))
            return int(last["id"])
    if not withdrawn:
        raise UsageError(problem=f"No run of {key} is under way.")
    return None
