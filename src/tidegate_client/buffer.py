"""Usage that waits to be counted, or was refused: in memory, or in a file that outlives the process."""

import hashlib
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


class Refused(NamedTuple):
    """Usage that happened while the hub was away, and that the hub will not count; `reason` says why."""

    key: str
    contact: str
    feature: str
    amount: int
    reason: str


class Buffer:
    """The usage that waits, oldest first. Several threads, and with a file several processes, may share it: what two of
    them send is counted once all the same.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.lasting = path is not None
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None, timeout=10)
        for statement in _TABLES:
            self._db.execute(statement)

    def add(self, waiting: Waiting, within: int | None = None) -> int | None:
        """Keeps it, on the disk before this returns where there is a file, and returns what waits of the feature then.

        None, and it is not kept, when that would be more than `within`. A key that waits already is kept once.
        """
        with self._lock:
            known = self._db.execute("select 1 from usage where key = ?", (waiting.key,)).fetchone()
            values = {**waiting._asdict(), "within": within}
            if known is None and self._db.execute(_ADD, values).rowcount == 0:
                return None
            return self._sum(waiting.contact, waiting.feature)

    def amount(self, contact: str, feature: str) -> int:
        """Units of a feature that wait."""
        with self._lock:
            return self._sum(contact, feature)

    def oldest(self, most: int = 100) -> list[Waiting]:
        """What waits longest."""
        with self._lock:
            rows = self._db.execute("select key, contact, feature, amount from usage order by place limit ?", (most,))
            return [Waiting(*row) for row in rows]

    def counted(self, key: str) -> None:
        """Forgets what was counted."""
        with self._lock:
            self._db.execute("delete from usage where key = ?", (key,))

    def renew(self, key: str) -> None:
        """Lets usage that surely was not counted wait under another key, the same one whoever does this."""
        with self._lock:
            self._db.execute("update or ignore usage set key = ? where key = ?", (_next(key), key))
            self._db.execute("delete from usage where key = ?", (key,))

    def refuse(self, waiting: Waiting, reason: str) -> None:
        """Puts aside what the hub will not count."""
        with self._lock:
            self._db.execute("begin immediate")
            self._db.execute("insert or replace into refused values (?, ?, ?, ?, ?)", (*waiting, reason))
            self._db.execute("delete from usage where key = ?", (waiting.key,))
            self._db.execute("commit")

    def refused(self) -> list[Refused]:
        """What was put aside."""
        with self._lock:
            return [Refused(*row) for row in self._db.execute("select * from refused order by rowid")]

    def retry(self) -> None:
        """Lets what was put aside wait again, under other keys."""
        again = [(_next(one.key), *one[1:4]) for one in self.refused()]
        with self._lock:
            self._db.execute("begin immediate")
            self._db.executemany("insert or ignore into usage (key, contact, feature, amount) values (?,?,?,?)", again)
            self._db.execute("delete from refused")
            self._db.execute("commit")

    def discard(self) -> None:
        """Forgets what was put aside."""
        with self._lock:
            self._db.execute("delete from refused")

    def __len__(self) -> int:
        with self._lock:
            return int(self._db.execute("select count(*) from usage").fetchone()[0])

    def close(self) -> None:
        """Closes the file; what waits stays in it."""
        with self._lock:
            self._db.close()

    def _sum(self, contact: str, feature: str) -> int:
        return int(self._db.execute(_SUM, {"contact": contact, "feature": feature}).fetchone()[0])


def _next(key: str) -> str:
    """The key after a key whose usage the hub refused: it would answer the old one with the refusal for ever."""
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


_TABLES = (
    "create table if not exists usage (place integer primary key, key text unique not null, "
    "contact text not null, feature text not null, amount integer not null)",
    "create index if not exists usage_feature on usage (contact, feature)",
    "create table if not exists refused (key text unique not null, contact text not null, feature text not null, "
    "amount integer not null, reason text not null)",
)

_SUM = "select coalesce(sum(amount), 0) from usage where contact = :contact and feature = :feature"

# In one statement: processes that share the file must not both take the last unit.
_ADD = f"""
insert into usage (key, contact, feature, amount) select :key, :contact, :feature, :amount
where :within is null or ({_SUM}) + :amount <= :within
on conflict (key) do update set amount = amount"""
