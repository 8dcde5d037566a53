"""The page of one contact: everything that is known of it, and why each of it is so."""

from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from tidegate.connections import accounts
from tidegate.contacts import invoices, payments
from tidegate.contacts.directory import Contact
from tidegate.delivery import suppressing
from tidegate.entitlements import overrides
from tidegate.errors import TidegateError
from tidegate.lifecycle import health, listing, notes, roster, rulebook, timeline
from tidegate.web import keeping
from tidegate.web.choosing import livemode, named_contact, offered
from tidegate.web.chosen import chosen
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.wording import contact_page
from tidegate.workflows.contacts import contacts
from tidegate.workflows.entitlements import explain
from tidegate.workflows.entitlements.entitlements import Check, check, with_names
from tidegate.workflows.lifecycle.explain_stage import explain_stage
from tidegate.workflows.lifecycle.lifecycle import now

HAPPENED = 25
"""Rows of a timeline that are shown at once."""
BILLED = 10
"""Invoices, and payments, that are shown at once."""
TASKS = 50


def one(visit: Visit) -> Response:
    """Everything of a contact. One of test data where there is live data, too: by a connection's name, so that what its
    page asks for is asked of the same contact.
    """
    with visit.hub.engine.connect() as db:
        contact = found(visit, db)
    if visit.connection or contact.livemode is livemode(visit):
        return shown(visit)
    of_its = accounts.first(one for one in chosen(visit).every if one.livemode is contact.livemode)
    return visit.go(keeping.address(contact_page(contact.ref), of_its.name)) if of_its else shown(visit)


def happened(visit: Visit) -> Response:
    """More of a contact's timeline, older than what is shown."""
    kind, after = _kind(visit), visit.request.query_params.get("after", "")
    with visit.hub.engine.connect() as db:
        contact = found(visit, db)
        told = timeline.page(db, contact, kinds=kind, after=after, limit=HAPPENED)
    return visit.render("parts/timeline.html", contact=contact.ref, timeline=told, kind="".join(kind))


def billed(visit: Visit) -> Response:
    """More of a contact's invoices, older than what is shown."""
    with visit.hub.engine.connect() as db:
        contact = found(visit, db)
        told = invoices.page(db, contact, after=visit.request.query_params.get("after", ""), limit=BILLED)
    return visit.render("parts/invoices.html", contact=contact.ref, invoices=told, accounts=_accounts(visit))


def why(visit: Visit) -> Response:
    """Why a contact is in its stage, or may use a feature or not; htmx gets the answer alone."""
    feature = visit.request.query_params.get("feature", "")
    with visit.hub.engine.connect() as db:
        contact = found(visit, db)
    facts: dict[str, Any] = {"contact": contact.ref, "name": contact.name or contact.external_id, "feature": feature}
    if feature:
        facts["entitlement"] = explain.entitlement(visit.hub.engine, contact.livemode, contact.ref, feature)
    else:
        facts["staged"] = explain_stage(visit.hub.engine, contact.livemode, contact.ref)
    return visit.render("parts/why.html" if "hx-request" in visit.request.headers else "contacts/why.html", **facts)


PAGES = (
    Page("/timelines/{contact:path}", happened),
    Page("/contacts/invoices/{contact:path}", billed),
    Page("/contacts/why/{contact:path}", why),
    Page("/contacts/{contact:path}", one),
)


def found(visit: Visit, db: Connection) -> Contact:
    """The contact that the address names. Raises ContactUnknown, ContactAmbiguous."""
    return named_contact(visit, db, visit.request.path_params["contact"])


def shown(visit: Visit, status: int = 200, wrong: Texts | None = None) -> Response:
    """Everything of the contact that the address names, with what is wrong beside the fields of its forms."""
    with visit.hub.engine.connect() as db:
        contact = found(visit, db)
        facts: dict[str, Any] = {
            "contact": contacts.shown(db, contact),
            "timeline": timeline.page(db, contact, kinds=_kind(visit), limit=HAPPENED),
            "kinds": timeline.KINDS,
            "kind": "".join(_kind(visit)),
            "invoices": invoices.page(db, contact, limit=BILLED),
            "payments": payments.newest(db, contact.key, limit=BILLED),
            "tasks": notes.tasks(db, contact.livemode, contact=contact.key, limit=TASKS),
            "overrides": [overrides.shown(row) for row in overrides.of_contact(db, contact.key)],
            "suppressed": suppressing.suppressed(db, contact.key),
            "health": _health(db, contact),
            "row": roster.one(db, contact.key),
            "now": now(db),
        }
        [may_use] = check(visit.hub.engine, [Check(contact.livemode, contact.ref, None)])
        if isinstance(may_use, TidegateError):
            raise may_use
        facts["features"] = with_names(db, may_use)["features"]
    said = {"wrong": wrong or Texts(), "typed": Texts(visit.form), "accounts": _accounts(visit)}
    return visit.render("contacts/contact.html", status, **said, **offered(visit), **facts)


def _kind(visit: Visit) -> list[str]:
    """The kind of what happened that is asked for; none: all of them."""
    kind = visit.request.query_params.get("kind", "")
    return [kind] if kind else []


def _health(db: Connection, contact: Contact) -> dict[str, Any] | None:
    """The health that was kept, and how each component comes to its part of it."""
    kept = listing.health(db, contact.key)
    if kept is None:
        return None
    return kept | {"explained": health.explained(db, rulebook.components(db), now(db), contact.key)}


def _accounts(visit: Visit) -> dict[str, Any]:
    return {one.name: one for one in visit.hub.accounts()}
