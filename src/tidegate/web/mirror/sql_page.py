"""The SQL console: one read-only query at a time, its answer as a table or as CSV, and what there is to be asked."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain, islice
from typing import Any

from starlette.responses import Response, StreamingResponse

from tidegate.errors import NotReadOnly, QueryRefused
from tidegate.store.readonly import NOTHING, Answer
from tidegate.store.values import as_text
from tidegate.web import csv_lines
from tidegate.web.pages import Page, Texts, Visit
from tidegate.workflows.operation.read_store import OF_ADMINS, read_store, readable

ROWS = ("100", "1000")
SECONDS = ("10", "30", "60")
"""How many rows are shown, and how long a query may take."""
REFUSED = (QueryRefused, NotReadOnly)
EXAMPLE = """select status, currency, count(*)
from subscriptions
where deleted_at is null
group by status, currency
order by count(*) desc"""


def console(visit: Visit) -> Response:
    """The editor, with an example, or with what a link brings."""
    return _page(visit, typed=Texts(sql=visit.request.query_params.get("sql", "") or EXAMPLE))


def ask(visit: Visit) -> Response:
    """The query's first rows, or what is wrong with it beside the editor."""
    typed = Texts(visit.form)
    rows = int(typed["rows"]) if typed["rows"] in ROWS else int(ROWS[0])
    began = time.monotonic()
    try:
        with _asked(visit) as (answer, lacking):
            found = [[as_text(value) for value in row] for row in islice(answer.rows, rows + 1)]
    except REFUSED as error:
        return _page(visit, 422, typed=typed, wrong=Texts(sql=str(error)))
    told: dict[str, Any] = {"columns": answer.columns, "rows": found[:rows], "more": len(found) > rows}
    told |= {"numbers": _numbers(found), "lacking": lacking, "seconds": time.monotonic() - began}
    return _page(visit, typed=typed, answer=told)


def exported(visit: Visit) -> Response:
    """The whole answer as CSV, or what is wrong with the query beside the editor."""
    lines = _lines(visit)
    try:
        first = next(lines)
    except REFUSED as error:
        return _page(visit, 422, typed=Texts(visit.form), wrong=Texts(sql=str(error)))
    headers = {"Content-Disposition": 'attachment; filename="query.csv"'}
    return StreamingResponse(chain([first], lines), media_type="text/csv; charset=utf-8", headers=headers)


PAGES = (
    Page("/sql", console, "revenue"),
    Page("/sql", ask, "revenue", "POST"),
    Page("/sql.csv", exported, "revenue", "POST"),
)


def _asked(visit: Visit) -> AbstractContextManager[tuple[Answer, str]]:
    """The answer to what was typed. Raises QueryRefused, NotReadOnly."""
    sql, seconds = visit.form.get("sql", ""), visit.form.get("seconds", "")
    if not sql:
        raise QueryRefused(problem="write one.")
    limit = int(seconds) if seconds in SECONDS else int(SECONDS[0])
    return read_store(visit.hub.engine, sql, seconds=limit, withheld=_withheld(visit))


def _withheld(visit: Visit) -> Mapping[str, str]:
    return NOTHING if visit.who is not None and visit.who.may("admin") else OF_ADMINS


def _lines(visit: Visit) -> Iterator[str]:
    with _asked(visit) as (answer, _):
        yield from csv_lines.lines(answer.columns, ([as_text(value) for value in row] for row in answer.rows))


def _numbers(rows: Sequence[Sequence[Any]]) -> list[bool]:
    """Of each column whether all it has are numbers."""
    return [
        all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in column)
        for column in zip(*rows, strict=True)
    ]


def _page(visit: Visit, status: int = 200, **told: Any) -> Response:
    facts: dict[str, Any] = {"typed": Texts(), "wrong": Texts(), "answer": None, **told}
    schemas = readable(visit.hub.engine, _withheld(visit))
    return visit.render("mirror/sql.html", status, schemas=schemas, row_limits=ROWS, time_limits=SECONDS, **facts)
