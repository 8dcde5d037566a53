"""The pages of syncs: all with their state, and one with its runs and rows; run, tried again, stopped, removed."""

from typing import Any

from starlette.responses import Response

from tidegate.errors import (
    ConnectionDisconnected,
    ManagedByFile,
    OutboundPaused,
    SyncInvalid,
    UsageError,
)
from tidegate.outbound import pausing, syncs
from tidegate.outbound.push import history
from tidegate.outbound.resources import OWN
from tidegate.web import csv_answers
from tidegate.web.outbound import parts
from tidegate.web.outbound.field_rows import HOWS, rows_of
from tidegate.web.outbound.runs import requests_kept
from tidegate.web.outbound.wizard import as_yaml
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.wording import run_page, sync_page
from tidegate.workflows.lifecycle.lifecycle import now
from tidegate.workflows.outbound import outbound_changes, sync_asking, sync_history, sync_stopping
from tidegate.workflows.outbound.run_sync import Wanted
from tidegate.workflows.outbound.sync_plan import Part

ROWS = 50
"""Rows that are not sent, of a page."""
RUNS = 20
TOGETHER = 1_000
"""Runs that are read at once for a file."""
EXPORTED = (
    "key", "model", "connection", "resource", "enabled", "rows", "last_run", "last_state", "last_finished_at", "failed",
    "next_at", "managed_by",
)  # fmt: skip
RUN = ("run", "state", "started_at", "finished_at", "counts", "sent", "failed", "error")
UNSENT = ("key", "state", "why", "problems", "object", "at")


def listing(visit: Visit) -> Response:
    """All syncs by key, and whether anything is sent at all."""
    return _list(visit)


def one(visit: Visit) -> Response:
    """A sync: what it does, its runs, and the rows that it could not send."""
    return shown(visit)


def exported(visit: Visit) -> list[dict[str, Any]]:
    """The syncs, each with its last run."""
    with visit.hub.engine.connect() as db:
        found = sync_history.brief(db)
    rows: list[dict[str, Any]] = []
    for one in found:
        last: dict[str, Any] = one["last"] or {}
        told = {"last_run": "run", "last_state": "state", "last_finished_at": "finished_at", "failed": "failed"}
        rows.append(one | {name: last.get(of) for name, of in told.items()})
    return rows


def runs_exported(visit: Visit) -> Response:
    """All runs of a sync as CSV, the newest first."""
    key = visit.request.path_params["key"]

    def rows() -> csv_answers.Rows:
        before: int | None = None
        with visit.hub.engine.connect() as db:
            while found := sync_history.listing(db, key, TOGETHER, before=before):
                yield from found
                before = found[-1]["run"]

    return csv_answers.answer(f"{key}-runs", RUN, rows())


def unsent_exported(visit: Visit) -> Response:
    """The rows that a sync could not send, all or those in one state, as CSV."""
    key, state = visit.request.path_params["key"], visit.request.query_params.get("state", "")
    with visit.hub.engine.connect() as db:
        syncs.sync(db, key)
        rows = history.unsent(db, key, state=state)
    return csv_answers.answer(f"{key}-unsent", UNSENT, iter(rows))


def run(visit: Visit) -> Response:
    """Lets a worker run it: as its plan showed, a few rows, or all that differs."""
    key, form = visit.request.path_params["key"], visit.form
    part, wrong = parts.read(form)
    if wrong:
        return shown(visit, 422, wrong=wrong)
    plan = form.get("plan", "")
    if plan and not (plan.isdecimal() and len(plan) < 19):
        return shown(visit, 422, refused="There is no such plan: plan it anew.")
    return _started(visit, key, Wanted(part, int(plan) if plan else None, bool(form.get("despite_stops"))))


def retry(visit: Visit) -> Response:
    """Tries rows again that were not sent, or one row also if it was."""
    key, row = visit.request.path_params["key"], visit.form.get("row", "")
    keys = (row,) if row else sync_history.to_retry(visit.hub.engine, key)
    if not keys:
        return shown(visit, 422, refused="No row failed, is invalid, held or in conflict.")
    return _started(visit, key, Wanted(Part(keys, full=bool(row), if_there=not row)))


def cancel(visit: Visit) -> Response:
    """Asks the run under way to stop after its requests under way."""
    key = visit.request.path_params["key"]
    try:
        number = sync_stopping.cancel(visit.hub.engine, key, visit.actor)
    except UsageError as error:
        if type(error) is not UsageError:
            raise
        return shown(visit, 422, refused=str(error))
    return visit.go(run_page(key, number) if number is not None else sync_page(key))


def remove(visit: Visit) -> Response:
    """Removes a sync with what it knows of its rows; the objects in Stripe stay."""
    key = visit.request.path_params["key"]
    try:
        with visit.hub.engine.begin() as db:
            outbound_changes.remove(db, "syncs", key, visit.actor)
    except (ManagedByFile, SyncInvalid) as error:
        return shown(visit, 422, refused=str(error))
    return visit.go("/syncs")


def reset(visit: Visit) -> Response:
    """Forgets what was sent of its rows, so that the next run matches all of them anew."""
    key = visit.request.path_params["key"]
    try:
        sync_history.reset(visit.hub.engine, key, visit.actor)
    except SyncInvalid as error:
        return shown(visit, 422, refused=str(error))
    return visit.go(sync_page(key))


def pause(visit: Visit) -> Response:
    """Lets nothing be sent to Stripe from now on."""
    with visit.hub.engine.begin() as db:
        outbound_changes.pause(db, visit.actor)
    return visit.go("/syncs")


def resume(visit: Visit) -> Response:
    """Lets syncs run again."""
    with visit.hub.engine.begin() as db:
        outbound_changes.resume(db, visit.actor)
    return visit.go("/syncs")


PAGES = (
    Page("/syncs", listing),
    Page("/syncs.csv", csv_answers.of("syncs", EXPORTED, exported)),
    Page("/syncs/{key:str}/runs.csv", runs_exported),
    Page("/syncs/-/pause", pause, "operate", "POST"),
    Page("/syncs/-/resume", resume, "operate", "POST"),
    Page("/syncs/{key:str}", one),
    Page("/syncs/{key:str}/unsent.csv", unsent_exported),
    Page("/syncs/{key:str}/run", run, "operate", "POST"),
    Page("/syncs/{key:str}/retry", retry, "operate", "POST"),
    Page("/syncs/{key:str}/cancel", cancel, "operate", "POST"),
    Page("/syncs/{key:str}/reset", reset, "operate", "POST"),
    Page("/syncs/{key:str}/remove", remove, "admin", "POST"),
)


def _started(visit: Visit, key: str, wanted: Wanted) -> Response:
    try:
        row = sync_asking.start(visit.hub.engine, key, visit.actor, wanted)
    except (OutboundPaused, ConnectionDisconnected) as error:
        return shown(visit, 422, refused=str(error))
    return visit.go(run_page(key, int(row["id"])) if row else f"{sync_page(key)}?asked=1")


def _list(visit: Visit) -> Response:
    with visit.hub.engine.connect() as db:
        found, paused, at = sync_history.brief(db), pausing.paused(db), now(db)
        models = bool(syncs.every(db, "models"))
    found = [row | {"last": row["last"] and _run(visit, row["last"], row)} for row in found]
    return visit.render("outbound/syncs.html", syncs=found, paused=paused, any_model=models, as_of=at)


def _run(visit: Visit, run: dict[str, Any], sync: dict[str, Any]) -> dict[str, Any]:
    """A run of the sync, and whether its requests are `kept`."""
    return run | {"kept": requests_kept(visit, run, own=sync["resource"] in OWN)}


def shown(visit: Visit, status: int = 200, refused: str = "", wrong: Texts | None = None) -> Response:
    """The page of a sync. `wrong`: with what was typed about which of its rows, by field."""
    key, asked = visit.request.path_params["key"], visit.request.query_params
    after = asked.get("after", "") if visit.request.method == "GET" else ""
    state = asked.get("state", "") if asked.get("state") in history.UNSENT else ""
    with visit.hub.engine.connect() as db:
        runs = sync_history.listing(db, key, RUNS)
        row = next(one for one in sync_history.brief(db) if one["key"] == key)
        facts: dict[str, Any] = {
            "sync": row, "runs": [_run(visit, one, row) for one in runs],
            "paused": pausing.paused(db), "as_of": now(db),
            "unsent": history.unsent(db, key, after=after, limit=ROWS + 1, state=state), "after": after, "most": ROWS,
            "state": state,
        }  # fmt: skip
        try:
            facts["first"], invalid = syncs.is_first(db, syncs.sync(db, key)), ""
        except SyncInvalid as error:  # as it was stored by an earlier version
            facts["first"], invalid = True, str(error)
    spec: dict[str, Any] = row["spec"]
    facts |= {"fields": rows_of(spec.get("fields") or {}), "hows": HOWS, "entry": as_yaml(spec), "invalid": invalid}
    waits = bool(row["due_at"]) and (not row["last"] or row["last"]["state"] != "running")
    facts |= {"typed": parts.typed(visit.form), "wrong": wrong or Texts()}
    return visit.render("outbound/sync.html", status, **facts, refused=refused, waits=waits)
