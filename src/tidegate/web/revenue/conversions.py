"""The page of conversions: what trials come to, why subscriptions end, and who changes package."""

from starlette.responses import Response

from tidegate.web.pages import Page, Visit
from tidegate.web.revenue.asked import said, span, told, with_ledger


def shown(visit: Visit) -> Response:
    """Trials by the month of their beginning, reasons of cancellations, changes of package."""
    found = told(visit, "conversions", months=int(span(visit)))
    return visit.render("revenue/trials.html", months=span(visit), **found, **said(visit))


PAGES = (Page("/revenue/trials", with_ledger("Trials and cancellations", shown), "revenue"),)
