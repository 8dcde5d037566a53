"""The page of churn and retention: month by month what was lost and kept, drawn and as numbers."""

from typing import Any

from starlette.responses import Response

from tidegate.revenue import metrics
from tidegate.web.pages import Page, Visit
from tidegate.web.revenue.asked import as_csv, in_currency, months, opened, said, span, told, with_ledger

DRAWN = {"gross_churn": "Gross churn", "net_churn": "Net churn", "customer_churn": "Customer churn"}
"""Ratios that are drawn, as they are called."""


EXPORTED = (
    "period", "currency", "opening", "churn", "contraction", "expansion", "new", "reactivation", "mrr",
    "contacts_lost", "contacts", "gross_churn", "net_churn", "customer_churn", "nrr", "grr", "arpa", "ltv",
)  # fmt: skip
MONEY = ("opening", "churn", "contraction", "expansion", "new", "reactivation", "mrr", "arpa", "ltv")


def exported(visit: Visit) -> Response:
    """The same as CSV, in all currencies."""
    with visit.hub.engine.connect() as db:
        report = opened(visit, db)
        found = metrics.rows(db, report, months(visit, report))
    rows = [row | {"contacts_lost": row["contacts"]["lost"], "contacts": row["contacts"]["closing"]} for row in found]
    return as_csv("retention", EXPORTED, rows, MONEY)


def shown(visit: Visit) -> Response:
    """Churn, retention, ARPA and LTV by month, in one currency at a time."""
    found = told(visit, "metrics", months=int(span(visit)))
    money = in_currency(visit, found)
    rows = [row for row in found if row["currency"] == money["currency"]]
    drawn: dict[str, Any] = {
        "shape": "lines",
        "periods": [row["period"] for row in rows],
        "lines": [{"name": called, "values": [row[name] for row in rows]} for name, called in DRAWN.items()],
    }
    facts = {"rows": rows, "drawn": drawn, "months": span(visit)}
    return visit.render("revenue/retention.html", **money, **facts, **said(visit))


PAGES = (
    Page("/revenue/retention", with_ledger("Churn and retention", shown), "revenue"),
    Page("/revenue/retention.csv", exported, "revenue"),
)
