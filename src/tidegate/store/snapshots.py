"""Reads many rows as Arrow, in parts, by connections of their own that see what one transaction sees."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The driver leaves what it makes without types.

import os
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from tidegate.store.engine import KEPT_ALIVE

PARTS = min(4, os.cpu_count() or 1)
"""How many connections read one table: each keeps a core here and one of the server's busy."""

OF_THE_DRIVER = "[libpq]"
"""Marks what the driver says of a connection."""


def exported(db: Connection, tables: Sequence[str]) -> str | None:
    """A name of what the transaction sees, for `readers`. It holds until the transaction's end.

    None where others could not see the same: the transaction, or one just before on this connection, wrote to one of
    these tables of schema `tidegate`, the server counts no writes, or a savepoint is open.
    """
    if db.in_nested_transaction():
        return None
    return db.execute(_EXPORT, {"tables": list(tables)}).scalar()


def parts(db: Connection, table: str, select: str, where: str, number: int, lie_in: str) -> list[str]:
    """SELECTs of a table (`tidegate.spans`) that give its rows in so many parts of about one size. `lie_in`: itself, or
    the partition that `where` is about.
    """
    blocks: int = db.execute(text("select pg_relation_size(cast(:t as regclass)) / 8192"), {"t": lie_in}).scalar_one()
    bounds = [f"'({blocks * part // number},0)'::tid" for part in range(1, number)]
    begins, ends = ["", *(f" and ctid >= {at}" for at in bounds)], [*(f" and ctid < {at}" for at in bounds), ""]
    return [f"select {select} from {table} where {where}{a}{b}" for a, b in zip(begins, ends, strict=True)]


@contextmanager
def readers(db: Connection, snapshot: str, selects: Sequence[str]) -> Generator[list[Any] | None]:
    """Arrow's readers of record batches, one for each SELECT and each by a connection of its own, of what a transaction
    `exported`. None where no more connections are to be had, or they lead to another server than the transaction's.

    Raises SQLAlchemy's OperationalError where one breaks off, whatever the reader made of that.
    """
    from adbc_driver_postgresql import dbapi

    url = db.engine.url.set(drivername="postgresql").update_query_dict({k: str(v) for k, v in KEPT_ALIVE.items()})
    with ExitStack() as opened:
        cursors: list[Any] = []
        try:
            for _ in selects:
                other = opened.enter_context(dbapi.connect(url.render_as_string(hide_password=False)))
                cursors.append(opened.enter_context(other.cursor()))
                cursors[-1].execute("set transaction isolation level repeatable read, read only")
                cursors[-1].execute(f"set transaction snapshot '{snapshot}'")
        except dbapi.Error:
            opened.close()
            yield None
            return
        try:
            for cursor, select in zip(cursors, selects, strict=True):
                cursor.execute(select)
            yield [cursor.fetch_record_batch() for cursor in cursors]
        except Exception as error:  # of the driver, or of whoever reads and passes on what it said
            if OF_THE_DRIVER not in f"{error}":
                raise
            raise OperationalError("; ".join(selects), None, error) from error


_EXPORT = text("""
select case when current_setting('track_counts') = 'on' and not exists (
  select from pg_stat_xact_user_tables
  where schemaname = 'tidegate' and relname = any(:tables) and n_tup_ins + n_tup_upd + n_tup_del > 0)
then pg_export_snapshot() end""")
