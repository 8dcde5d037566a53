"""What ends a contact on the page: merging it with another, parting them again, and forgetting a person."""

from typing import Any

from starlette.responses import Response

from tidegate.contacts import listing as contact_listing
from tidegate.contacts.listing import Filter
from tidegate.contacts.words import merge_in_words
from tidegate.errors import (
    ChangeUnknown,
    ContactAmbiguous,
    ContactInvalid,
    ContactUnknown,
    PreviewStale,
    SyncRunning,
)
from tidegate.web.choosing import livemode
from tidegate.web.contacts.contact_page import found, shown
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.previews import Asked, confirming, previewed
from tidegate.web.wording import contact_page
from tidegate.workflows.contacts import contacts_forget, contacts_merge

OFFERED = 20
"""Contacts that a search for the other one shows."""


def search(visit: Visit) -> Response:
    """Finds the contact that is the same."""
    return _search(visit)


def merge(visit: Visit) -> Response:
    """Shows what moves when another contact becomes part of this one, and moves it."""
    other = visit.form.get("other", "")
    if not other:
        return _search(visit, 422, "Choose the other contact.")
    try:
        with visit.hub.engine.connect() as db:
            kept = found(visit, db)
        change = contacts_merge.merged(kept.livemode, kept.ref, other, visit.actor)
        asked = Asked(f"{other} becomes part of {kept.ref}", "Merge them", contact_page(kept.ref), _moves)
        return previewed(visit, change, asked)
    except (ContactInvalid, ContactUnknown, ContactAmbiguous) as error:
        return _search(visit, 422, str(error))


def unmerge(visit: Visit) -> Response:
    """Shows what parting two contacts gives back, and parts them."""
    number = visit.form.get("merge", "")
    with visit.hub.engine.connect() as db:
        kept = found(visit, db)
    asked = Asked("Two contacts again", "Part them", contact_page(kept.ref), _parts)
    try:
        change = contacts_merge.unmerged(int(number) if number.isdecimal() else 0, visit.actor, of=kept.key)
        return previewed(visit, change, asked)
    except (ChangeUnknown, ContactInvalid) as error:
        return shown(visit, 422, Texts(merged=str(error)))


def forget(visit: Visit) -> Response:
    """Shows what is erased of a person for good, and erases it."""
    ref, token = visit.request.path_params["contact"], visit.form.get("token")
    engine, mode, stale = visit.hub.engine, livemode(visit), ""
    try:
        if token:
            try:
                done = contacts_forget.forget(engine, mode, ref, visit.actor, only_preview=False, token=token)
                return visit.go(contact_page(done.contact or ref))
            except PreviewStale as error:
                stale = str(error)
        found = contacts_forget.forget(engine, mode, ref, visit.actor, only_preview=True)
    except (ContactInvalid, SyncRunning) as error:
        return shown(visit, 422, Texts(forget=str(error)))
    asked = Asked(f"Forget {ref}", "Forget this person for good", contact_page(ref), grave=True)
    told = ["What Stripe tells later is redacted as it comes in; amounts and Stripe's ids stay. It cannot be undone."]
    if found.customers:
        told.append(f"Its customers: {', '.join(one['customer'] for one in found.customers)}.")
    return confirming(visit, asked, found.token, told=told, stale=stale, counted=list(found.rows.items()))


PAGES = (
    Page("/contacts/merge/{contact:path}", search, "operate"),
    Page("/contacts/merge/{contact:path}", merge, "operate", "POST"),
    Page("/contacts/unmerge/{contact:path}", unmerge, "operate", "POST"),
    Page("/contacts/forget/{contact:path}", forget, "admin", "POST"),
)


def _moves(result: dict[str, Any]) -> list[str]:
    return [*merge_in_words(result, done=False), "They can be parted again, and what came since stays here."]


def _parts(result: dict[str, Any]) -> list[str]:
    told = f"{result['kept']} and {result['other']} would be two contacts again."
    return [told, *(f"Not given back: {one}." for one in result["stayed"])]


def _search(visit: Visit, status: int = 200, refused: str = "") -> Response:
    said = visit.request.query_params.get("q", "").strip()
    with visit.hub.engine.connect() as db:
        contact = found(visit, db)
        wanted = Filter(contact.livemode, contact.kind, said)
        rows = contact_listing.listing(db, wanted, limit=OFFERED + 1) if said else []
    others = [row for row in rows if row["key"] != contact.key]
    facts = {"contact": contact, "others": others[:OFFERED], "more": len(others) > OFFERED, "said": said}
    return visit.render("contacts/contact_merge.html", status, refused=refused, **facts)
