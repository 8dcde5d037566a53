"""The page of data quality: what makes figures doubtful, object by object, where it is in Stripe and what to do."""

from datetime import UTC, datetime

from starlette.responses import Response

from tidegate.revenue import quality
from tidegate.web import csv_answers
from tidegate.web.choosing import account
from tidegate.web.pages import Page, Visit
from tidegate.web.revenue.asked import said, with_ledger
from tidegate.workflows.revenue.data_quality import data_quality


def shown(visit: Visit) -> Response:
    """The checks, and what one of them finds."""
    wanted = quality.known(visit.request.query_params.get("check") or None)
    found = visit.report("quality", {"connection": account(visit).name})
    failing = [one["check"] for one in found["checks"] if one["objects"]]
    check = wanted or (failing[0] if failing else "")
    objects = found["objects"].get(check, [])
    about = next((one for one in found["checks"] if one["check"] == check), None)
    more = about["objects"] - len(objects) if about else 0
    facts = {"checks": found["checks"], "about": about, "objects": objects, "more": more}
    return visit.render("revenue/quality.html", **facts, **said(visit))


def exported(visit: Visit) -> Response:
    """Everything that the checks find, or that one of them does, as CSV."""
    wanted = quality.known(visit.request.query_params.get("check") or None)
    with visit.hub.engine.connect() as db:
        found = data_quality(db, account(visit), datetime.now(UTC))["objects"]
    rows = (one for one in found if wanted in {None, one["check"]})
    return csv_answers.answer("data-quality", ("check", "object", "id", "name", "detail", "link"), rows)


PAGES = (
    Page("/revenue/quality", with_ledger("Data quality", shown), "revenue"),
    Page("/revenue/quality.csv", exported, "revenue"),
)
