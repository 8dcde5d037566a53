"""Starts the embedded database again when it died under a command that runs for long."""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tidegate.errors import EmbeddedServerError
from tidegate.store.embedded import Embedded

log = logging.getLogger(__name__)

BETWEEN = 2.0
"""Seconds between two looks."""


@contextmanager
def healed(home: Path) -> Generator[None]:
    """Within the block a server that was killed is started again. One that was stopped, as by `tidegate stop --force`,
    has taken its pid file away and is left alone.
    """
    server = Embedded(home).start()
    ending = threading.Event()

    def watch() -> None:
        while not ending.wait(BETWEEN):
            if server.status().running or not (server.data / "postmaster.pid").exists():
                continue
            try:
                server.start()
                log.warning("embedded_server_started_again", extra={"home": str(home)})
            except EmbeddedServerError as error:
                log.error("embedded_server_not_started: %s", error)

    thread = threading.Thread(target=watch, name="embedded-healer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        server.stop()
