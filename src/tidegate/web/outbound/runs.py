"""The pages of runs: how one stands, what it sent by row, outcome and time, one request whole, and the way back."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import urlencode

from starlette.responses import Response, StreamingResponse

from tidegate.errors import OutboundPaused, RunNotReverted, RunUnknown, UsageError
from tidegate.outbound import syncs
from tidegate.outbound.push import history
from tidegate.outbound.push.history import STATES, Status, Which
from tidegate.web import csv_lines
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.wording import run_page, sync_page
from tidegate.workflows.lifecycle.lifecycle import now
from tidegate.workflows.outbound import revert_sync, revert_task, sync_history
from tidegate.workflows.outbound.run_sync import SENDS

REQUESTS = 50
"""Requests of a page, and how many a run that is under way shows before it is followed."""
ROWS = 20
STANDS = {"held": "held", "conflict": "conflict", "invalid": "invalid", "skip": "skipped", "gone": "gone"}
"""In which state a row stands about which nothing was sent, by what was decided of it."""
LOOKED_BACK = 500
"""Requests of a run of which the page says how they are taken back: the last ones, as that takes a while for each."""


def one(visit: Visit) -> Response:
    """A run; htmx, which asks when it ended, gets what stands above its requests."""
    found = found_run(visit)
    key, number, running = found["sync"], int(found["run"]), found["state"] == "running"
    part = visit.request.headers.get("hx-target") == "run"
    state, after = (visit.request.query_params.get(name, "") for name in ("rows", "after_row"))
    with visit.hub.engine.connect() as db:
        facts: dict[str, Any] = {
            "run": found, "progress": progress_of(found), "as_of": now(db), "rows_most": ROWS, "stands": STANDS,
            "left": dict.fromkeys(history.LEFT, 0) if running else history.left(db, key, number),
            "state": state if state in history.LEFT else "",
            "unsent": [] if running else history.unsent(db, key, number, limit=ROWS + 1, state=state, after=after),
        }  # fmt: skip
        facts |= {} if part else _requests(visit, db, Which(number, None), follow=running)
    return visit.render("outbound/parts/run.html" if part else "outbound/run.html", **facts)


def of_row(visit: Visit) -> Response:
    """Everything that was ever sent for a row, and how it stands."""
    key, row = visit.request.path_params["key"], visit.request.query_params.get("row", "")
    with visit.hub.engine.connect() as db:
        syncs.sync(db, key)
        unsent = history.unsent(db, key, key=row)
        facts = _requests(visit, db, Which(None, key)) | {"own": syncs.is_own(db, key)}
    return visit.render("outbound/row.html", sync=key, row=row, unsent=unsent, **facts)


def request(visit: Visit) -> Response:
    """A request with all that it said and was answered."""
    key, number = visit.request.path_params["key"], int(visit.request.path_params["request"])
    with visit.hub.engine.connect() as db:
        found = history.one(db, number) if number < 2**63 else None
    if found is None or found["sync"] != key:
        raise UsageError(problem=f"{key} has no request {number}; what it said is kept for a while only.")
    return visit.render("outbound/request.html", one=found, sync=key)


def exported(visit: Visit) -> Response:
    """The requests of a run, narrowed down as the page was, with their answers, as CSV."""
    found = found_run(visit)
    which, after = _which(visit, Which(int(found["run"]), None))
    headers = {"Content-Disposition": f'attachment; filename="run-{found["run"]}.csv"'}
    lines = _lines(visit, which, after)
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


def way_back(visit: Visit) -> Response:
    """How what a run sent is taken back, field by field; nothing is sent."""
    found = found_run(visit)
    edits = bool(visit.request.query_params.get("despite_edits"))
    try:
        way = revert_sync.plan(visit.hub.engine, int(found["run"]), despite_edits=edits, last=LOOKED_BACK)
    except RunNotReverted as error:
        return visit.render("outbound/revert.html", 422, run=found, way=None, why=str(error), edits=edits)
    last = None if way.whole else LOOKED_BACK
    return visit.render("outbound/revert.html", run=found, way=way.as_json(), why="", edits=edits, last=last)


def take_back(visit: Visit) -> Response:
    """Lets a worker take back what a run sent, as the preview showed it; goes to the run that does it."""
    found = found_run(visit)
    edits = bool(visit.form.get("despite_edits"))
    try:
        begun = revert_task.start(visit.hub.engine, int(found["run"]), visit.actor, despite_edits=edits)
    except (RunNotReverted, OutboundPaused) as error:
        return visit.render("outbound/revert.html", 422, run=found, way=None, why=str(error), edits=edits)
    return visit.go(run_page(begun["sync"], begun["id"]) if begun else sync_page(found["sync"]))


PAGES = (
    Page("/syncs/{key:str}/runs/{run:int}", one),
    Page("/syncs/{key:str}/runs/{run:int}/requests.csv", exported),
    Page("/syncs/{key:str}/runs/{run:int}/revert", way_back, "operate"),
    Page("/syncs/{key:str}/runs/{run:int}/revert", take_back, "operate", "POST"),
    Page("/syncs/{key:str}/rows", of_row),
    Page("/syncs/{key:str}/requests/{request:int}", request),
)


def found_run(visit: Visit) -> dict[str, Any]:
    """The run that the address names; `own`: of contacts; `kept`: so are its requests. Raises RunUnknown, also for one
    of another sync.
    """
    key, number = visit.request.path_params["key"], visit.request.path_params["run"]
    with visit.hub.engine.connect() as db:
        found = sync_history.of(db, str(number)) | {"own": syncs.is_own(db, key)}
    if found["sync"] != key:
        raise RunUnknown(id=number)
    return found | {"kept": requests_kept(visit, found, own=found["own"])}


def requests_kept(visit: Visit, run: Mapping[str, Any], *, own: bool) -> bool | None:
    """Whether all that a run sent is still there to be looked at; None: contacts are written without requests."""
    days = visit.hub.settings.retention["requests"]
    return None if own else run["started_at"] > datetime.now(UTC) - timedelta(days=days)


def progress_of(run: Mapping[str, Any]) -> dict[str, int]:
    """Requests that were answered, and how many there will be, as far as the plan said."""
    done = sum(run["sent"].values()) + run["failed"]
    return {"done": done, "total": max(done, sum(run["counts"].get(kind, 0) for kind in (*SENDS, "revert")))}


def _requests(visit: Visit, db: Any, which: Which, *, follow: bool = False) -> dict[str, Any]:
    """A page of requests, and from where on they are followed. Counts nothing."""
    said = _said(visit)
    which, after = _which(visit, which, db)
    if follow and not said and which.run is not None:
        after = history.newest(db, which.run, REQUESTS)
    found = history.listing(db, which, REQUESTS + 1, after)
    some = found[:REQUESTS]
    query = {name: value for name, value in said.items() if name != "after"}
    more = urlencode(query | {"after": str(some[-1]["id"])}) if len(found) > REQUESTS else ""
    place = some[-1]["id"] if some else after
    waits = [one["id"] for one in some if one["state"] == "intended"]
    return {
        "requests": some[::-1] if follow and not said else some, "more": more, "said": Texts(said),
        "query": urlencode(query), "follow": follow and not said, "place": min([place, *(id_ - 1 for id_ in waits)]),
        "statuses": tuple(STATES),
    }  # fmt: skip


def _said(visit: Visit) -> dict[str, str]:
    asked = visit.request.query_params
    return {name: asked[name] for name in ("status", "operation", "row", "from", "after") if asked.get(name)}


def _which(visit: Visit, which: Which, db: Any = None) -> tuple[Which, int]:
    """Which requests the address asks for, and after which id. Raises UsageError."""
    said = _said(visit)
    status, row, since, after = (said.get(name, "") for name in ("status", "row", "from", "after"))
    if status and status not in STATES:
        raise UsageError(problem=f"Requests are never {status[:40]!r}, but {', '.join(STATES)}.")
    if after and not (after.isdecimal() and len(after) < 19):
        raise UsageError(problem=f"{after[:40]!r} is no place in the list.")
    start = int(after or 0)
    if since and which.run is not None:
        at = _moment(since)
        if db is None:
            with visit.hub.engine.connect() as own:
                start = max(start, history.last_before(own, which.run, at))
        else:
            start = max(start, history.last_before(db, which.run, at))
    sync = visit.request.path_params["key"] if row else which.sync
    wanted = cast("Status", status) if status else None
    return Which(which.run, sync, row or None, wanted, said.get("operation")), start


def _moment(said: str) -> datetime:
    """A time as a browser's field says it, UTC. Raises UsageError."""
    try:
        at = datetime.fromisoformat(said)
    except ValueError as error:
        raise UsageError(problem=f"`from` is a time such as 2026-03-01T14:30, not {said[:40]!r}.") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _lines(visit: Visit, which: Which, after: int) -> Iterator[str]:
    names = (*history.SHOWN, *history.REDACTED)
    with visit.hub.engine.connect() as db:
        told = (sync_history.flat(row) for row in history.whole(db, which, after))
        yield from csv_lines.lines(names, ([row[name] for name in names] for row in told))
