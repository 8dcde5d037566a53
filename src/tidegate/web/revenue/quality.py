"""The page of data quality: what makes figures doubtful, object by object, where it is in Stripe and what to do."""

from datetime import UTC, datetime

from starlette.responses import Response

from tidegate.revenue import quality
from tidegate.web.choosing import account
from tidegate.web.pages import Page, Visit
from tidegate.web.revenue.asked import said, with_ledger
from tidegate.workflows.revenue.data_quality import data_quality

OBJECTS = 200
"""Objects of a check that are shown."""


def shown(visit: Visit) -> Response:
    """The checks, and what one of them finds."""
    wanted = quality.known(visit.request.query_params.get("check") or None)
    of = account(visit)
    with visit.hub.engine.connect() as db:
        found = data_quality(db, of, datetime.now(UTC))
    failing = [one["check"] for one in found["checks"] if one["objects"]]
    check = wanted or (failing[0] if failing else "")
    objects = [one for one in found["objects"] if one["check"] == check]
    about = next((one for one in found["checks"] if one["check"] == check), None)
    facts = {"checks": found["checks"], "about": about, "objects": objects[:OBJECTS], "more": len(objects[OBJECTS:])}
    return visit.render("revenue/quality.html", **facts, **said(visit))


PAGES = (Page("/revenue/quality", with_ledger("Data quality", shown), "revenue"),)
