"""Cells of Arrow as Python's values; what none of them, or no field of Stripe's, can hold is told instead."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# pyarrow leaves its functions without types.

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

UNREADABLE = (ArithmeticError, ValueError)
"""What Arrow raises for a value that Python has none for: OverflowError, and ArrowInvalid."""

DIGITS = 38
"""Of a decimal."""
NO_NUMBER = (2**127 - 1).to_bytes(16, "little")
"""Stands in a pyarrow.Decimal128Array for what none of its numbers is: more than all digits, and held all the same."""


class Cells(NamedTuple):
    """The values of a column, None where one cannot be told, and what is wrong with those, by their place."""

    values: list[Any]
    wrong: Mapping[int, str]


def cells(column: Any) -> Cells:
    """The values of a pyarrow.Array."""
    try:
        values = column.to_pylist()
    except UNREADABLE:
        return _one_by_one(column)
    return Cells(values, {**_with_nul(column, values), **_without_number(column, values)})


def _one_by_one(column: Any) -> Cells:
    import pyarrow

    values, wrong = list[Any](), dict[int, str]()
    for place, cell in enumerate(column):
        try:
            values.append(cell.as_py())
        except UNREADABLE as problem:
            values.append(None)
            far = pyarrow.types.is_temporal(column.type)
            wrong[place] = "it is infinite, or beyond the years 1 to 9999" if far else f"it cannot be read: {problem}"
    return Cells(values, wrong)


def _with_nul(column: Any, values: list[Any]) -> dict[int, str]:
    """Takes text with the character NUL out of the values: neither Stripe nor PostgreSQL takes it."""
    import pyarrow
    import pyarrow.compute

    compute: Any = pyarrow.compute
    if not (pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type)):
        return {}
    if not compute.any(compute.match_substring(column, "\0")).as_py():
        return {}
    found = [place for place, value in enumerate(values) if value is not None and "\0" in value]
    for place in found:
        values[place] = None
    return dict.fromkeys(found, "it has the character NUL, which no text in Stripe can have")


def _without_number(column: Any, values: list[Any]) -> Mapping[int, str]:
    """Takes `NO_NUMBER` out of the values."""
    import pyarrow

    if not pyarrow.types.is_decimal(column.type) or column.type.precision < DIGITS:
        return {}
    places = column.type.scale
    beyond = Decimal(10) ** (DIGITS - places)
    found = [place for place, value in enumerate(values) if value is not None and value >= beyond]
    for place in found:
        values[place] = None
    problem = (
        f"it is NaN, infinite, or has more than {DIGITS - places} digits before the point or {places} after it: "
        "round it, or cast the column to text"
    )
    return dict.fromkeys(found, problem)


def shown(batch: Any) -> list[dict[str, Any]]:
    """The rows of a pyarrow.RecordBatch to look at, with what is wrong in the place of what cannot be told."""
    columns = [cells(column) for column in batch.columns]
    for column in columns:
        for place, problem in column.wrong.items():
            column.values[place] = f"({problem})"
    return [
        dict(zip(batch.schema.names, row, strict=True)) for row in zip(*(one.values for one in columns), strict=True)
    ]
