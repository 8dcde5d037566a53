"""The page of conversions: what trials come to, why subscriptions end, and who changes package."""

from typing import Any

from starlette.responses import Response

from tidegate.revenue import conversions, source
from tidegate.web.pages import Page, Visit
from tidegate.web.revenue.asked import months, opened, said, span, with_ledger


def shown(visit: Visit) -> Response:
    """Trials by the month of their beginning, reasons of cancellations, changes of package."""
    with visit.hub.engine.connect() as db:
        source.roomy(db)
        report = opened(visit, db)
        over = months(visit, report)
        first, last = over[0], over[-1]
        facts: dict[str, Any] = {
            "trials": conversions.trials(db, report, first, last),
            "reasons": conversions.reasons(db, report, first, last),
            "changes": conversions.packages(db, report, first, last),
        }
    within = {"first": first.first.isoformat(), "last": last.last.isoformat(), "months": span(visit)}
    return visit.render("revenue/trials.html", **facts, **within, **said(visit))


PAGES = (Page("/revenue/trials", with_ledger("Trials and cancellations", shown), "revenue"),)
