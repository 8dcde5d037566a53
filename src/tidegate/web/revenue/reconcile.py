"""The page that holds Stripe's own report of MRR against the ledger, customer by customer, with the causes."""

from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from tidegate.errors import ReportInvalid
from tidegate.revenue import stripe_report
from tidegate.revenue.reconcile import ABOUT
from tidegate.revenue.reconciling import reconcile
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.revenue.asked import opened, said, with_ledger

LONGEST = 20_000_000
"""Bytes of the report: some 200,000 rows."""
CUSTOMERS = 100
"""Customers of a month that are shown, those that differ most."""


def asked(visit: Visit) -> Response:
    """The form."""
    with visit.hub.engine.connect() as db:
        opened(visit, db, native=True)
    return _page(visit)


def compared(visit: Visit) -> Response:
    """What differs, and why."""
    body = visit.file or visit.form.get("pasted", "").encode()
    if not body:
        return _page(visit, 422, wrong="Choose the file, or paste what is in it.")
    as_of = datetime.now(UTC)
    try:
        told = stripe_report.read(body, "The report", visit.form.get("currency", ""))
        if not told:
            raise ReportInvalid(problem="The report tells no MRR: no line of it is about a customer (cus_…).")
        with visit.hub.engine.connect() as db:
            report = opened(visit, db, native=True)
            found = reconcile(db, report.ledger, told, as_of)
    except ReportInvalid as error:
        return _page(visit, 422, wrong=str(error))
    months = [one | {"more": len(one["customers"][CUSTOMERS:])} for one in reversed(found["months"])]
    return _page(visit, months=months, missing=found["missing_rates"])


PAGES = (
    Page("/revenue/reconcile", with_ledger("Reconcile", asked), "revenue"),
    Page("/revenue/reconcile", with_ledger("Reconcile", compared), "revenue", "POST", longest=LONGEST, file="report"),
)


def _page(visit: Visit, status: int = 200, **told: Any) -> Response:
    facts: dict[str, Any] = {"wrong": "", "months": None, "missing": [], **told}
    typed = Texts(visit.form)
    return visit.render(
        "revenue/reconcile.html", status, abouts=ABOUT, most=CUSTOMERS, typed=typed, **facts, **said(visit)
    )
