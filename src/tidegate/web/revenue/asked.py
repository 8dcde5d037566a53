"""What the pages of revenue share: the report that they are about, in which currency, and over which months."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.responses import Response, StreamingResponse

from tidegate.errors import ConnectionMissing, LedgerMissing, ReportInvalid
from tidegate.money import decimal
from tidegate.revenue import reports
from tidegate.revenue.periods import Period, back
from tidegate.revenue.reports import Report
from tidegate.revenue.source import UNGROUPED, Group
from tidegate.web import csv_answers
from tidegate.web.choosing import account, offered
from tidegate.web.pages import Visit, page_number
from tidegate.workflows import report_readers
from tidegate.workflows.report_readers import ROWS

SPANS = ("6", "12", "24")
"""Months that a page looks back."""


def with_ledger(title: str, handle: Callable[[Visit], Response]) -> Callable[[Visit], Response]:
    """The page; where there is nothing yet that it could be about, one that says what to do."""

    def page(visit: Visit) -> Response:
        try:
            return handle(visit)
        except (LedgerMissing, ConnectionMissing) as error:
            return visit.render("revenue/missing.html", title=title, why=str(error))

    return page


def opened(visit: Visit, db: Connection, *, group: Group = UNGROUPED, native: bool = False) -> Report:
    """The report of the connection that is asked for. `native`: amounts stay in their own currencies. Raises
    LedgerMissing, ConnectionMissing, ConnectionUnknown.
    """
    wanted = reports.NATIVE if native else None
    return reports.opened(db, account(visit).name, datetime.now(UTC), currency=wanted, group=group)


def months(visit: Visit, report: Report, usual: str = "12") -> list[Period]:
    """The months that are asked for, the last of them this one. Raises ReportInvalid."""
    return reports.window(report, back("month", report.today, int(span(visit, usual)) - 1), None)


def told(visit: Visit, name: str, **asked: Any) -> Any:
    """What a report of the ledger tells, read now or before (`Visit.report`); raises as `opened`."""
    with visit.hub.engine.connect() as db:
        about = report_readers.about(db, account(visit).name, name, asked)
    return visit.report(name, about)


def span(visit: Visit, usual: str = "12") -> str:
    """How many months are asked for. Raises ReportInvalid."""
    return one_of(visit, "months", SPANS, usual)


def one_of(visit: Visit, name: str, choices: Sequence[str], usual: str = "") -> str:
    """What the address chooses. Raises ReportInvalid for what is no choice."""
    said = visit.request.query_params.get(name, "") or usual or choices[0]
    if said not in choices:
        raise ReportInvalid(problem=f"`{name}` is one of {', '.join(choices)}, not {said[:40]!r}.")
    return said


def in_currency(visit: Visit, rows: Iterable[Mapping[str, Any]], size: str = "mrr") -> dict[str, Any]:
    """What a page in one currency says of it: {currency, currencies}, the one with the largest `size` in sum first."""
    sums: dict[str, int] = {}
    for row in rows:
        sums[row["currency"]] = sums.get(row["currency"], 0) + (row[size] or 0)
    currencies = sorted(sums, key=lambda one: (-sums[one], one))
    asked = visit.request.query_params.get("currency", "").lower()
    return {"currencies": currencies, "currency": asked or (currencies[0] if currencies else "")}


def said(visit: Visit) -> dict[str, Any]:
    """What each page's links go on saying: the connection, where it has to be named."""
    choice = offered(visit)
    named = choice["connection"] if choice["connections"] else ""
    return {**choice, "kept": {"connection": named} if named else {}}


def paged(visit: Visit, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows of a page, and where the one before and the next one are."""
    here = page_number(visit)
    asked = {name: value for name, value in visit.request.query_params.items() if name != "page"}

    def at(page: int) -> str:
        return f"{visit.request.url.path}?{urlencode(asked | {'page': str(page)})}"

    return {
        "rows": rows[:ROWS],
        "before": at(here - 1) if here > 1 else "",
        "after": at(here + 1) if len(rows) > ROWS else "",
    }


def as_csv(
    name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], money: Sequence[str] = ("mrr",)
) -> StreamingResponse:
    """Columns of the rows as a file of that name; `money`: amounts in minor units, written in whole ones."""

    def whole(row: Mapping[str, Any]) -> Mapping[str, Any]:
        amounts = {column: row[column] for column in money if row[column] is not None}
        return {**row, **{column: decimal(amount, row["currency"]) for column, amount in amounts.items()}}

    return csv_answers.answer(name, columns, (whole(row) for row in rows))
