"""The log on stderr: one line per record, with what it says about itself behind it."""

import logging
import sys
from typing import Any

OTHERS = ("asyncio", "httpcore", "httpx", "procrastinate", "psycopg", "sqlalchemy", "stripe", "urllib3", "uvicorn")
"""Libraries whose lines below a warning have what is sent: customers' addresses, tokens in a URL."""
STANDARD = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"})


class Line(logging.Formatter):
    """`2026-09-01 12:00:00,000 WARNING tidegate.mirror.backfill import_range_failed run=1 resource=invoices`."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 (logging's own name)
        """The traceback, without what the database says about the row that it refused: that is somebody's data."""
        told, error = super().formatException(ei), ei[1]
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            for one in (error, getattr(error, "orig", None)):
                if (diag := getattr(one, "diag", None)) is not None and getattr(diag, "sqlstate", None):
                    told = told.replace(str(one), _of_database(diag))
            error = error.__cause__ or error.__context__
        return told

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line (a traceback follows), the fields given as `extra` as name=value."""
        record.exc_text = None  # as another handler wrote it, with all that it says
        extra = [f" {name}={value}" for name, value in record.__dict__.items() if name not in STANDARD]
        first, newline, rest = super().format(record).partition("\n")
        return first + "".join(extra) + newline + rest


def _of_database(diag: Any) -> str:
    """What PostgreSQL called an error, and what it is about. Class 22 names the value that it could not take."""
    said = "" if diag.sqlstate.startswith("22") else f": {diag.message_primary}"
    return f"SQLSTATE {diag.sqlstate}{said}"


class ToStderr(logging.Handler):
    """Writes to what stderr is at that moment: live progress replaces it, so as not to be torn."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record."""
        sys.stderr.write(self.format(record) + "\n")


def set_up(level: int) -> None:
    """Logs of this level and above go to stderr; once for the process."""
    handler = ToStderr()
    handler.setFormatter(Line("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    quiet(level)


def quiet(level: int) -> None:
    """Lets others than us write warnings at the least, whatever the level."""
    for name in OTHERS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
