"""Looks at the hub from the web process where no worker is alive, so that somebody hears of it."""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from tidegate.errors import TidegateError

if TYPE_CHECKING:
    from tidegate.wiring import Hub

log = logging.getLogger(__name__)

BETWEEN = 60.0
"""Seconds between two looks."""


@contextmanager
def watched(hub: "Hub", between: float = BETWEEN) -> Generator[None]:
    """Within the block system alerts are kept although no worker is alive, and the default route is told of them."""
    from tidegate.workflows.operation.watch import watch_unattended

    ending = threading.Event()

    def watch() -> None:
        while not ending.wait(between):
            try:
                poll, home = hub.settings.poll_seconds, hub.embedded_home
                watch_unattended(hub.engine, hub.destination, poll_seconds=poll, home=home)
            except (SQLAlchemyError, TidegateError) as error:  # passing trouble of the database; the next look is soon
                log.warning("unattended_not_watched", extra={"problem": str(error)})

    thread = threading.Thread(target=watch, name="watchman", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
