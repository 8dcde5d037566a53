"""Rows from PostgreSQL to DuckDB and back.

DuckDB reads tables by connections beside a transaction, or else from files that the transaction wrote.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# Both drivers leave what they make without types.

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.store import columns, snapshots
from tidegate.store.bulk import EPOCH
from tidegate.store.driver import driver

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TIMES = ("at", "moved_at", "starts_at", "ends_at")
"""Columns that are instants: epoch seconds in DuckDB."""

BATCH = 100_000
"""Rows that are laid out for PostgreSQL at once: some 20 MB."""


class Wanted(NamedTuple):
    """Rows of a table of PostgreSQL's: the condition, DuckDB's types of their columns, and in SQL what stands for those
    that the table has not; in how many parts they are read, and where they lie, if that is another table's file.
    """

    name: str
    table: str
    where: str
    columns: Mapping[str, str]
    made: Mapping[str, str] = {}
    parts: int = 1
    lie_in: str = ""

    def selects(self, db: Connection) -> list[str]:
        """SELECTs that give the rows, a part each."""
        listed = ", ".join(f'{self.made.get(name, name)} as "{name}"' for name in self.columns)
        return snapshots.parts(db, self.table, listed, self.where, self.parts, self.lie_in or self.table)

    def in_seconds(self) -> str:
        """A SELECT that gives them with instants as epoch seconds."""
        stored = (f"date_part('epoch', {n})::bigint" if n in TIMES else self.made.get(n, n) for n in self.columns)
        return f"select {', '.join(stored)} from {self.table} where {self.where}"


class Source(NamedTuple):
    """Rows that can be read once: as Arrow, or from a file."""

    wanted: Wanted
    readers: Sequence[Any]
    file: Path

    def rows(self, duck: "DuckDBPyConnection") -> str:
        """What stands for the table in SQL on this connection of DuckDB's."""
        named = self.wanted.columns
        if not self.readers:
            told = "{" + ", ".join(f"'{name}': '{type_}'" for name, type_ in named.items()) + "}"
            return f"""read_csv('{self.file}', columns = {told}, auto_detect = false, delim = ',', quote = '"',
  escape = '"', header = false, nullstr = '\\N')"""
        told = ", ".join(f'epoch_us("{n}") // 1000000 as "{n}"' if n in TIMES else f'"{n}"' for n in named)
        parts: list[str] = []
        for number, reader in enumerate(self.readers):
            duck.register(f"{self.wanted.name}_{number}", reader)
            parts.append(f"select {told} from {self.wanted.name}_{number}")
        return "(" + " union all ".join(parts) + ")"


def seen(db: Connection, tables: Sequence[str]) -> str | None:
    """What this transaction sees of the tables, for connections that read beside it; it has to last as long as they do,
    idle.
    """
    db.execute(text("set local idle_in_transaction_session_timeout = 0"))
    return snapshots.exported(db, tables)


@contextmanager
def fetched(db: Connection, snapshot: str | None, wanted: Sequence[Wanted], directory: Path) -> Generator[list[Source]]:
    """Each of these tables, all read at once by connections of their own that see what this one exported (`seen`);
    where there is none, from files in the directory.
    """
    with ExitStack() as opened:
        if snapshot:
            selects = [one.selects(db) for one in wanted]
            found = opened.enter_context(snapshots.readers(db, snapshot, [sql for some in selects for sql in some]))
            if found is not None:
                coming = iter(found)
                yield [
                    Source(one, [next(coming) for _ in some], directory)
                    for one, some in zip(wanted, selects, strict=True)
                ]
                return
        files = [saved(db, one, directory) for one in wanted]
        yield [Source(one, [], file) for one, file in zip(wanted, files, strict=True)]
        for file in files:
            file.unlink()


def saved(db: Connection, wanted: Wanted, directory: Path) -> Path:
    """A file of what PostgreSQL selects."""
    file = directory / f"{wanted.name}.csv"
    copied = f"copy ({wanted.in_seconds()}) to stdout (format csv, null '\\N')".encode()
    with (
        driver(db, f"read {wanted.name}") as raw,
        file.open("wb", buffering=1 << 20) as into,
        raw.cursor() as cursor,
        cursor.copy(copied) as blocks,
    ):
        for block in blocks:
            into.write(block)
    return file


def put(
    db: Connection,
    into: str,
    same: Mapping[str, str | int],
    duck: "DuckDBPyConnection",
    rows: str,
    named: Iterable[str],
    *,
    frozen: bool = False,
) -> int:
    """Writes these columns of a table of DuckDB's, or of a SELECT, into one of PostgreSQL's; returns how many rows.
    `same`, `frozen`: as in `store.columns`.
    """
    batches = duck.sql(f"select {', '.join(map(_sent, named))} from {rows}").to_arrow_reader(BATCH)
    return columns.copy_batches(db, into, same, batches, frozen=frozen)


def _sent(name: str) -> str:
    """A column as `store.columns` takes it."""
    if name in TIMES:
        return f'("{name}" - {EPOCH}) * 1000000 as "{name}"'
    return f'cast("{name}" - date \'2000-01-01\' as integer) as "{name}"' if name == "day" else f'"{name}"'


def listed(names: Iterable[str], of: str = "") -> str:
    """Names of columns, quoted, of a table with this alias."""
    return ", ".join(f'{of}"{name}"' for name in names)
