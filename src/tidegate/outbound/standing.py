"""What is remembered of all rows of a sync, as a model is held against it: hashes, and the keys of what differs."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# adbc leaves its functions without types.

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

from tidegate.outbound.quoting import literal
from tidegate.outbound.rows import OPEN

NAMED = 50_000
"""Rows of which keys are asked for one by one, at most; where more differ, those of all are read."""


class Known(NamedTuple):
    """The state of a sync's rows, as tables of Arrow.

    `hashes`: the `hash` of every row that the model had. `open`: the `key` of those that are to be tried again.
    `named`: a reader of the `key` and `hash` of the rows of some hashes, and perhaps of more; a row that was sent
    otherwise since has none of these hashes.
    """

    hashes: Any
    open: Any
    named: Callable[[Sequence[int]], Any]


@contextmanager
def standing(url: str, sync: str) -> Generator[Callable[[], Known]]:
    """The state of a sync's rows in the hub's database; quickly: PostgreSQL reads their hashes from an index, on a
    thread of its own, beside whatever is done in the block until they are asked for. No transaction stays open
    meanwhile.
    """
    from adbc_driver_postgresql import dbapi

    opened, of = ", ".join(literal(state) for state in OPEN), f"from tidegate.sync_rows where sync = {literal(sync)}"
    with dbapi.connect(url) as db, db.cursor() as cursor, ThreadPoolExecutor(1, "standing") as reader:

        def read() -> Known:
            cursor.execute("set transaction isolation level repeatable read")
            cursor.execute(f"select key {of} and state in ({opened}) and state <> 'sent'")  # as its index has it
            again = cursor.fetch_arrow_table()
            cursor.execute(f"select hash {of} and state <> 'gone'")
            hashes = cursor.fetch_arrow_table()
            db.commit()
            return Known(hashes, again, named)

        def named(hashes: Sequence[int]) -> Any:
            few = f"and hash in ({', '.join(map(str, hashes)) or 'null'})" if len(hashes) <= NAMED else ""
            cursor.execute(f"select key, hash {of} and state <> 'gone' {few}")
            return cursor.fetch_record_batch()

        yield reader.submit(read).result
