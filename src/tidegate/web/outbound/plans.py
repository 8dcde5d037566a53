"""The plan of a sync: what a run would do, field by field, without a request; a first run is let go from here."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from starlette.responses import Response, StreamingResponse

from tidegate.errors import HubBusy, PlanStale, SyncUnknown, TidegateError, UsageError
from tidegate.outbound import pausing, syncs
from tidegate.web.outbound import parts
from tidegate.web.outbound.syncs import shown as sync_shown
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
    part, wrong = parts.read(visit.form)
    if wrong:
        return sync_shown(visit, 422, wrong=wrong)
    typed = parts.typed(visit.form)
    try:
        found = _planned(visit, key, part)
    except SyncUnknown:
        raise
    except TidegateError as error:
        status = 503 if isinstance(error, HubBusy) else 422
        return visit.render("outbound/plan.html", status, sync=key, plan=None, why=str(error), part=typed)
    with visit.hub.engine.connect() as db:
        first, own = syncs.is_first(db, syncs.sync(db, key)), syncs.is_own(db, key)
        paused = pausing.paused(db)
    sends = sum(found["counts"].get(kind, 0) for kind in SENT)
    facts: dict[str, Any] = {"told": TOLD, "first": first, "paused": paused, "sends": sends, "own": own}
    facts["part"] = typed
    return visit.render("outbound/plan.html", sync=key, plan=found, why="", **facts)


def every_decision(visit: Visit) -> Response:
    """The same plan with every decision, or every one of a kind, as JSON by line: made anew, and refused where it would
    do something else than the one that was shown (`fingerprint`). Raises PlanStale.
    """
    key, kind = visit.request.path_params["key"], visit.form.get("kind", "")
    if kind and kind not in TOLD:
        raise UsageError(problem=f"Nothing is decided as {kind[:40]!r}, but as {', '.join(TOLD)}.")
    part, wrong = parts.read(visit.form)
    if wrong:
        raise UsageError(problem=wrong["limit"])
    with tempfile.TemporaryDirectory(prefix="tidegate-plan-") as folder:
        file = Path(folder, "plan.json")
        made = _planned(visit, key, part, file, kind)
        if (shown := visit.form.get("fingerprint")) and shown != made["fingerprint"]:
            raise PlanStale(plan="that is shown", sync=key, problem="what it was made of changed since")
        opened = file.open("rb")  # it is read from while its name is gone
    name = f"plan-of-{key}-{kind}" if kind else f"plan-of-{key}"
    headers = {"Content-Disposition": f'attachment; filename="{name}.jsonl"'}
    return StreamingResponse(_sent(opened), media_type="application/jsonl; charset=utf-8", headers=headers)


PAGES = (
    Page("/syncs/{key:str}/plan", lambda visit: visit.go(sync_page(visit.request.path_params["key"]))),
    Page("/syncs/{key:str}/plan", shown, "operate", "POST"),
    Page("/syncs/{key:str}/plan.jsonl", every_decision, "operate", "POST"),
)


def _planned(visit: Visit, key: str, part: Part, file: Path | None = None, kind: str = "") -> dict[str, Any]:
    hub = visit.hub
    with hub.engine.connect() as db:
        syncs.sync(db, key)
    where = Where(hub.database_url, hub.settings.secret_key.get_secret_value(), hub.settings.home)
    return plan_apart.plan(where, key, part, visit.actor, file, kind)


def _sent(opened: BinaryIO) -> Iterator[bytes]:
    with opened:
        while some := opened.read(CHUNK):
            yield some
