"""The page of the audit log: who changed what, narrowed down, and as CSV."""

from urllib.parse import urlencode

from starlette.responses import Response

from tidegate.web import csv_answers
from tidegate.web.pages import Page, Texts, Visit
from tidegate.workflows.operation import audit_trail
from tidegate.workflows.operation.audit_trail import LOGS, Wanted

NARROWED_BY = ("actor", "action", "subject", "log")
EXPORTED = ("at", "log", "actor", "action", "subject", "detail")
ROWS = 50


def table(visit: Visit) -> Response:
    """A page of changes."""
    wanted, said = _wanted(visit)
    with visit.hub.engine.connect() as db:
        rows, after = audit_trail.page(db, wanted, after=visit.request.query_params.get("after", ""), limit=ROWS)
    more = urlencode(said | {"after": after}) if after else ""
    return visit.render(
        "settings/audit_log.html", rows=rows, more=more, narrowed=Texts(said), query=urlencode(said), logs=LOGS
    )


def exported(visit: Visit) -> Response:
    """All of them, narrowed down as the page was, as CSV."""
    wanted, _ = _wanted(visit)

    def rows() -> csv_answers.Rows:
        with visit.hub.engine.connect() as db:
            yield from audit_trail.every(db, wanted)

    return csv_answers.answer("audit-log", EXPORTED, rows())


PAGES = (Page("/audit-log", table, "admin"), Page("/audit-log.csv", exported, "admin"))


def _wanted(visit: Visit) -> tuple[Wanted, dict[str, str]]:
    asked = visit.request.query_params
    said = {name: asked[name].strip()[:200] for name in NARROWED_BY if asked.get(name, "").strip()}
    if said.get("log") not in LOGS:
        said.pop("log", None)
    return Wanted(**said), said
