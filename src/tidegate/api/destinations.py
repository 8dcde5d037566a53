"""Destinations over HTTP: listed, made, tried, looked into, paused, resumed, sent the past and dead letters again."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.paging import After, Limit, page
from tidegate.api.values import STRICT, Moment
from tidegate.contacts import directory
from tidegate.delivery import backlog
from tidegate.errors import UsageError
from tidegate.security.tokens import Token
from tidegate.settings import environment
from tidegate.wiring import Hub
from tidegate.workflows.delivery import destinations, destinations_past, destinations_tried
from tidegate.workflows.doorbell import Doorbell

router = APIRouter(prefix="/api/destinations", tags=["delivery"])

Admin = Annotated[Token, requires("admin")]
Operator = Annotated[Token, requires("operate")]


class Destination(BaseModel):
    """A destination. `options` are without secrets (`…`, or `{"env": NAME}`); `state` is live, failing or paused;
    `paused_by` is empty where it was paused because it failed. Times are UTC.
    """

    key: str
    kind: str
    mode: str
    options: dict[str, Any]
    state: str
    waiting: int
    dead: int
    delivered: int
    last_at: datetime | None
    failing_since: datetime | None
    next_try_at: datetime | None
    error: str
    paused_at: datetime | None
    paused_by: str
    managed_by: str
    made_at: datetime


class Destinations(BaseModel):
    """A page of destinations by key. `next`: what to give as `after` for the next page; null: there is none."""

    destinations: list[Destination]
    next: str | None


class NewDestination(BaseModel):
    """A destination to make or replace. `options` are those of its kind; `env` names the variables of the hub's
    environment that hold secret ones.
    """

    model_config = STRICT

    key: str
    kind: str
    options: dict[str, Any] = Field(default_factory=dict)
    env: dict[str, str] = Field(default_factory=dict)


class Tried(BaseModel):
    """A sample that was taken; `status` is that of the HTTP answer, null where there is none."""

    destination: str
    id: str
    type: str
    status: int | None


class Previewed(BaseModel):
    """What would be sent next: each with its `requests`, or what would be `written`; secrets are `…`."""

    destination: str
    messages: list[dict[str, Any]]


class DeadLetter(BaseModel):
    """What a destination refused for good. `outbox` null: how a contact is."""

    delivery: int
    outbox: int | None
    type: str
    contact: str | None
    status: int | None
    error: str
    attempts: int
    at: datetime | None
    died_at: datetime | None


class DeadLetters(BaseModel):
    """A page of dead letters, the oldest first."""

    dead: list[DeadLetter]
    next: str | None


class Replay(BaseModel):
    """Which dead letters to send again; none named: all."""

    model_config = STRICT

    deliveries: list[int] | None = None


class Replayed(BaseModel):
    """How many are due again."""

    destination: str
    replayed: int


class Backfill(BaseModel):
    """Events since `since` (none without it) and every contact; a preview unless `preview` is false."""

    model_config = STRICT

    since: Moment | None = None
    preview: bool = True


class Backfilled(BaseModel):
    """How many are due, or with a preview would be."""

    destination: str
    since: datetime | None
    done: bool
    events: int
    billing_events: int
    contacts: int


@router.get("", dependencies=[requires("read")])
def listing(hub: HubOf, limit: Limit = 100, after: After = None) -> Destinations:
    """The destinations by key, with how they stand."""
    with hub.engine.connect() as db:
        rows = destinations.listing(db)
    found, following = page(rows, "key", limit, after)
    return Destinations(destinations=[_shown(dict(one)) for one in found], next=following)


@router.post("", status_code=201)
def put(hub: HubOf, wanted: NewDestination, token: Admin) -> Destination:
    """Makes a destination, or replaces one. It is sent nothing yet; `…/test` tries it."""
    known = environment()
    if missing := [name for name in wanted.env.values() if name not in known]:
        raise UsageError(problem=f"The hub's environment has no variable {missing[0]}.")
    options = wanted.options | {name: known[variable] for name, variable in wanted.env.items()}
    with hub.engine.begin() as db:
        destinations.define(
            db,
            wanted.key,
            wanted.kind,
            options,
            f"token:{token.name}",
            variables={name: {"env": variable} for name, variable in wanted.env.items()},
            vault=lambda: hub.vault,
        )
        return _shown(destinations.shown(db, wanted.key))


@router.get("/{key:segment}", dependencies=[requires("read")])
def show(key: str, hub: HubOf) -> Destination:
    """One destination."""
    with hub.engine.connect() as db:
        return _shown(destinations.shown(db, key))


@router.delete("/{key:segment}", status_code=204)
def remove(key: str, hub: HubOf, token: Admin) -> Response:
    """Removes a destination with all that waits for it."""
    with hub.engine.begin() as db:
        destinations.remove(db, key, f"token:{token.name}")
    return Response(status_code=204)


@router.post("/{key:segment}/test", dependencies=[requires("operate")])
def test(key: str, hub: HubOf) -> Tried:
    """Sends a sample at once."""
    with hub.engine.connect() as db:
        destination = hub.destination(db, key)
        message = destinations_tried.sample(db, destination)
    return Tried(**destinations_tried.test(destination, message))


@router.get("/{key:segment}/preview", dependencies=[requires("operate")])
def preview(
    key: str, hub: HubOf, contact: str | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 10
) -> Previewed:
    """What would be sent next, exactly; nothing is sent. `contact`: of this one, also how it is now."""
    with hub.engine.connect() as db:
        whose = directory.find(db, hub.livemode(), contact).key if contact is not None else None
        found = destinations_tried.preview(db, hub.destination(db, key), whose, limit)
    return Previewed(destination=key, messages=found)


@router.post("/{key:segment}/pause")
def pause(key: str, hub: HubOf, token: Operator) -> Destination:
    """Sends it nothing from now on; what is told goes on waiting for it."""
    with hub.engine.begin() as db:
        return _shown(destinations.pause(db, key, f"token:{token.name}"))


@router.post("/{key:segment}/resume")
def resume(key: str, hub: HubOf, token: Operator) -> Destination:
    """Sends it what waits, in its order."""
    with hub.engine.begin() as db:
        found = _shown(destinations.resume(db, key, f"token:{token.name}"))
        _ring(hub, db)
    return found


@router.get("/{key:segment}/dead", dependencies=[requires("operate")])
def dead(key: str, hub: HubOf, limit: Limit = 50, after: After = None) -> DeadLetters:
    """What it refused for good, the oldest first."""
    if after is not None and not (after.isascii() and after.isdigit()):
        raise UsageError(problem=f"{after[:40]!r} is no place in the list; take `next` of the page before.")
    with hub.engine.connect() as db:
        destinations.shown(db, key)
        rows = backlog.dead(db, key, after=int(after or 0), limit=limit + 1)
    found = [DeadLetter(**{name: row[name] for name in DeadLetter.model_fields}) for row in rows[:limit]]
    return DeadLetters(dead=found, next=str(found[-1].delivery) if len(rows) > limit else None)


@router.post("/{key:segment}/replay")
def replay(key: str, hub: HubOf, wanted: Replay, token: Operator) -> Replayed:
    """Sends dead letters again, under the ids that they had."""
    with hub.engine.begin() as db:
        count = destinations.replay(db, key, f"token:{token.name}", wanted.deliveries)
        _ring(hub, db)
    return Replayed(destination=key, replayed=count)


@router.post("/{key:segment}/backfill")
def backfill(key: str, hub: HubOf, wanted: Backfill, token: Admin) -> Backfilled:
    """Makes the past due: says how many first, and sends with `preview: false`."""
    with hub.engine.begin() as db:
        found = destinations_past.backfill(
            db, hub.destination(db, key), wanted.since, f"token:{token.name}", only_preview=wanted.preview
        )
        if not wanted.preview:
            _ring(hub, db)
    return Backfilled(**found)


def _ring(hub: Hub, db: Any) -> None:
    Doorbell(hub.engine).ring("deliver", connection="", db=db)


def _shown(row: dict[str, Any]) -> Destination:
    return Destination(options=row["spec"], **{name: row[name] for name in Destination.model_fields if name in row})
