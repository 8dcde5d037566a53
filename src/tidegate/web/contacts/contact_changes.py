"""What is changed of a contact on the page: what it is called and known by, whose customers it has, whether others are
told of it.
"""

from typing import Any

from starlette.responses import Response

from tidegate.contacts import directory
from tidegate.contacts import listing as contact_listing
from tidegate.errors import (
    ConnectionUnknown,
    ContactAmbiguous,
    ContactExists,
    ContactInvalid,
    ContactUnknown,
    CustomerUnknown,
    OwnerUnknown,
)
from tidegate.lifecycle import owners
from tidegate.web import typed_values
from tidegate.web.choosing import account, livemode
from tidegate.web.contacts.contact_page import found, shown
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.previews import Asked, previewed
from tidegate.web.wording import contact_page
from tidegate.workflows.contacts import contacts, contacts_edit, contacts_suppress

REFUSED = (ContactInvalid, ContactUnknown, ContactAmbiguous, CustomerUnknown, ConnectionUnknown)


def link(visit: Visit) -> Response:
    """Shows what it does to make a customer of Stripe this contact's by hand, and does it."""
    ref, customer = visit.request.path_params["contact"], visit.form.get("customer", "")
    if not customer:
        return shown(visit, 422, Texts(customer="Which customer? Stripe's id begins with cus_."))
    try:
        change = contacts.linked(account(visit), customer, ref, visit.actor)
        return previewed(visit, change, Asked(f"{customer} is {ref}'s", "Link it", contact_page(ref)))
    except REFUSED as error:
        return shown(visit, 422, Texts(customer=_said(error)))


def unlink(visit: Visit) -> Response:
    """Shows who loses what when a customer is this contact's no more, and takes it away."""
    ref, customer = visit.request.path_params["contact"], visit.form.get("customer", "")
    rematch = visit.form.get("rematch") == "yes"
    title = f"Let matching decide whose {customer} is" if rematch else f"{customer} is nobody's"
    asked = Asked(title, "Do it" if rematch else "Unlink it", contact_page(ref), _whose, grave=not rematch)
    try:
        return previewed(
            visit, contacts.unlinked(account(visit), customer, visit.actor, rematch=rematch, ref=ref), asked
        )
    except REFUSED as error:
        return shown(visit, 422, Texts(links=_said(error)))


def form(visit: Visit) -> Response:
    """What a contact is called and known by, to be changed."""
    return _form(visit)


def put(visit: Visit) -> Response:
    """Changes what was typed differently: all of it or nothing."""
    with visit.hub.engine.connect() as db:
        contact = found(visit, db)
        known = contact_listing.described(db, contact)
        try:
            given = _given(visit, known)
            if given.get("owner"):
                owners.require(db, given["owner"])
        except OwnerUnknown as error:
            return _form(visit, 422, Texts(owner=str(error)))
    new_id = visit.form.get("id", "")
    try:
        after = contacts_edit.change(
            visit.hub.engine,
            contact.livemode,
            contact.ref,
            given,
            visit.actor,
            external_id=new_id if new_id != contact.external_id else None,
        )
    except ContactExists as error:
        return _form(visit, 422, Texts(id=str(error)))
    except ContactInvalid as error:
        said = _said(error)
        return _form(visit, 422, Texts({_field(said): said}))
    return visit.go(contact_page(after.ref))


def suppress(visit: Visit) -> Response:
    """No destination is told of the contact, and no action fires for it; or again."""
    ref = visit.request.path_params["contact"]
    try:
        with visit.hub.engine.begin() as db:
            if visit.form.get("do") == "end":
                contacts_suppress.unsuppress(db, livemode(visit), ref, visit.actor)
            else:
                contacts_suppress.suppress(db, livemode(visit), ref, visit.form.get("reason", ""), visit.actor)
    except ContactInvalid as error:
        return shown(visit, 422, Texts(reason=_said(error)))
    return visit.go(contact_page(ref))


PAGES = (
    Page("/contacts/link/{contact:path}", link, "operate", "POST"),
    Page("/contacts/unlink/{contact:path}", unlink, "operate", "POST"),
    Page("/contacts/edit/{contact:path}", form, "operate"),
    Page("/contacts/edit/{contact:path}", put, "operate", "POST"),
    Page("/contacts/suppress/{contact:path}", suppress, "operate", "POST"),
)


def _said(error: Any) -> str:
    said = str(error.facts.get("problem", error))
    return said[:1].upper() + said[1:]


def _whose(result: dict[str, Any]) -> list[str]:
    return [f"It is {result['contact']}'s then." if result["contact"] else "It is nobody's then."]


def _field(said: str) -> str:
    """Beside which field a refusal is said, by its words."""
    plain = said.casefold()
    named = {"mail": "emails", "domain": "domains", "name": "name", "propert": "properties", "id ": "id"}
    return next((field for word, field in named.items() if word in plain), "id")


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.replace(",", "\n").splitlines() if line.strip()]


def _given(visit: Visit, known: dict[str, Any]) -> dict[str, Any]:
    """What the form says otherwise than it is known."""
    said, given = visit.form, dict[str, Any]()
    for name in ("name", "owner"):
        if name in said and said[name] != (known[name] or ""):
            given[name] = said[name] or (None if name == "name" else "")
    for name in ("emails", "domains"):
        if name in said and sorted(_lines(said[name])) != sorted(known[name]):
            given[name] = _lines(said[name])
    properties = {
        name: value
        for name, value in known["properties"].items()
        if f"property:{name}" in said and typed_values.read(said[f"property:{name}"]) != value
    }
    properties = {name: typed_values.read(said[f"property:{name}"]) for name in properties}
    if said.get("new_property") and said.get("new_value"):
        properties[said["new_property"]] = typed_values.read(said["new_value"])
    return given | ({"properties": properties} if properties else {})


def _form(visit: Visit, status: int = 200, wrong: Texts | None = None) -> Response:
    with visit.hub.engine.connect() as db:
        contact = directory.find(db, livemode(visit), visit.request.path_params["contact"])
        known = contact_listing.described(db, contact)
        chosen = owners.every(db)
    typed = Texts(visit.form)
    if not visit.form:
        typed |= {name: known[name] or "" for name in ("id", "name", "owner")}
        typed |= {name: "\n".join(known[name]) for name in ("emails", "domains")}
        typed |= {f"property:{name}": typed_values.shown(value) for name, value in known["properties"].items()}
    facts = {"contact": known, "owners": chosen, "typed": Texts(typed), "wrong": wrong or Texts()}
    return visit.render("contacts/contact_edit.html", status, **facts)
