"""Usage that waits to be counted: in memory, or in a file that outlives the process."""

import sqlite3
import threading
from pathlib import Path
from typing import NamedTuple


class Waiting(NamedTuple):
    """Usage to be counted once; `key` is its idempotency key."""

    key: str
    contact: str
    feature: str
    amount: int


class Buffer:
    """The usage that waits, oldest first. Several threads, and with a file several processes, may share it: what two of
    them send is counted once all the same.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None, timeout=10)
        self._db.execute(
            "create table if not exists usage (place integer primary key, key text unique not null, "
            "contact text not null, feature text not null, amount integer not null)"
        )

    def add(self, waiting: Waiting) -> None:
        """Keeps it; on the disk before this returns, where there is a file."""
        with self._lock:
            self._db.execute("insert or ignore into usage (key, contact, feature, amount) values (?, ?, ?, ?)", waiting)

    def oldest(self, most: int = 100) -> list[Waiting]:
        """What waits longest."""
        with self._lock:
            rows = self._db.execute("select key, contact, feature, amount from usage order by place limit ?", (most,))
            return [Waiting(*row) for row in rows]

    def counted(self, key: str) -> None:
        """Forgets what was counted."""
        with self._lock:
            self._db.execute("delete from usage where key = ?", (key,))

    def __len__(self) -> int:
        with self._lock:
            return int(self._db.execute("select count(*) from usage").fetchone()[0])

    def close(self) -> None:
        """Closes the file; what waits stays in it."""
        with self._lock:
            self._db.close()
