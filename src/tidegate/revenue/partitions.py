"""The partition of table movements that holds an edition's rows: made empty, or filled first and then attached."""

from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar

from sqlalchemy import Connection, text

_T = TypeVar("_T")

LONGEST = 63
"""Characters of a name in PostgreSQL."""

MEMORY = "256MB"
"""What PostgreSQL may sort an index in: enough for millions of rows without a file."""


def named(connection: str, edition: int) -> str:
    """The partition's name, quoted, with its schema."""
    name = f"movements_{connection}_{edition}"
    if len(name) > LONGEST:
        told = f"{sha256(connection.encode()).hexdigest()[:12]}_{edition}"
        name = f"movements_{connection[: LONGEST - len(told) - 11]}_{told}"
    return f'tidegate."{name}"'


def there(db: Connection, connection: str, edition: int) -> bool:
    """Whether the edition has its partition."""
    found = db.execute(text("select to_regclass(:name) is not null"), {"name": named(connection, edition)})
    return found.scalar_one()


def make(db: Connection, connection: str, edition: int, fill: Callable[[str], _T] = lambda _table: None) -> _T:
    """Makes the edition's partition, in the caller's transaction. `fill` gets the table's name while it has no index
    and is nobody else's; the indexes are built of its rows afterwards. Returns what `fill` does.

    Nobody who reads or writes movements waits for it: ATTACH locks out only VACUUM and ANALYZE of the whole.
    """
    table = named(connection, edition)
    owner = connection.replace("'", "''")
    db.exec_driver_sql(f"create table {table} (like tidegate.movements including defaults)")
    filled = fill(table)
    db.execute(_SORT_IN_MEMORY, {"memory": MEMORY})
    db.exec_driver_sql(
        f"alter table tidegate.movements attach partition {table} "
        f"for values from ('{owner}', {edition}) to ('{owner}', {edition + 1})"
    )
    return filled


def drop(db: Connection, connection: str, edition: int) -> int:
    """Drops the edition's partition; returns how many rows it had. Waits for all who look at movements just now."""
    if not there(db, connection, edition):
        return 0
    table = named(connection, edition)
    rows = db.exec_driver_sql(f"select count(*) from {table}").scalar_one()
    db.exec_driver_sql(f"drop table {table}")
    return rows


_SORT_IN_MEMORY = text("""
select set_config('maintenance_work_mem', greatest(
  pg_size_bytes(current_setting('maintenance_work_mem')), pg_size_bytes(:memory)) / 1024 || 'kB', true)""")
