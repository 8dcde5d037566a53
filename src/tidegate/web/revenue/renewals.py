"""The pages of what comes: subscriptions that renew soon, those at risk and why, and the calendar of renewals."""

from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from tidegate.revenue import renewals, risks
from tidegate.revenue.periods import read_month
from tidegate.web.pages import Page, Visit, page_number
from tidegate.web.revenue.asked import as_csv, one_of, opened, paged, said, told, with_ledger

DAYS = ("7", "30", "90", "365")


def soon(visit: Visit) -> Response:
    """What renews within so many days, the soonest first."""
    days, as_of = one_of(visit, "days", DAYS, "30"), datetime.now(UTC)
    owner = visit.request.query_params.get("owner")
    narrowed = _narrowed(visit)
    asked = {"owner": owner, "month": narrowed["month"], "paid_in": narrowed["currency"], "page": page_number(visit)}
    asked |= {"once": True} if narrowed["each"] else {}
    rows = told(visit, "renewals", days=int(days), **asked)
    facts: dict[str, Any] = {"days": days, "choices": DAYS, "owner": owner, **narrowed} | paged(visit, rows)
    facts["narrowed"] = {"owner": owner} if owner is not None else {}
    facts["narrowed"] |= {name: value for name, value in narrowed.items() if value}
    return visit.render("revenue/renewals.html", now=as_of, **facts, **said(visit))


def soon_exported(visit: Visit) -> Response:
    """All of them as CSV."""
    days = int(one_of(visit, "days", DAYS, "30"))
    with visit.hub.engine.connect() as db:
        report = opened(visit, db, native=True)
        owner = visit.request.query_params.get("owner")
        by = _narrowed(visit)
        narrowed: dict[str, Any] = {"month": by["month"], "currency": by["currency"], "once": bool(by["each"])}
        rows = renewals.upcoming(db, report, datetime.now(UTC), days, owner, **narrowed)
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
    rows = told(visit, "at_risk", page=page_number(visit))
    return visit.render("revenue/at_risk.html", reasons=risks.RISKS, **paged(visit, rows), **said(visit))


def calendar(visit: Visit) -> Response:
    """A year of renewals by month, and in each by who looks after it."""
    found = told(visit, "calendar")
    months, owners = found["months"], found["owners"]
    largest = {
        one["currency"]: max(row["mrr"] for row in months if row["currency"] == one["currency"]) for one in months
    }
    return visit.render("lifecycle/calendar.html", months=months, owners=owners, largest=largest, **said(visit))


def calendar_exported(visit: Visit) -> Response:
    """The same as CSV, by month and by who looks after it."""
    columns = ("month", "owner", "currency", "renewals", "contacts", "mrr")
    return as_csv("calendar", columns, told(visit, "calendar")["owners"])


PAGES = (
    Page("/revenue/renewals", with_ledger("Renewals", soon), "revenue"),
    Page("/revenue/renewals/at-risk", with_ledger("At risk", at_risk), "revenue"),
    Page("/revenue/renewals.csv", soon_exported, "revenue"),
    Page("/revenue/renewals/at-risk.csv", at_risk_exported, "revenue"),
    Page("/calendar.csv", calendar_exported, "revenue"),
    Page("/calendar", with_ledger("Calendar of renewals", calendar), "revenue"),
)


def _narrowed(visit: Visit) -> dict[str, str]:
    """By what renewals are narrowed down: a month of the calendar, a currency, `each` contact's first. Raises
    ReportInvalid.
    """
    said = {name: visit.request.query_params.get(name, "") for name in ("month", "currency")}
    said["each"] = one_of(visit, "each", ("", "contact"))
    return said | ({"month": read_month(said["month"]).name} if said["month"] else {})
