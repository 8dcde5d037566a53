"""The page of digests: who is sent one and when, what the next would say, and those that were made."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.responses import Response

from tidegate.delivery import stored
from tidegate.errors import DestinationUnknown, LifecycleInvalid, ManagedByFile, OwnerUnknown
from tidegate.lifecycle import digests, owners, routes
from tidegate.lifecycle.digest_periods import Every
from tidegate.lifecycle.routes import TAKING, Digest
from tidegate.web import csv_answers
from tidegate.web.pages import Page, Texts, Visit
from tidegate.workflows.lifecycle import people
from tidegate.workflows.lifecycle.lifecycle import now
from tidegate.workflows.operation.watch import preview_digest

MADE = 50
TOGETHER = 1_000
"""Digests that are read at once for a file."""
EVERY: dict[str, Every] = {"daily": "daily", "weekly": "weekly"}


def listing(visit: Visit) -> Response:
    """Recipients, a preview of the one that is asked for, and what was made."""
    asked = visit.request.query_params
    every = EVERY.get(asked.get("every", ""))
    shown = preview_digest(visit.hub.engine, asked.get("owner", "")[:200], every) if every else None
    return _page(visit, preview=shown)


def put(visit: Visit) -> Response:
    """Says how often somebody is sent one and by what; never: that is over."""
    form = visit.form
    every, owner = form.get("every", ""), form.get("owner", "")
    if every not in {"", *EVERY}:
        return _page(visit, 422, wrong=Texts(every="It is daily, weekly or never."))
    destination = form.get("destination", "")
    if every and not destination and not owner:
        return _page(visit, 422, wrong=Texts(destination="Say by which destination."))
    try:
        people.set_digest(visit.hub.engine, owner, cast("Digest", every), destination, visit.actor)
    except OwnerUnknown as error:
        return _page(visit, 422, wrong=Texts(owner=str(error)))
    except (LifecycleInvalid, DestinationUnknown) as error:
        return _page(visit, 422, wrong=Texts(destination=str(error)))
    except ManagedByFile as error:
        return _page(visit, 409, wrong=Texts(owner=str(error)))
    return visit.go("/digests")


def send(visit: Visit) -> Response:
    """Sends somebody's digest now."""
    try:
        people.send_digest(visit.hub.engine, visit.form.get("owner", ""), visit.actor)
    except (OwnerUnknown, LifecycleInvalid) as error:
        return _page(visit, 422, wrong=Texts(send=str(error)))
    return visit.go("/digests")


def exported(visit: Visit) -> Response:
    """All digests that were made, as CSV, the newest first."""

    def rows() -> csv_answers.Rows:
        before: tuple[datetime, str] | None = None
        with visit.hub.engine.connect() as db:
            while found := digests.listing(db, limit=TOGETHER, before=before):
                yield from found
                before = found[-1]["made_at"], found[-1]["recipient"]

    return csv_answers.answer("digests", ("made_at", "recipient", "period", "since", "until", "destination"), rows())


PAGES = (
    Page("/digests", listing),
    Page("/digests.csv", exported),
    Page("/digests", put, "admin", "POST"),
    Page("/digests/send", send, "operate", "POST"),
)


def _page(visit: Visit, status: int = 200, **told: Any) -> Response:
    with visit.hub.engine.connect() as db:
        as_of = now(db)
        managed = owners.managed(db) | {"": routes.managed_by(db)}
        recipients = [
            {
                "one": one,
                "next": one.next_after(as_of),
                "query": urlencode({"owner": one.key, "every": one.every}),
                "managed": managed.get(one.key, ""),
            }
            for one in digests.recipients(db)
        ]
        facts: dict[str, Any] = {"made": digests.listing(db, limit=MADE), **_choices(db, managed)}
    facts |= {"preview": None, "wrong": Texts(), "typed": Texts(visit.form), **told}
    return visit.render("settings/digests.html", status, recipients=recipients, **facts)


def _choices(db: Connection, managed: Mapping[str, str]) -> dict[str, Any]:
    """Of whom one may be asked for, and by which destinations it may be sent."""
    whose = [("", "everybody, by the default route"), *((one.key, one.name or one.key) for one in owners.every(db))]
    return {
        "owners": [(key, name) for key, name in whose if not managed.get(key)],
        "destinations": [one["key"] for one in stored.every(db) if one["kind"] in TAKING],
    }
