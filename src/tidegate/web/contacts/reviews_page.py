"""The review queue: customers that no rule could place, given to contacts or kept apart, one or many at once; and why a
customer is whose it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from tidegate.connections.accounts import Account
from tidegate.contacts import reviewing
from tidegate.contacts.explaining import explain_link
from tidegate.errors import ContactAmbiguous, ContactInvalid, ContactUnknown, ReviewUnknown
from tidegate.web import csv_answers
from tidegate.web.choosing import account, offered
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.previews import Asked, confirming
from tidegate.workflows.contacts import contacts, contacts_review
from tidegate.workflows.previewing import settle

ROWS = 50
TOGETHER = 500
"""Customers that are read at once for a file."""
EXPORTED = ("customer", "name", "email", "reason", "evidence", "since", "candidates", "list_value")
REASONS = {
    "no_match": "match nobody",
    "id_unknown": "name an id that no contact has",
    "conflict": "match several contacts",
}
REFUSED = (ContactAmbiguous, ContactInvalid, ContactUnknown, ReviewUnknown)


def listing(visit: Visit) -> Response:
    """Who waits, the longest first."""
    return _listed(visit)


def exported(visit: Visit) -> Response:
    """Everybody who waits, or who waits for one reason, as CSV."""
    name, reason = account(visit).name, visit.request.query_params.get("reason", "")

    def rows() -> csv_answers.Rows:
        after: str | None = ""
        with visit.hub.engine.connect() as db:
            while after is not None:
                wanted = reason if reason in REASONS else None
                found, after = reviewing.queue(db, name, reason=wanted, after=after, limit=TOGETHER)
                yield from found

    return csv_answers.answer("review", EXPORTED, rows())


def settle_picked(visit: Visit) -> Response:
    """Gives the picked customers to contacts, makes contacts of them, or keeps them apart."""
    chosen = account(visit)
    picked = _picked(visit.form)
    if not picked:
        return _listed(visit, 422, refused="Pick at least one.")
    if visit.form.get("do") == "reject":
        try:
            contacts_review.reject(visit.hub.engine, chosen, picked, visit.actor)
        except ReviewUnknown as error:
            return _listed(visit, 422, refused=str(error))
        return visit.go(_back(chosen, apart=",".join(picked)))
    whose = {customer: visit.form.get(f"contact:{customer}", "") for customer in picked}
    return _accepted(visit, chosen, whose)


def accept_all(visit: Visit) -> Response:
    """Makes contacts of all that wait for a reason, after saying how many."""
    chosen, reason = account(visit), visit.form.get("reason", "")
    if reason not in reviewing.CREATABLE:
        return _listed(visit, 422, refused="Say for which reason they wait: of a conflict a person chooses.")
    with visit.hub.engine.connect() as db:
        counted = reviewing.counts(db, chosen.name).get(reason, 0)
    if visit.form.get("token") != str(counted):
        asked = Asked(f"Make contacts of all that {REASONS[reason]}", "Make them", _back(chosen))
        told = [f"{counted:,} customers wait; each is matched anew, and who still matches nobody gets a contact."]
        stale = "Others wait now than before: look again." if "token" in visit.form else ""
        return confirming(visit, asked, str(counted), told=told, stale=stale)
    done = contacts_review.accept(visit.hub.engine, chosen, [], visit.actor, every=True, reason=reason)
    return visit.go(_back(chosen, done=str(done["batch"])))


def undo(visit: Visit) -> Response:
    """Takes acceptances back: their customers wait again."""
    chosen = account(visit)
    for number in visit.form.get("done", "").split(","):
        if number.isdecimal():
            contacts_review.undo(visit.hub.engine, int(number), visit.actor)
    return visit.go(_back(chosen))


def rematch(visit: Visit) -> Response:
    """Lets matching decide again whose customers are that were kept apart."""
    chosen = account(visit)
    for customer in filter(None, visit.form.get("apart", "").split(",")[:ROWS]):
        settle(visit.hub.engine, contacts.unlinked(chosen, customer, visit.actor, rematch=True), anyway=True)
    return visit.go(_back(chosen))


def customer(visit: Visit) -> Response:
    """Whom a customer of Stripe stands for and how that is known; or why there is no link."""
    chosen = account(visit)
    with visit.hub.engine.connect() as db:
        found = explain_link(db, chosen.name, visit.request.path_params["customer"])
    return visit.render("contacts/customer.html", found=found, account=chosen)


PAGES = (
    Page("/contacts/review", listing),
    Page("/contacts/review.csv", exported),
    Page("/contacts/review", settle_picked, "operate", "POST"),
    Page("/contacts/review/all", accept_all, "operate", "POST"),
    Page("/contacts/review/undo", undo, "operate", "POST"),
    Page("/contacts/review/rematch", rematch, "operate", "POST"),
    Page("/contacts/customers/{customer:str}", customer),
)


def _picked(form: Mapping[str, str]) -> list[str]:
    """The customers whose box is ticked, or the one whose own button was pressed."""
    if one := form.get("one"):
        return [one]
    return [name.partition(":")[2] for name in form if name.startswith("pick:")]


def _back(chosen: Account, **told: str) -> str:
    return f"/contacts/review?{urlencode({'connection': chosen.name, **told})}"


def _accepted(visit: Visit, chosen: Account, whose: Mapping[str, str]) -> Response:
    """Gives each to the contact that its field names; of the others contacts are made."""
    wrong, batches = Texts(), list[str]()
    by_contact: dict[str, list[str]] = {}
    for one, ref in whose.items():
        by_contact.setdefault(ref, []).append(one)
    groups = list(by_contact.items())
    while groups:
        ref, customers = groups.pop(0)
        try:
            done = contacts_review.accept(visit.hub.engine, chosen, customers, visit.actor, contact=ref or None)
        except REFUSED as error:
            if len(customers) > 1:  # all or none: whom it is about shows one by one
                groups += [(ref, [one]) for one in customers]
                continue
            said = str(error.facts.get("problem", error))
            wrong[customers[0]] = said[:1].upper() + said[1:]
        else:
            batches.append(str(done["batch"]))
    if wrong:
        return _listed(visit, 422, wrong=wrong, done=batches)
    return visit.go(_back(chosen, done=",".join(batches)))


def _listed(
    visit: Visit, status: int = 200, *, refused: str = "", wrong: Texts | None = None, done: Sequence[str] = ()
) -> Response:
    asked, choice = visit.request.query_params, offered(visit)
    reason = asked.get("reason", "")
    reason = reason if reason in REASONS else ""
    rows, place, counts = list[dict[str, Any]](), None, dict[str, int]()
    if choice["connection"]:
        with visit.hub.engine.connect() as db:
            rows, place = reviewing.queue(
                db, choice["connection"], reason=reason or None, after=asked.get("after", ""), limit=ROWS
            )
            counts = reviewing.counts(db, choice["connection"])
    facts: dict[str, Any] = {"rows": rows, "counts": counts, "reason": reason, "reasons": REASONS, "refused": refused}
    facts |= {"creatable": reviewing.CREATABLE, "typed": Texts(visit.form), "wrong": wrong or Texts()}
    facts["done"] = ",".join(done) or ",".join(one for one in asked.get("done", "").split(",") if one.isdecimal())
    facts["apart"] = asked.get("apart", "")
    facts["more"] = urlencode({"connection": choice["connection"], "reason": reason, "after": place}) if place else ""
    return visit.render("contacts/reviews.html", status, **facts, **choice)
