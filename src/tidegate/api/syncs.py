"""Syncs over HTTP: listed, made, planned, run by a worker, canceled, removed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.paging import After, Limit, page
from tidegate.api.runs import Run, shown
from tidegate.api.values import STRICT
from tidegate.outbound import pausing, specs, syncs
from tidegate.security.tokens import Token
from tidegate.workflows.outbound import outbound_changes, plan_apart, sync_asking, sync_history, sync_stopping
from tidegate.workflows.outbound.plan_apart import Where
from tidegate.workflows.outbound.run_sync import Wanted
from tidegate.workflows.outbound.sync_plan import Part

router = APIRouter(prefix="/api/syncs", tags=["outbound"])

Admin = Annotated[Token, requires("admin")]
Operator = Annotated[Token, requires("operate")]


class Unfinished(BaseModel):
    """Drafts that a sync is to finish and could not yet: how many, since when the oldest is one, what they wait for."""

    drafts: int
    since: datetime
    why: str


class Sync(BaseModel):
    """A sync. `spec`: as tidegate.yaml says it; `rows`: how many by state; `last`: its last run; `unfinished`: drafts
    that wait to be finished, null: none do; `alike`: told when it is made, other syncs that match by the same metadata
    key, so that a value which rows of both say is one object. Times are UTC.
    """

    model_config = ConfigDict(extra="ignore")

    key: str
    model: str
    connection: str
    resource: str
    spec: dict[str, Any]
    enabled: bool
    next_at: datetime | None
    managed_by: str
    made_at: datetime
    rows: dict[str, int] = {}
    last: dict[str, Any] | None = None
    unfinished: Unfinished | None = None
    alike: list[str] = []


class Syncs(BaseModel):
    """A page of syncs by key. `paused`: since when, and by whom, nothing is sent; null: it is.

    `next`: what to give as `after` for the next page; null: there is none.
    """

    syncs: list[Sync]
    paused: dict[str, Any] | None
    next: str | None


class NewSync(BaseModel):
    """A sync to make or replace: what an entry of `syncs` in tidegate.yaml says."""

    model_config = ConfigDict(extra="allow")

    key: str
    model: str
    resource: str
    match: dict[str, Any]
    fields: dict[str, Any]


class Rows(BaseModel):
    """Which rows: all, those of these primary keys, or so many that differ. `full`: also those that stayed the same."""

    model_config = STRICT

    only: list[str] | None = None
    limit: int | None = Field(default=None, ge=1)
    full: bool = False

    @property
    def part(self) -> Part:
        """As a plan takes it."""
        return Part(tuple(self.only) if self.only is not None else None, self.limit, self.full)


class NewRun(Rows):
    """How a run is wanted. `plan`: the plan that was looked at, without which a first run of all rows sends nothing."""

    plan: int | None = None
    despite_stops: bool = Field(default=False, description="send although more would change than the sync allows")


class Plan(BaseModel):
    """What a run would do. `plan`: its number, null for a part; `counts` by kind; `stops`: why a run would not begin;
    `adopted`: how many of the updates are of objects that were none of the sync's before; `settles`: requests of
    earlier runs, by operation, whose outcome nobody knows, and which a run settles first: those of the last 23 hours
    are sent again, under their idempotency keys; `sample`: the first rows of each kind, field by field.
    """

    model_config = ConfigDict(extra="ignore")

    sync: str
    connection: str
    plan: int | None
    counts: dict[str, int]
    rows: dict[str, int]
    stops: list[str]
    fingerprint: str
    adopted: int = 0
    settles: dict[str, int] = {}
    sample: dict[str, list[dict[str, Any]]]


class Started(BaseModel):
    """A run that was asked for. `run` is null while no worker has begun it; the sync shows it then."""

    sync: str
    run: Run | None


class Canceled(BaseModel):
    """A run that was asked to stop; null: one was due, had not begun, and is not due any more."""

    sync: str
    run: int | None


class Runs(BaseModel):
    """Runs of a sync, the newest first. `next`: what to give as `after` for the next page; null: there is none."""

    runs: list[dict[str, Any]]
    next: int | None


@router.get("", dependencies=[requires("read")])
def listing(hub: HubOf, limit: Limit = 100, after: After = None) -> Syncs:
    """The syncs by key, with their rows and last runs."""
    with hub.engine.connect() as db:
        rows, paused = sync_history.standing(db), pausing.paused(db)
    some, following = page(rows, "key", limit, after)
    return Syncs(syncs=[Sync.model_validate(row) for row in some], paused=paused, next=following)


@router.post("", status_code=201)
def put(hub: HubOf, wanted: NewSync, token: Admin) -> Sync:
    """Makes a sync, or replaces one, which keeps what it knows of its rows."""
    sync = specs.sync(wanted.model_dump())
    with hub.engine.begin() as db:
        return Sync.model_validate(outbound_changes.define_sync(db, sync, f"token:{token.name}"))


@router.get("/{name:segment}", dependencies=[requires("read")])
def show(name: str, hub: HubOf) -> Sync:
    """A sync with its rows and last run."""
    with hub.engine.connect() as db:
        syncs.sync(db, name)
        return Sync.model_validate(next(one for one in sync_history.standing(db) if one["key"] == name))


@router.delete("/{name:segment}", status_code=204)
def remove(name: str, hub: HubOf, token: Admin) -> Response:
    """Removes a sync with what it knows of its rows; the objects in Stripe and the journal stay."""
    with hub.engine.begin() as db:
        outbound_changes.remove(db, "syncs", name, f"token:{token.name}")
    return Response(status_code=204)


@router.post("/{name:segment}/plan")
def plan(name: str, hub: HubOf, token: Operator, rows: Rows | None = None) -> Plan:
    """What a run would do, without a request to Stripe. It answers when the model was read and every row decided."""
    with hub.engine.connect() as db:
        syncs.sync(db, name)
    where = Where(hub.database_url, hub.settings.secret_key.get_secret_value(), hub.settings.home)
    found: Mapping[str, Any] = plan_apart.plan(where, name, (rows or Rows()).part, f"token:{token.name}")
    return Plan.model_validate(found)


@router.post("/{name:segment}/run", status_code=202)
def run(name: str, hub: HubOf, token: Operator, response: Response, wanted: NewRun | None = None) -> Started:
    """Lets a worker run a sync. Why a run sent nothing, its `error` says."""
    said = wanted or NewRun()
    by, how = f"token:{token.name}", Wanted(said.part, said.plan, said.despite_stops)
    row = sync_asking.start(hub.engine, name, by, how)
    begun = shown(row) if row else None
    response.headers["Location"] = f"/api/runs/{begun.id}" if begun else f"/api/syncs/{name}"
    return Started(sync=name, run=begun)


@router.post("/{name:segment}/cancel")
def cancel(name: str, hub: HubOf, token: Operator) -> Canceled:
    """Asks the run of a sync that is under way to stop after its requests under way."""
    return Canceled(sync=name, run=sync_stopping.cancel(hub.engine, name, f"token:{token.name}"))


@router.get("/{name:segment}/runs", dependencies=[requires("read")])
def of_sync(
    name: str,
    hub: HubOf,
    limit: Annotated[int, Query(ge=1, le=500, description="runs")] = 20,
    after: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")] = None,
) -> Runs:
    """The newest runs of a sync; `/api/runs/{id}/requests` is what one sent."""
    with hub.engine.connect() as db:
        found = sync_history.listing(db, name, limit + 1, before=after)
    return Runs(runs=found[:limit], next=found[limit - 1]["id"] if len(found) > limit else None)
