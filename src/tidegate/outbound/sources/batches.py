"""The rows of a database's cursor as Arrow, so many at a time."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# pyarrow leaves its functions without types.

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tidegate.errors import TidegateError

if TYPE_CHECKING:
    from pyarrow import RecordBatch

BATCH = 10_000
"""Rows of a batch, of whatever source."""
UTC = "set global TimeZone = 'UTC'"
"""Has a DuckDB tell times in UTC: rows and queries say the same on every machine, whatever its time zone."""


def batches(
    cursor: Any,
    schema: Any,
    column: Callable[[Any, Sequence[Any]], Any],
    refusal: type[Exception],
    told: Callable[[Exception], TidegateError],
) -> "Iterator[RecordBatch]":
    """What a cursor has left. `column` makes an array of a field's values; a `refusal` of the driver's is raised as
    what `told` makes of it.
    """
    import pyarrow

    while True:
        try:
            some = cursor.fetchmany(BATCH)
        except refusal as wrong:
            raise told(wrong) from wrong
        if not some:
            return
        columns = [column(field, values) for field, values in zip(schema, zip(*some, strict=True), strict=True)]
        yield pyarrow.RecordBatch.from_arrays(columns, schema=schema)
