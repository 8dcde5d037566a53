"""CSV as pages send it: piece by piece while the rows come, and nothing in it that a spreadsheet would run (pure)."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

PIECE = 1 << 16  # characters
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""With what a text begins that a spreadsheet takes for a formula."""


def lines(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The header and the rows, in pieces."""
    held = io.StringIO()
    writer = csv.writer(held)
    writer.writerow(header)
    for row in rows:
        writer.writerow([cell(value) for value in row])
        if held.tell() > PIECE:
            yield held.getvalue()
            held.seek(0)
            held.truncate()
    yield held.getvalue()


def cell(value: Any) -> Any:
    """A value; a text that would be taken for a formula is marked as text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value
