"""Tells the log that a database fails: at once, then now and then, however many requests it fails."""

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tidegate.store.trouble import told

EVERY = 10.0
"""Seconds for which the same kind of failure is counted, and not told again."""


class Outage:
    """What failed lately, by kind of error. Any thread may note.

    Without it a database that is away for minutes fills the disk with one traceback for each webhook.
    """

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[type[BaseException], float] = {}
        self._untold: dict[type[BaseException], int] = {}

    def note(self, what: str, error: BaseException) -> None:
        """Logs `what` with the error in one line, or only counts it. Where it came from is shown unless the database
        is out of reach, full or busy, which no line of ours explains.
        """
        kind = type(error)
        with self._lock:
            now = self._clock()
            if now < self._until.get(kind, now):
                self._untold[kind] = self._untold.get(kind, 0) + 1
                return
            self._until[kind] = now + EVERY
            untold = self._untold.pop(kind, 0)
        more = f" ({untold:,} more since this was last told)" if untold else ""
        plain = isinstance(error, OperationalError | InterfaceError | PoolTimeoutError)
        self._log.error("%s: %s%s", what, told(error), more, exc_info=None if plain else error)
