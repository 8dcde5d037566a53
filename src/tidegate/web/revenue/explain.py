"""The page that says how the MRR of a contact, or of one customer, comes about: each item's steps of pricing."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from tidegate.connections.accounts import Account
from tidegate.errors import ContactAmbiguous, ContactUnknown, CustomerUnknown, LedgerMissing
from tidegate.web.choosing import account, named_contact
from tidegate.web.pages import Page, Visit
from tidegate.web.revenue.asked import said, with_ledger
from tidegate.workflows.contacts import contacts
from tidegate.workflows.contacts.contact_customers import CUSTOMER
from tidegate.workflows.revenue.explain_mrr import explain_mrr


def shown(visit: Visit) -> Response:
    """The steps, or the form that asks whose; htmx gets the steps alone. Of a contact: in every connection that it has
    customers in.
    """
    whose, of = visit.request.query_params.get("contact", "").strip(), account(visit)
    if not whose:
        return _page(visit)
    try:
        with visit.hub.engine.connect() as db:
            told = _of_customer(db, of, whose) if whose.startswith(CUSTOMER) else _of_contact(visit, db, whose)
    except (ContactUnknown, ContactAmbiguous, CustomerUnknown) as error:
        return _page(visit, 422, wrong=str(error), whose=whose)
    if "hx-request" in visit.request.headers:
        return visit.render("parts/mrr.html", **told)
    return _page(visit, whose=whose, **told)


PAGES = (Page("/revenue/explain", with_ledger("How the MRR comes about", shown), "revenue"),)


def _of_customer(db: Connection, of: Account, customer: str) -> dict[str, Any]:
    found = explain_mrr(db, of, customer, datetime.now(UTC))
    return {"explained": [{"connection": of.name, "missing": ""} | found], "contact": found["contact"]}


def _of_contact(visit: Visit, db: Connection, ref: str) -> dict[str, Any]:
    contact = named_contact(visit, db, ref)
    told: list[dict[str, Any]] = []
    for name in sorted({link["connection"] for link in contacts.listing.described(db, contact)["links"]}):
        try:
            found = explain_mrr(db, visit.hub.account(name), contact.ref, datetime.now(UTC))
            told.append({"connection": name, "missing": ""} | found)
        except LedgerMissing as error:
            told.append({"connection": name, "missing": str(error)})
    return {"explained": told, "contact": contact.ref}


def _page(visit: Visit, status: int = 200, **told: Any) -> Response:
    facts: dict[str, Any] = {"wrong": "", "whose": "", "explained": None, "contact": None, **told}
    return visit.render("revenue/explain.html", status, customer=CUSTOMER, **facts, **said(visit))
