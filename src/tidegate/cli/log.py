"""The log on stderr: one line per record, with what it says about itself behind it."""

import logging
import sys

STANDARD = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"})


class Line(logging.Formatter):
    """`2026-09-01 12:00:00,000 WARNING tidegate.mirror.backfill import_range_failed run=1 resource=invoices`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line (a traceback follows), the fields given as `extra` as name=value."""
        extra = [f" {name}={value}" for name, value in record.__dict__.items() if name not in STANDARD]
        first, newline, rest = super().format(record).partition("\n")
        return first + "".join(extra) + newline + rest


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
