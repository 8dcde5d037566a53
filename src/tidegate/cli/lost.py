"""Says why the database went away while a command used it."""

from pathlib import Path

from tidegate.errors import DatabaseFull, DatabaseUnreachable, EmbeddedServerLost, TidegateError
from tidegate.settings import Settings
from tidegate.store.embedded_launch import NO_SPACE, is_full


def lost(config: Settings, problem: str) -> TidegateError:
    """The error for a database that was lost, as the driver tells it. PostgreSQL ends when it can write no log, so that
    a lost connection may be a full disk.
    """
    if not config.embedded and NO_SPACE in problem:
        return DatabaseFull(url="DATABASE_URL", problem=problem)
    if not config.embedded:
        return DatabaseUnreachable(url="DATABASE_URL", problem=problem)
    log = config.home / "pg" / "server.log"
    full = NO_SPACE in problem or NO_SPACE in _end_of(log) or is_full(config.home)
    remedy = "Its disk is full: make room." if full else f"{log} says why."
    return EmbeddedServerLost(home=config.home, problem=problem, remedy=remedy)


def _end_of(file: Path) -> str:
    """The last few kilobytes; empty for a file that cannot be read."""
    try:
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - 4096))
            return log.read().decode(errors="replace")
    except OSError:
        return ""
