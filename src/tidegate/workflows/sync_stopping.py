"""Stops a run that somebody asked to stop, or all of them while outbound is paused, in whichever process they are."""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from tidegate.connections import runs
from tidegate.errors import UsageError
from tidegate.outbound import pausing, syncs

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks."""


@contextmanager
def heard(engine: Engine, sync: str, run: int, stop: threading.Event) -> Generator[None]:
    """Sets `stop` when this run is to stop, until the block ends."""
    over = threading.Event()

    def listen() -> None:
        while not over.wait(EVERY) and not stop.is_set():
            try:
                with engine.connect() as db:
                    asked = pausing.is_to_stop(db, sync, run)
            except OperationalError:  # the run itself notices whether the database is away
                log.warning("stop_not_heard", extra={"sync": sync, "run": run})
                continue
            if asked:
                log.info("run_stopped", extra={"sync": sync, "run": run})
                stop.set()

    listener = threading.Thread(target=listen, name="stop", daemon=True)
    listener.start()
    try:
        yield
    finally:
        over.set()
        listener.join()


def cancel(engine: Engine, key: str) -> int:
    """Asks the run of a sync that is under way to stop; returns its id. Raises SyncUnknown, and UsageError where none
    runs.
    """
    with engine.begin() as db:
        syncs.sync(db, key)
        last = runs.last(db, f"sync:{key}", "sync")
        if last is None or last["state"] != "running":
            raise UsageError(problem=f"No run of {key} is under way.")
        pausing.ask_to_stop(db, key, int(last["id"]))
    return int(last["id"])
