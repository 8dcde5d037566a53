"""Binary COPY of whole columns: Arrow's buffers laid out as the rows that PostgreSQL reads."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow leaves its functions without types.

import sys
from array import array
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from struct import Struct
from typing import Any, TypeVar

from sqlalchemy import Connection

from tidegate.store.driver import driver

_T = TypeVar("_T")

PIECE = 1 << 20
"""Bytes that are handed to the driver at once."""

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_SHORT = Struct("!h").pack
_LONG = Struct("!i").pack
_CODES = {4: "i", 8: "q"}


def copy_batches(
    connection: Connection, into: str, same: Mapping[str, str | int], batches: Iterable[Any], *, frozen: bool = False
) -> int:
    """Writes Arrow's record batches into a table inside the connection's transaction; returns how many rows.

    Columns are named as the table's, without nulls, and of type string (`text`), int64 (`bigint`, or `timestamptz` as
    `bulk.moment` has it) or int32 (`int`, or `date` as days since 2000-01-01). `same`: columns with one value for all
    rows. Rows of the next batch are laid out while PostgreSQL takes those of this one. `frozen`: the transaction made
    the table, so that nobody else sees it yet; its rows need no vacuum.

    Raises ValueError for another type or a null, otherwise as `bulk.copy_rows`.
    """
    rows = 0
    with ThreadPoolExecutor(1) as pool:
        laid = _ahead(pool, _laid(same, batches))
        first = next(laid, None)
        if first is None:
            return 0
        names, _, _ = first
        listed = ", ".join(f'"{name}"' for name in names)
        statement = f"copy {into} ({listed}) from stdin (format binary{', freeze' if frozen else ''})"
        with driver(connection, statement) as raw, raw.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            copy.write(_HEADER)
            for _, number, block in _and(first, laid):
                rows += number
                for at in range(0, len(block), PIECE):
                    copy.write(block[at : at + PIECE])
            copy.write(_TRAILER)
    return rows


def _laid(same: Mapping[str, str | int], batches: Iterable[Any]) -> Iterator[tuple[list[str], int, memoryview]]:
    for batch in batches:
        yield [*same, *batch.schema.names], batch.num_rows, laid_out(same, batch)


def laid_out(same: Mapping[str, str | int], batch: Any) -> memoryview:
    """The rows of a record batch as PostgreSQL's binary format has them, without header and trailer."""
    import pyarrow
    import pyarrow.compute

    compute: Any = pyarrow.compute
    begin = _SHORT(len(same) + batch.num_columns) + b"".join(map(_field, same.values()))
    pieces: list[Any] = [begin]
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if column.null_count:
            raise ValueError(f"column {name} has nulls")
        if pyarrow.types.is_string(column.type):
            pieces += [_swapped(compute.binary_length(column)), column.cast(pyarrow.binary())]
        elif pyarrow.types.is_int64(column.type) or pyarrow.types.is_int32(column.type):
            pieces += [_LONG(column.type.bit_width // 8), _swapped(column)]
        else:
            raise ValueError(f"column {name} is of type {column.type}")
    wrapped = [pyarrow.scalar(one, pyarrow.binary()) if isinstance(one, bytes) else one for one in pieces]
    rows = compute.binary_join_element_wise(*wrapped, pyarrow.scalar(b"", pyarrow.binary()))
    _, offsets, data = rows.buffers()
    if not batch.num_rows:
        return memoryview(b"")
    ends = memoryview(offsets).cast("i")
    return memoryview(data)[ends[rows.offset] : ends[rows.offset + len(rows)]]


def _field(value: str | int) -> bytes:
    sent = value.encode() if isinstance(value, str) else _LONG(value)
    return _LONG(len(sent)) + sent


def _swapped(column: Any) -> Any:
    """Whole numbers as PostgreSQL sends them: as many bytes, the highest first."""
    import pyarrow

    width = column.type.bit_width // 8
    numbers = array(_CODES[width])
    first = column.offset * width
    numbers.frombytes(memoryview(column.buffers()[1])[first : first + len(column) * width])
    if sys.byteorder == "little":
        numbers.byteswap()
    sent = pyarrow.binary(width)
    bare = pyarrow.FixedSizeBinaryArray.from_buffers(sent, len(column), [None, pyarrow.py_buffer(numbers)])
    return bare.cast(pyarrow.binary())


def _ahead(pool: ThreadPoolExecutor, values: Iterator[_T]) -> Generator[_T]:
    """The same values, the next one made while the caller looks at this one."""
    ended = object()
    coming = pool.submit(next, values, ended)
    while (value := coming.result()) is not ended:
        coming = pool.submit(next, values, ended)
        yield value  # pyright: ignore[reportReturnType]


def _and(first: _T, rest: Iterable[_T]) -> Iterator[_T]:
    yield first
    yield from rest
