"""The pages of the inbox: events of Stripe that wait or failed, with the reason; tried again, or given up."""

import json
from typing import Any
from urllib.parse import quote, urlencode

from starlette.responses import Response

from tidegate.mirror import inbox
from tidegate.web import csv_answers
from tidegate.web.chosen import chosen, shown
from tidegate.web.mirror.mirror_page import said
from tidegate.web.pages import Page, Texts, Visit, page_number
from tidegate.workflows.mirror import events_by_hand

EVENTS = 100
"""Events of a page."""
EXPORTED = ("event_id", "type", "state", "source", "created", "received_at", "attempts", "next_try_at", "error")
STATES = {"": "waiting or parked", "waiting": "waiting", "parked": "parked"}


def events(visit: Visit) -> Response:
    """Events that are not handled yet, the newest first."""
    return _events(visit)


def exported(visit: Visit) -> Response:
    """All of them as CSV, narrowed down as the page was."""
    account, state = shown(visit), visit.request.query_params.get("state", "")
    with visit.hub.engine.connect() as db:
        rows = inbox.listing(db, account.name, state if state in STATES and state else None, None)
    return csv_answers.answer("inbox", EXPORTED, (dict(row) for row in rows))


def find(visit: Visit) -> Response:
    """Leads to one event, whatever became of it."""
    account, event = shown(visit), visit.request.query_params.get("event", "").strip()
    with visit.hub.engine.connect() as db:
        found = inbox.show(db, account.name, event) is not None
    if found:
        return _back(visit, account.name, event)
    wrong = f"{account.name} was sent no such event." if event else "Give an id, evt_…."
    return _events(visit, 422, wrong=Texts(event=wrong), typed=Texts(event=event))


def one(visit: Visit) -> Response:
    """What became of an event, and its body."""
    account = shown(visit, visit.request.path_params["connection"])
    with visit.hub.engine.connect() as db:
        row = events_by_hand.show(db, account.name, visit.request.path_params["event"])
    return visit.render("mirror/event.html", account=account, event=row, body=_body(row["body"]))


def replay(visit: Visit) -> Response:
    """Lets a worker handle an event again, or all that are parked."""
    account, event = shown(visit), visit.form.get("event", "")
    events_by_hand.replay(visit.hub.engine, account.name, [event] if event else None, visit.actor)
    return _back(visit, account.name, event)


def discard(visit: Visit) -> Response:
    """Gives an event up that waits or is parked; trying it again takes that back."""
    account, event = shown(visit), visit.form.get("event", "")
    events_by_hand.discard(visit.hub.engine, account.name, [event], visit.actor)
    return _back(visit, account.name, event)


PAGES = (
    Page("/inbox", events),
    Page("/inbox.csv", exported),
    Page("/inbox/find", find),
    Page("/inbox/replay", replay, "operate", "POST"),
    Page("/inbox/discard", discard, "operate", "POST"),
    Page("/inbox/{connection}/{event}", one),
)


def _events(visit: Visit, status: int = 200, **told: Any) -> Response:
    found, state = chosen(visit), visit.request.query_params.get("state", "")
    facts: dict[str, Any] = {"chosen": found, "states": STATES, "state": state if state in STATES else ""}
    if found.account is not None:
        with visit.hub.engine.connect() as db:
            number, name = page_number(visit), found.account.name
            rows = inbox.listing(db, name, facts["state"] or None, EVENTS + 1, (number - 1) * EVENTS)
            facts |= {"events": rows[:EVENTS], "page": number, "more": len(rows) > EVENTS}
            facts["summary"] = inbox.summary(db, found.account.name)
    return visit.render("mirror/inbox.html", status, **facts, **{"wrong": Texts(), "typed": Texts(), **told})


def _back(visit: Visit, connection: str, event: str) -> Response:
    return visit.go(
        f"/inbox/{connection}/{quote(event, safe='')}" if event else f"/inbox?{urlencode({'connection': connection})}"
    )


def _body(text: str) -> str:
    """The event as people read it; one that came cut off as it is."""
    try:
        return said(json.loads(text))
    except ValueError:
        return text
