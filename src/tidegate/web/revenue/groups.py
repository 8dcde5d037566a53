"""The page of groups: MRR by package, product, price, interval, currency or country, and each one's share."""

from typing import Any

from starlette.responses import Response

from tidegate.revenue import names, reports
from tidegate.revenue.periods import back
from tidegate.revenue.reports import Report
from tidegate.revenue.source import OF_PRICES, Group
from tidegate.web.pages import Page, Visit
from tidegate.web.revenue.asked import as_csv, in_currency, one_of, opened, said, told, with_ledger

GROUPS = (*OF_PRICES, "country", "currency")
MOST = 200
"""Groups that are shown, the largest; the rest is one row."""
LOOKED_BACK = 12
"""Months of the movements that a group links to, this one with them."""


def exported(visit: Visit) -> Response:
    """All groups as CSV, in all currencies, as they stand at this moment: a file says no time."""
    by = one_of(visit, "by", GROUPS)
    with visit.hub.engine.connect() as db:
        report = opened(visit, db, group=Group(by), native=by == "currency")
        rows = names.add(db, report, reports.standing_rows(report, reports.standing(db, report, report.today)))
    found = [{"group": row["currency"], "name": "", **row} for row in rows]
    return as_csv(f"mrr-by-{by}", ("group", "name", "currency", "mrr", "arr"), found, ("mrr", "arr"))


def shown(visit: Visit) -> Response:
    """What stands now, by group."""
    by = one_of(visit, "by", GROUPS)
    report, found = _standing(visit, by)
    money = in_currency(visit, found)
    rows = found if by == "currency" else [row for row in found if row["currency"] == money["currency"]]
    whole = sum(row["mrr"] or 0 for row in rows)
    facts: dict[str, Any] = {
        "rows": rows[:MOST],
        "rest": sum(row["mrr"] or 0 for row in rows[MOST:]),
        "left_off": len(rows[MOST:]),
        "whole": whole,
        "by": by,
        "native": report.rates is None,
        "groups": GROUPS,
        "since": back("month", report.today, LOOKED_BACK - 1).isoformat(),
    }
    return visit.render("revenue/groups.html", **money, **facts, **said(visit))


PAGES = (
    Page("/revenue/groups", with_ledger("Revenue by group", shown), "revenue"),
    Page("/revenue/groups.csv", exported, "revenue"),
)


def _standing(visit: Visit, by: str) -> tuple[Report, list[dict[str, Any]]]:
    """The report, and what stands now by group, the largest first."""
    with visit.hub.engine.connect() as db:
        report = opened(visit, db, group=Group(by), native=by == "currency")
    found = told(visit, "groups", by=by)
    with visit.hub.engine.connect() as db:
        return report, names.add(db, report, found)
