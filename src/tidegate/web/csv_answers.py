"""Tables as CSV, sent while the database reads them."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from starlette.responses import StreamingResponse

Rows = Iterator[Mapping[str, Any]]
PIECE = 1 << 16
"""Characters after which what there is is sent."""


def answer(name: str, columns: Sequence[str], rows: Rows) -> StreamingResponse:
    """A file of that name, with these columns of each row. Times are ISO 8601, lists parted by semicolons."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return StreamingResponse(_lines(columns, rows), media_type="text/csv; charset=utf-8", headers=headers)


def _lines(columns: Sequence[str], rows: Rows) -> Iterator[str]:
    held = io.StringIO()
    writer = csv.writer(held)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in columns])
        if held.tell() > PIECE:
            yield held.getvalue()
            held.seek(0)
            held.truncate()
    yield held.getvalue()


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula is marked as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return json.dumps(value, default=str, ensure_ascii=False) if value else ""
    said = "; ".join(map(str, cast("list[Any]", value))) if isinstance(value, list) else value
    return f"'{said}" if isinstance(said, str) and said[:1] in {"=", "+", "-", "@", "\t", "\r"} else said
