"""The page that says how the MRR of a contact, or of one customer, comes about: each item's steps of pricing."""

from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from tidegate.errors import ContactAmbiguous, ContactUnknown, CustomerUnknown
from tidegate.web.choosing import account
from tidegate.web.pages import Page, Visit
from tidegate.web.revenue.asked import said, with_ledger
from tidegate.workflows.contacts.contact_customers import CUSTOMER
from tidegate.workflows.revenue.explain_mrr import explain_mrr


def shown(visit: Visit) -> Response:
    """The steps, or the form that asks whose; htmx gets the steps alone."""
    whose, of = visit.request.query_params.get("contact", "").strip(), account(visit)
    if not whose:
        return _page(visit)
    try:
        with visit.hub.engine.connect() as db:
            found = explain_mrr(db, of, whose, datetime.now(UTC))
    except (ContactUnknown, ContactAmbiguous, CustomerUnknown) as error:
        return _page(visit, 422, wrong=str(error), whose=whose)
    told = [{"connection": of.name, "missing": ""} | found]
    if "hx-request" in visit.request.headers:
        return visit.render("parts/mrr.html", explained=told)
    return _page(visit, whose=whose, explained=told, contact=found["contact"])


PAGES = (Page("/revenue/explain", with_ledger("How the MRR comes about", shown), "revenue"),)


def _page(visit: Visit, status: int = 200, **told: Any) -> Response:
    facts: dict[str, Any] = {"wrong": "", "whose": "", "explained": None, "contact": None, **told}
    return visit.render("revenue/explain.html", status, customer=CUSTOMER, **facts, **said(visit))
