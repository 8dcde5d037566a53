"""The pages of what comes: subscriptions that renew soon, those at risk and why, and the calendar of renewals."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from tidegate.revenue import renewals, risks
from tidegate.web.pages import Page, Visit
from tidegate.web.revenue.asked import as_csv, one_of, opened, said, told, with_ledger
from tidegate.workflows.report_readers import ROWS

DAYS = ("7", "30", "90", "365")


def soon(visit: Visit) -> Response:
    """What renews within so many days, the soonest first."""
    days, as_of = one_of(visit, "days", DAYS, "30"), datetime.now(UTC)
    owner = visit.request.query_params.get("owner")
    rows = told(visit, "renewals", days=int(days), owner=owner, page=_number(visit))
    facts: dict[str, Any] = {"days": days, "choices": DAYS, "owner": owner} | _paged(visit, rows)
    return visit.render("revenue/renewals.html", now=as_of, **facts, **said(visit))


def soon_exported(visit: Visit) -> Response:
    """All of them as CSV."""
    days = int(one_of(visit, "days", DAYS, "30"))
    with visit.hub.engine.connect() as db:
        report = opened(visit, db, native=True)
        rows = renewals.upcoming(db, report, datetime.now(UTC), days, visit.request.query_params.get("owner"))
    columns = ("renews_at", "contact", "name", "owner", "subscription", "customer", "status", "currency", "mrr")
    return as_csv("renewals", columns, rows)


def at_risk_exported(visit: Visit) -> Response:
    """All of them as CSV."""
    with visit.hub.engine.connect() as db:
        rows = renewals.at_risk(db, opened(visit, db, native=True), datetime.now(UTC))
    columns = ("contact", "name", "subscription", "customer", "status", "reasons", "ends_at", "renews_at", "currency")
    return as_csv("at-risk", (*columns, "mrr", "listed"), rows, ("mrr", "listed"))


def at_risk(visit: Visit) -> Response:
    """Subscriptions at risk, the largest first."""
    rows = told(visit, "at_risk", page=_number(visit))
    return visit.render("revenue/at_risk.html", reasons=risks.RISKS, **_paged(visit, rows), **said(visit))


def calendar(visit: Visit) -> Response:
    """A year of renewals by month, and in each by who looks after it."""
    found = told(visit, "calendar")
    months, owners = found["months"], found["owners"]
    largest = {
        one["currency"]: max(row["mrr"] for row in months if row["currency"] == one["currency"]) for one in months
    }
    return visit.render("lifecycle/calendar.html", months=months, owners=owners, largest=largest, **said(visit))


PAGES = (
    Page("/revenue/renewals", with_ledger("Renewals", soon), "revenue"),
    Page("/revenue/renewals/at-risk", with_ledger("At risk", at_risk), "revenue"),
    Page("/revenue/renewals.csv", soon_exported, "revenue"),
    Page("/revenue/renewals/at-risk.csv", at_risk_exported, "revenue"),
    Page("/calendar", with_ledger("Calendar of renewals", calendar), "revenue"),
)


def _number(visit: Visit) -> int:
    said = visit.request.query_params.get("page", "")
    return max(1, int(said)) if said.isdecimal() and len(said) < 7 else 1


def _paged(visit: Visit, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows of a page, and where the one before and the next one are."""
    number = _number(visit)
    asked = {name: value for name, value in visit.request.query_params.items() if name != "page"}

    def at(page: int) -> str:
        return f"{visit.request.url.path}?{urlencode(asked | {'page': str(page)})}"

    return {
        "rows": rows[:ROWS],
        "before": at(number - 1) if number > 1 else "",
        "after": at(number + 1) if len(rows) > ROWS else "",
    }
