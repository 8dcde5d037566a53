"""What people give a contact beside Stripe, on the page: a package, or a feature on terms of its own; and its end."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from starlette.responses import Response

from tidegate.catalog import features, packages
from tidegate.catalog.terms import RESETS
from tidegate.errors import CatalogInvalid, CatalogUnknown, TermsInvalid
from tidegate.web.catalog import terms_form
from tidegate.web.contacts.contact_page import found
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.wording import contact_page
from tidegate.workflows.entitlements import entitlements


def form(visit: Visit) -> Response:
    """What is to be given, until when and why."""
    return _form(visit)


def give(visit: Visit) -> Response:
    """Gives a package, or a feature."""
    said = visit.form
    kind, _, key = said.get("target", "").partition(":")
    if kind not in ("package", "feature") or not key:
        return _form(visit, 422, Texts(target="Choose a package or a feature."))
    if not said.get("reason"):
        return _form(visit, 422, Texts(reason="Say why: it is shown with every answer that it counts in."))
    try:
        expires_at = _end_of(said.get("until", ""))
    except (ValueError, OverflowError):
        return _form(visit, 422, Texts(until="A day is written such as 2026-03-01."))
    with visit.hub.engine.connect() as db:
        contact = found(visit, db)
        known = {row["key"]: row["type"] for row in features.every(db)}
    what: dict[str, Any] = {kind: key, "reason": said["reason"], "expires_at": expires_at}
    try:
        if kind == "feature" and key in known:
            what["terms"] = terms_form.checked(key, known[key], *(said.get(n, "") for n in ("limit", "value", "reset")))
        what["operation"] = "replace" if said.get("operation") == "replace" else "add"
        entitlements.give(visit.hub.engine, contact.livemode, contact.ref, by=visit.actor, **what)
    except TermsInvalid as error:
        field = "value" if known.get(key) == "config" else "limit"
        return _form(visit, 422, Texts({field: str(error.facts["problem"]).capitalize()}))
    except (CatalogInvalid, CatalogUnknown) as error:
        return _form(visit, 422, Texts({"until" if "end" in str(error) else "target": str(error)}))
    return visit.go(contact_page(contact.ref))


def revoke(visit: Visit) -> Response:
    """Ends what was given, at once."""
    number = visit.form.get("number", "")
    with visit.hub.engine.connect() as db:
        contact = found(visit, db)
    chosen = int(number) if number.isdecimal() else 0
    entitlements.revoke(visit.hub.engine, contact.livemode, chosen, visit.actor, contact=contact.ref)
    return visit.go(contact_page(contact.ref))


PAGES = (
    Page("/contacts/override/{contact:path}", form, "operate"),
    Page("/contacts/override/{contact:path}", give, "operate", "POST"),
    Page("/contacts/revoke/{contact:path}", revoke, "operate", "POST"),
)


def _end_of(day: str) -> datetime | None:
    """The end of a day, UTC: who has something until then has it on that day, too. Raises ValueError, OverflowError."""
    if not day:
        return None
    last = date.fromisoformat(day)
    return datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)


def _form(visit: Visit, status: int = 200, wrong: Texts | None = None) -> Response:
    with visit.hub.engine.connect() as db:
        facts = {
            "contact": found(visit, db),
            "features": features.every(db),
            "packages": packages.every(db),
        }
    typed = Texts(visit.form or {name: visit.request.query_params.get(name, "") for name in ("target",)})
    return visit.render(
        "contacts/contact_override.html", status, typed=typed, wrong=wrong or Texts(), resets=RESETS, **facts
    )
