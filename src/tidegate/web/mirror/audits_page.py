"""The pages of audits: what comparing the mirror with Stripe found, and one that is asked for and watched."""

from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from tidegate.connections import runs
from tidegate.errors import ConnectionDisconnected, RunUnknown
from tidegate.mirror.compare import FINDINGS
from tidegate.web import csv_answers
from tidegate.web.chosen import chosen, shown
from tidegate.web.mirror.mirror_page import TABLES
from tidegate.web.pages import Page, Visit
from tidegate.workflows import doorbell
from tidegate.workflows.mirror import audit

AUDITS = 20
"""The newest audits that the page shows."""
EXPORTED = ("id", "state", "started_at", "finished_at", "options", "summary", "error")
MEANT = {
    "missing": "in Stripe only",
    "vanished": "in the mirror only",
    "stale": "with other content than in Stripe",
    "incomplete": "without some of what is inside them",
    "columns": "whose columns do not say what their JSON says",
    "orphans": "inside of what is not there",
    "dangling": "named, in Stripe, and not mirrored",
}


def audits(visit: Visit) -> Response:
    """The last audits of a connection."""
    return _audits(visit)


def exported(visit: Visit) -> list[dict[str, Any]]:
    """All audits of a connection that are kept, the newest first."""
    with visit.hub.engine.connect() as db:
        return [dict(row) for row in runs.listing(db, shown(visit).name, audit.KIND, None)]


def ask(visit: Visit) -> Response:
    """Lets a worker audit everything."""
    account = shown(visit)
    try:
        audit.ask(visit.hub.engine, account, visit.actor)
    except ConnectionDisconnected as error:
        return _audits(visit, 422, refused=str(error))
    return visit.go(f"/audits?{urlencode({'connection': account.name})}")


def one(visit: Visit) -> Response:
    """What an audit found, resource by resource."""
    number = int(visit.request.path_params["run"])
    with visit.hub.engine.connect() as db:
        run = runs.find(db, number) if number < 2**63 else None
        if run is None or run["kind"] != audit.KIND:
            raise RunUnknown(id=number)
        verdicts = audit.verdicts(db, number)
    resources = [each for each in verdicts if "check" not in each["facts"]]
    checks = [each["facts"] for each in verdicts if "check" in each["facts"]]
    tables = {one.name: table for table, one in TABLES.items() if not one.parent}
    facts: dict[str, Any] = {"run": run, "resources": resources, "checks": checks, "tables": tables, "meant": MEANT}
    return visit.render("mirror/audit.html", findings=FINDINGS, **facts)


PAGES = (
    Page("/audits", audits),
    Page("/audits.csv", csv_answers.of("audits", EXPORTED, exported)),
    Page("/audits", ask, "operate", "POST"),
    Page("/audits/{run:int}", one),
)


def _audits(visit: Visit, status: int = 200, refused: str = "") -> Response:
    """The page; htmx, which asks again while one is under way, gets the table alone."""
    found = chosen(visit)
    facts: dict[str, Any] = {"chosen": found, "refused": refused, "audits": [], "asked": False, "verdicts": []}
    if found.account is not None:
        with visit.hub.engine.connect() as db:
            facts["audits"] = runs.listing(db, found.account.name, audit.KIND, AUDITS)
            facts["asked"] = doorbell.waits(db, audit.KIND, found.account.name)
    part = visit.request.headers.get("hx-target") == "audits"
    return visit.render("parts/audits.html" if part else "mirror/audits.html", status, **facts)
