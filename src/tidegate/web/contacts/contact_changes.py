"""What is changed of a contact on the page: what it is called and known by, whose customers it has, whether others are
told of it.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

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
PROPERTY = "property:"
"""Before the name of a property of a contact, in the name of its field."""


class Given(NamedTuple):
    """What is to be changed, what is wrong by its field, and what the form was shown with."""

    fields: dict[str, Any]
    wrong: Texts
    shown: Texts


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
        fields, wrong, before = _given(visit.form, known)
        try:
            if fields.get("owner"):
                owners.require(db, fields["owner"])
        except OwnerUnknown as error:
            wrong["owner"] = str(error)
    if wrong:
        return _form(visit, 422, wrong, before)
    new_id = fields.pop("id", None)
    try:
        after = contacts_edit.change(
            visit.hub.engine,
            contact.livemode,
            contact.ref,
            fields,
            visit.actor,
            external_id=new_id,
        )
    except ContactExists as error:
        return _form(visit, 422, Texts(id=str(error)), before)
    except ContactInvalid as error:
        said = _said(error)
        return _form(visit, 422, Texts({_field(said): said}), before)
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


def _as_typed(known: Mapping[str, Any]) -> Texts:
    """What is known of a contact as the form shows it."""
    typed = Texts({name: str(known[name] or "") for name in ("id", "name", "owner")})
    typed |= {name: "\n".join(known[name]) for name in ("emails", "domains")}
    return Texts(
        typed | {f"{PROPERTY}{name}": typed_values.shown(value) for name, value in known["properties"].items()}
    )


def _given(form: Mapping[str, str], known: Mapping[str, Any]) -> Given:
    """What the form says otherwise than it was shown with (`shown`), so that a form that lay about takes nothing back
    that others changed meanwhile; without that, otherwise than it is known. Of addresses and domains that is what came
    and went; anything else that both changed is refused once.
    """
    now = _as_typed(known)
    before = typed_values.read(form.get("shown", ""))
    shown = Texts(
        {name: str(said) for name, said in cast("dict[str, Any]", before).items()} if isinstance(before, dict) else now
    )
    found = Given({}, Texts(), shown)
    for name in ("id", "name", "owner", *(one for one in form if one.startswith(PROPERTY))):
        if name not in form or form[name] in {shown[name].strip(), now[name].strip()}:
            continue
        if now[name] != shown[name]:
            beside = "properties" if name.startswith(PROPERTY) else name
            what = f"{name.removeprefix(PROPERTY)} is" if beside == "properties" else "It is"
            found.wrong[beside] = f"{what} {now[name] or 'nothing'} since you came here. Save again to change that."
            shown[name] = now[name]
        else:
            _take(found.fields, name, form[name])
    for name in ("emails", "domains"):
        said, was = _lines(form.get(name, "")), _lines(shown[name])
        if name in form and sorted(said) != sorted(was):
            stay = [one for one in known[name] if one in said or one not in was]
            found.fields[name] = [*stay, *(one for one in said if one not in was and one not in stay)]
    return _with_new(found, form)


def _take(fields: dict[str, Any], name: str, said: str) -> None:
    if name.startswith(PROPERTY):
        fields.setdefault("properties", {})[name.removeprefix(PROPERTY)] = typed_values.read(said)
    else:
        fields[name] = said or (None if name == "name" else "")


def _with_new(found: Given, form: Mapping[str, str]) -> Given:
    """With another property, which has both a name and a value."""
    name, said = form.get("new_property", ""), form.get("new_value", "")
    if name and said:
        _take(found.fields, f"{PROPERTY}{name}", said)
    elif name:
        found.wrong["new_value"] = "What is its value?"
    elif said:
        found.wrong["new_property"] = "What is it called?"
    return found


def _form(visit: Visit, status: int = 200, wrong: Texts | None = None, before: Texts | None = None) -> Response:
    """The form. `before`: what it was shown with, where it was sent."""
    with visit.hub.engine.connect() as db:
        contact = directory.find(db, livemode(visit), visit.request.path_params["contact"])
        known = contact_listing.described(db, contact)
        chosen = owners.every(db)
    now = _as_typed(known)
    typed = Texts(visit.form) if visit.form else now
    properties = [name.removeprefix(PROPERTY) for name in {**now, **typed} if name.startswith(PROPERTY)]
    facts: dict[str, Any] = {"contact": known, "owners": chosen, "properties": properties}
    facts |= {"typed": typed, "wrong": wrong or Texts(), "shown": json.dumps(before or now)}
    return visit.render("contacts/contact_edit.html", status, **facts)
