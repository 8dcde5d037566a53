"""The plan of a sync: what a run would do, field by field, without a request; a first run is let go from here."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from starlette.responses import Response, StreamingResponse

from tidegate.errors import HubBusy, SyncUnknown, TidegateError, UsageError
from tidegate.outbound import pausing, syncs
from tidegate.web.pages import Page, Visit
from tidegate.web.wording import sync_page
from tidegate.workflows.outbound import plan_apart
from tidegate.workflows.outbound.plan_apart import Where
from tidegate.workflows.outbound.sync_plan import Part

TOLD = {
    "create": "Create",
    "update": "Update",
    "replace": "Replace prices",
    "delete": "Delete",
    "held": "Held",
    "skip": "Skipped",
    "conflict": "Conflict",
    "invalid": "Invalid",
    "nothing": "As wanted",
    "gone": "Gone, nothing to do",
    "finish": "Finish drafts",
    "retire": "Archive old prices",
}
"""The kinds of decisions, in the order and words in which they are shown."""
SENT = ("create", "update", "replace", "delete", "finish", "retire")
CHUNK = 1 << 16


def shown(visit: Visit) -> Response:
    """Makes the plan and shows it: nothing changes, but that it is remembered, so there is nothing to go back to."""
    key = visit.request.path_params["key"]
    try:
        found = _planned(visit, key)
    except SyncUnknown:
        raise
    except TidegateError as error:
        status = 503 if isinstance(error, HubBusy) else 422
        return visit.render("outbound/plan.html", status, sync=key, plan=None, why=str(error))
    with visit.hub.engine.connect() as db:
        first, own = syncs.is_first(db, syncs.sync(db, key)), syncs.is_own(db, key)
        paused = pausing.paused(db)
    sends = sum(found["counts"].get(kind, 0) for kind in SENT)
    facts: dict[str, Any] = {"told": TOLD, "first": first, "paused": paused, "sends": sends, "own": own}
    facts["part"] = {name: visit.form[name] for name in ("only", "limit", "full") if visit.form.get(name)}
    return visit.render("outbound/plan.html", sync=key, plan=found, why="", **facts)


def every_decision(visit: Visit) -> Response:
    """The same plan with every decision, or every one of a kind, as JSON by line."""
    key, kind = visit.request.path_params["key"], visit.form.get("kind", "")
    if kind and kind not in TOLD:
        raise UsageError(problem=f"Nothing is decided as {kind[:40]!r}, but as {', '.join(TOLD)}.")
    with tempfile.TemporaryDirectory(prefix="tidegate-plan-") as folder:
        file = Path(folder, "plan.json")
        _planned(visit, key, file, kind)
        opened = file.open("rb")  # it is read from while its name is gone
    name = f"plan-of-{key}-{kind}" if kind else f"plan-of-{key}"
    headers = {"Content-Disposition": f'attachment; filename="{name}.jsonl"'}
    return StreamingResponse(_sent(opened), media_type="application/jsonl; charset=utf-8", headers=headers)


PAGES = (
    Page("/syncs/{key:str}/plan", lambda visit: visit.go(sync_page(visit.request.path_params["key"]))),
    Page("/syncs/{key:str}/plan", shown, "operate", "POST"),
    Page("/syncs/{key:str}/plan.jsonl", every_decision, "operate", "POST"),
)


def _planned(visit: Visit, key: str, file: Path | None = None, kind: str = "") -> dict[str, Any]:
    hub, only, limit = visit.hub, visit.form.get("only", ""), visit.form.get("limit", "")
    with hub.engine.connect() as db:
        syncs.sync(db, key)
    part = Part((only,) if only else None, int(limit) if limit.isdecimal() and int(limit) else None,
                full=bool(visit.form.get("full")))  # fmt: skip
    where = Where(hub.database_url, hub.settings.secret_key.get_secret_value(), hub.settings.home)
    return plan_apart.plan(where, key, part, visit.actor, file, kind)


def _sent(opened: BinaryIO) -> Iterator[bytes]:
    with opened:
        while some := opened.read(CHUNK):
            yield some
