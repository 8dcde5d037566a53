"""The page of digests: who is sent one and when, what the next would say, and those that were made."""

from urllib.parse import urlencode

from starlette.responses import Response

from tidegate.lifecycle import digests
from tidegate.lifecycle.digest_periods import Every
from tidegate.web.pages import Page, Visit
from tidegate.workflows.lifecycle.lifecycle import now
from tidegate.workflows.operation.watch import preview_digest

MADE = 50
EVERY: dict[str, Every] = {"daily": "daily", "weekly": "weekly"}


def listing(visit: Visit) -> Response:
    """Recipients, a preview of the one that is asked for, and what was made."""
    asked = visit.request.query_params
    every = EVERY.get(asked.get("every", ""))
    shown = preview_digest(visit.hub.engine, asked.get("owner", "")[:200], every) if every else None
    with visit.hub.engine.connect() as db:
        as_of = now(db)
        recipients = [
            {"one": one, "next": one.next_after(as_of), "query": urlencode({"owner": one.key, "every": one.every})}
            for one in digests.recipients(db)
        ]
        made = digests.listing(db, limit=MADE)
    return visit.render("digests.html", recipients=recipients, made=made, preview=shown)


PAGES = (Page("/digests", listing),)
