"""Runs over HTTP: how far an import, a catch-up, an audit or a sync is, and what a sync sent."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import RowMapping

from tidegate.api.auth import HubOf, requires
from tidegate.api.values import STRICT
from tidegate.connections import runs
from tidegate.errors import RunUnknown
from tidegate.outbound.push import history
from tidegate.outbound.push.history import Status, Which
from tidegate.security.tokens import Token
from tidegate.workflows.outbound import revert_sync, revert_task

router = APIRouter(prefix="/api/runs", tags=["runs"])


class Run(BaseModel):
    """One execution of an import, a catch-up, an audit or a sync (its connection is `sync:NAME`). Times are UTC."""

    model_config = ConfigDict(extra="ignore")

    id: int
    connection: str
    kind: str
    state: str
    started_at: datetime
    heartbeat_at: datetime
    finished_at: datetime | None
    summary: dict[str, Any]
    error: str


def shown(row: RowMapping) -> Run:
    """A row of `runs` as the API shows it."""
    return Run.model_validate(dict(row))


@router.get("/{run_id:segment}", dependencies=[requires("read")])
def show(run_id: int, hub: HubOf) -> Run:
    """The run, with its summary so far."""
    with hub.engine.connect() as db:
        row = runs.find(db, run_id) if 0 <= run_id < 2**63 else None
    if row is None:
        raise RunUnknown(id=run_id)
    return shown(row)


class Request(BaseModel):
    """A request to Stripe that a sync sent for a row; personal data is left out. `state`: intended, done, refused or
    unknown; `before`: the fields that it changed, as they were; `response`: Stripe's answer. Times are UTC.
    """

    model_config = ConfigDict(extra="ignore")

    id: int
    run: int
    sync: str
    key: str
    operation: str
    method: str
    path: str
    params: dict[str, Any]
    before: dict[str, Any]
    state: str
    status: int | None
    error: str
    request_id: str
    object_id: str | None
    idempotency_key: str
    response: Any
    intended_at: datetime
    sent_at: datetime | None
    answered_at: datetime | None


class Requests(BaseModel):
    """A page of requests, oldest first. `next`: what to give as `after` for the next page; null: there is none yet."""

    requests: list[Request]
    next: str | None


@router.get("/{run_id:segment}/requests", dependencies=[requires("read")])
def requests(
    run_id: int,
    hub: HubOf,
    limit: Annotated[int, Query(ge=1, le=500, description="rows of a page")] = 100,
    after: Annotated[int, Query(ge=0, lt=2**63, description="`next` of the page before")] = 0,
    status: Annotated[Status | None, Query(description="only with this outcome; failed: refused or unknown")] = None,
    key: Annotated[str | None, Query(description="only of the row with this primary key")] = None,
) -> Requests:
    """What a run of a sync sent and was answered."""
    with hub.engine.connect() as db:
        row = runs.find(db, run_id) if 0 <= run_id < 2**63 else None
        if row is None:
            raise RunUnknown(id=run_id)
        found = history.listing(db, Which(run_id, None, key, status), limit + 1, after, answers=True)
    some = found[:limit]
    following = str(some[-1]["id"]) if len(found) > limit else None
    return Requests(requests=[Request.model_validate(one) for one in some], next=following)


class Revert(BaseModel):
    """How a run of a sync is taken back. `preview`: it is only told what that would do; `despite_edits`: also what
    somebody, or a later run, changed since.
    """

    model_config = STRICT

    preview: bool = True
    despite_edits: bool = False


class Reverted(BaseModel):
    """What becomes of a run's requests, by kind, with the first of each. `begun`: the run that takes them back, by a
    worker; null in a preview, and while none has begun it.
    """

    run: int
    syncs: list[str]
    counts: dict[str, int]
    sample: dict[str, list[dict[str, Any]]]
    begun: int | None


@router.post("/{run_id:segment}/revert")
def revert(run_id: int, wanted: Revert, hub: HubOf, token: Annotated[Token, requires("operate")]) -> Reverted:
    """Tells how what a run of a sync sent is taken back, and with `preview: false` lets a worker do it."""
    if not 0 <= run_id < 2**63:
        raise RunUnknown(id=run_id)
    way = revert_sync.plan(hub.engine, run_id, despite_edits=wanted.despite_edits).as_json()
    row = None
    if not wanted.preview:
        row = revert_task.start(hub.engine, run_id, f"token:{token.name}", despite_edits=wanted.despite_edits)
    return Reverted(**way, begun=row["id"] if row else None)
