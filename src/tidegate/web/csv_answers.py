"""Tables of named columns as a file of CSV, sent while the database reads them."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, cast

from starlette.responses import Response, StreamingResponse

from tidegate.web import csv_lines
from tidegate.web.pages import Visit

Rows = Iterator[Mapping[str, Any]]


def answer(name: str, columns: Sequence[str], rows: Rows) -> StreamingResponse:
    """A file of that name, with these columns of each row. Times are ISO 8601, lists parted by semicolons."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    body = csv_lines.lines(columns, ([_said(row[name]) for name in columns] for row in rows))
    first = next(body)  # what cannot be read is refused with a page, not with half a file
    return StreamingResponse(chain([first], body), media_type="text/csv; charset=utf-8", headers=headers)


def of(
    name: str, columns: Sequence[str], rows: Callable[[Visit], Iterable[Mapping[str, Any]]]
) -> Callable[[Visit], Response]:
    """What answers with all rows of a list that is short enough to be read at once."""
    return lambda visit: answer(name, columns, iter(rows(visit)))


def _said(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return json.dumps(value, default=str, ensure_ascii=False) if value else ""
    return "; ".join(map(str, cast("list[Any]", value))) if isinstance(value, list) else value
