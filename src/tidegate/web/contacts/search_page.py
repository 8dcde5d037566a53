"""The search that stands on every page: contacts, and what Stripe's ids are of."""

from starlette.responses import Response

from tidegate.contacts import finding
from tidegate.web.choosing import livemode_if_any
from tidegate.web.pages import Page, Visit

FOUND = 8
"""Results that are shown while one types."""
MOST_FOUND = 50


def search(visit: Visit) -> Response:
    """What is found; htmx, which asks while one types, gets the list alone."""
    said = visit.request.query_params.get("q", "").strip()
    part = visit.request.headers.get("hx-target") == "found"
    found, mode = [], livemode_if_any(visit)
    if mode is not None:
        with visit.hub.engine.connect() as db:
            found = finding.find(db, mode, said, limit=FOUND if part else MOST_FOUND)
    template = "parts/found.html" if part else "contacts/search.html"
    return visit.render(template, said=said, found=found, long_enough=len(said) >= finding.SHORTEST)


PAGES = (Page("/search", search),)
