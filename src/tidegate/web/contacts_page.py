"""The pages of contacts: a table of all, narrowed down and exported, and everything of one, with why."""

from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from tidegate.contacts import directory
from tidegate.errors import TidegateError
from tidegate.lifecycle import listing, notes, roster, timeline
from tidegate.web import csv_answers
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.wording import contact_page, mrr
from tidegate.workflows.contacts import contacts
from tidegate.workflows.entitlements.entitlements import Check, check, with_names
from tidegate.workflows.lifecycle.lifecycle import now

ROWS = 50
NARROWED_BY = ("search", "stage", "segment", "package", "owner")
EXPORTED = (
    "contact", "name", "email", "owner", "stage", "segments", "packages", "status", "mrr", "health",
    "renews_at", "ends_at", "open_alerts",
)  # fmt: skip
HAPPENED = 25
"""Rows of a timeline that are shown at once."""


def table(visit: Visit) -> Response:
    """A page of contacts; htmx, which asks while one types, gets the table alone."""
    asked = visit.request.query_params
    number = int(asked["page"]) if asked.get("page", "").isdecimal() else 1
    sort = asked.get("sort", "") or "mrr"
    part = visit.request.headers.get("hx-target") == "contacts"
    with visit.hub.engine.connect() as db:
        wanted = _wanted(visit)
        rows = roster.page(db, wanted, sort=sort, skip=(max(1, number) - 1) * ROWS, limit=ROWS)
        found = roster.total(db, wanted)
        choices = {} if part else roster.choices(db, wanted.livemode)
    said = {name: asked[name] for name in (*NARROWED_BY, "connection") if asked.get(name)}
    facts: dict[str, Any] = {
        "rows": rows,
        "total": found,
        "page": number,
        "pages": max(1, -(-found // ROWS)),
        "sort": sort,
    }
    facts |= {"query": urlencode(said), "narrowed": Texts(said), "choices": choices, "sorts": tuple(roster.SORTS)}
    return visit.render("parts/contacts.html" if part else "contacts.html", **facts)


def exported(visit: Visit) -> Response:
    """The whole table, narrowed down as the page was, as CSV."""
    wanted, sort = _wanted(visit), roster.known(visit.request.query_params.get("sort", "") or "mrr")
    return csv_answers.answer("contacts", EXPORTED, _exported(visit, wanted, sort))


def one(visit: Visit) -> Response:
    """Everything of a contact."""
    return _shown(visit)


def write_note(visit: Visit) -> Response:
    """Puts a note on the contact's timeline."""
    said = visit.form.get("note", "")
    if not said:
        return _shown(visit, 422, wrong=Texts(note="Write something."))
    with visit.hub.engine.begin() as db:
        contact = directory.find(db, _livemode(visit), visit.request.path_params["contact"])
        notes.write(db, contact, said, visit.actor, now(db))
    return visit.go(contact_page(contact.ref))


def happened(visit: Visit) -> Response:
    """More of a contact's timeline, older than what is shown."""
    with visit.hub.engine.connect() as db:
        contact = directory.find(db, _livemode(visit), visit.request.path_params["contact"])
        after = visit.request.query_params.get("after", "")
        told = timeline.page(db, contact, after=after, limit=HAPPENED)
    return visit.render("parts/timeline.html", contact=contact.ref, timeline=told)


PAGES = (
    Page("/contacts", table),
    Page("/contacts.csv", exported),
    Page("/timelines/{contact:path}", happened),
    Page("/notes/{contact:path}", write_note, "operate", "POST"),
    Page("/contacts/{contact:path}", one),
)


def _livemode(visit: Visit) -> bool:
    return visit.hub.livemode(visit.request.query_params.get("connection") or None)


def _wanted(visit: Visit) -> roster.Wanted:
    asked = visit.request.query_params
    return roster.Wanted(_livemode(visit), **{name: asked.get(name, "") for name in NARROWED_BY})


def _shown(visit: Visit, status: int = 200, wrong: Texts | None = None) -> Response:
    livemode = _livemode(visit)
    with visit.hub.engine.connect() as db:
        contact = directory.find(db, livemode, visit.request.path_params["contact"])
        facts: dict[str, Any] = {
            "contact": contacts.shown(db, contact),
            "timeline": timeline.page(db, contact, limit=HAPPENED),
            "health": listing.health(db, contact.key),
            "row": roster.one(db, contact.key),
        }
        [may_use] = check(visit.hub.engine, [Check(livemode, contact.ref, None)])
        if isinstance(may_use, TidegateError):
            raise may_use
        facts["features"] = with_names(db, may_use)["features"]
    return visit.render("contact.html", status, wrong=wrong or Texts(), typed=Texts(visit.form), **facts)


def _exported(visit: Visit, wanted: roster.Wanted, sort: str) -> csv_answers.Rows:
    with visit.hub.engine.connect() as db:
        for row in roster.every(db, wanted, sort=sort):
            yield row | {"mrr": mrr(row["mrr"])}
