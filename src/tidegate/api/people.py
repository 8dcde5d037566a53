"""Owners, the alert route, digests, notes, tasks and the timeline over HTTP."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.contacts import Named, Operator, Ref, by
from tidegate.api.lifecycle import Amount
from tidegate.api.paging import After, Limit, page
from tidegate.api.values import STRICT, Day
from tidegate.contacts import directory
from tidegate.errors import UsageError
from tidegate.lifecycle import digests, notes, owners, routes, timeline
from tidegate.lifecycle.digest_periods import Every
from tidegate.lifecycle.owners import Owner
from tidegate.lifecycle.routes import Digest, Route
from tidegate.security.tokens import Token
from tidegate.workflows.lifecycle import people
from tidegate.workflows.lifecycle.lifecycle import now
from tidegate.workflows.operation.watch import preview_digest

router = APIRouter(tags=["lifecycle"])

Admin = Annotated[Token, requires("admin")]
Number = Annotated[int, Path(description="its number", ge=1, le=2**63 - 1)]
Long = Annotated[str, Field(min_length=1, max_length=notes.LONGEST)]


class NewOwner(BaseModel):
    """Who looks after contacts; one of that key is replaced. `destination` empty: alerts go to the default route.
    `when`: a condition; it gets the contacts for which that holds and whom nobody gave an owner.
    """

    model_config = STRICT

    key: str = Field(max_length=owners.LONGEST, description="as contacts name it: a name or an e-mail address")
    name: str = ""
    email: str = ""
    destination: str = ""
    digest: Digest = ""
    when: dict[str, Any] | None = None


class HealthIn(BaseModel):
    """A health, weighted by what is paid in that currency."""

    currency: str
    health: float


class ShownOwner(NewOwner):
    """An owner with how it stands. `known` false: contacts name it, and it is not defined; its key is empty for those
    whom nobody looks after. `mrr` is in minor units, each currency for itself. `health` is weighted by it in the base
    currency; without one `by_currency` has it in each that is paid in, and `health` is null where there are several.
    """

    key: str
    known: bool
    managed_by: str
    contacts: int
    mrr: list[Amount]
    health: float | None
    by_currency: list[HealthIn]
    alerts: int
    tasks: int


class Owners(BaseModel):
    """A page of owners, and of whoever contacts name beside them. `next`: what to give as `after`; null: no more."""

    owners: list[ShownOwner]
    next: str | None


class Removed(BaseModel):
    """An owner that is no more; so many contacts still name it."""

    owner: str
    contacts: int


class AlertRoute(BaseModel):
    """Where alerts go whose owner has no destination, and those of the hub itself. `destination` empty: nowhere.
    `hour` and `time_zone` are those of all digests; without a time zone it is the connection's.
    """

    model_config = STRICT

    destination: str = ""
    digest: Digest = ""
    hour: int = Field(default=8, ge=0, le=23)
    time_zone: str = ""


class WantedDigest(BaseModel):
    """Whom to send a digest now: an owner, or, where it is empty, the default route."""

    model_config = STRICT

    owner: str = Field(default="", max_length=owners.LONGEST)


class MadeDigest(BaseModel):
    """A digest that was made, and by which destination it is sent."""

    recipient: str
    period: str
    since: datetime
    until: datetime
    destination: str
    made_at: datetime


class Digests(BaseModel):
    """Digests that were made, the newest first; an empty recipient: the default route."""

    digests: list[dict[str, Any]]
    next: str | None


class Entry(BaseModel):
    """Something that happened. `what`: such as `opened` of an alert; amounts of `data` are in minor units."""

    at: datetime
    kind: str
    what: str
    id: str
    data: dict[str, Any]


class Timeline(BaseModel):
    """What happened to a contact, the newest first; `next` is `after` of the next page, null on the last one."""

    contact: str
    timeline: list[Entry]
    next: str | None


class NewNote(BaseModel):
    """What is to be known of a contact."""

    model_config = STRICT

    text: Long


class Note(BaseModel):
    """A note: who wrote it, and when."""

    id: int
    contact: str
    text: str
    by: str
    at: datetime


class NewTask(BaseModel):
    """What is to be done; without `due_on` some day."""

    model_config = STRICT

    text: Long
    due_on: Day | None = None


class TaskChange(BaseModel):
    """What to change of a task; what is not given stays. `due_on` null: some day."""

    model_config = STRICT

    text: Long | None = None
    due_on: Day | None = None
    done: bool | None = None


class Task(BaseModel):
    """A task of a contact, which `owner` looks after."""

    id: int
    contact: str
    name: str
    owner: str
    text: str
    due_on: date | None
    by: str
    at: datetime
    done_at: datetime | None
    done_by: str


class Tasks(BaseModel):
    """Tasks, those that are due first; `next` is `after` of the next page, null on the last one."""

    tasks: list[Task]
    next: int | None


@router.get("/api/owners", dependencies=[requires("read")])
def list_owners(hub: HubOf, limit: Limit = 200, after: After = None, connection: Named = None) -> Owners:
    """The owners, with their contacts of live or of test data."""
    livemode = hub.livemode_if_any(connection)
    with hub.engine.connect() as db:
        shown, following = page(owners.listing(db, livemode), "key", limit, after)
    return Owners.model_validate({"owners": shown, "next": following})


@router.post("/api/owners")
def put_owner(new: NewOwner, hub: HubOf, token: Admin) -> ShownOwner:
    """Makes an owner, or replaces one; its rule gives it contacts at once."""
    return ShownOwner.model_validate(people.define_owner(hub.engine, Owner(**new.model_dump()), by(token)))


@router.delete("/api/owners/{owner:segment}")
def remove_owner(owner: str, hub: HubOf, token: Admin) -> Removed:
    """Removes an owner; contacts that somebody gave to it keep naming it."""
    return Removed(owner=owner, contacts=people.remove_owner(hub.engine, owner, by(token)))


@router.get("/api/alert-route", dependencies=[requires("read")])
def alert_route(hub: HubOf) -> AlertRoute:
    """The default route of alerts."""
    with hub.engine.connect() as db:
        return AlertRoute(**routes.load(db).as_json())


@router.put("/api/alert-route")
def put_alert_route(route: AlertRoute, hub: HubOf, token: Admin) -> AlertRoute:
    """Makes this the default route of alerts."""
    return AlertRoute(**people.put_route(hub.engine, Route(**route.model_dump()), by(token)).as_json())


@router.get("/api/digests", dependencies=[requires("read")])
def list_digests(hub: HubOf, limit: Limit = 50, after: After = None) -> Digests:
    """The digests that were made."""
    with hub.engine.connect() as db:
        found = digests.listing(db, limit=limit + 1, before=_place(after))
    last = found[limit - 1] if len(found) > limit else None
    return Digests(digests=found[:limit], next=f"{last['made_at'].isoformat()} {last['recipient']}" if last else None)


def _place(after: str | None) -> tuple[datetime, str] | None:
    """The last digest of the page before."""
    at, _, recipient = (after or "").partition(" ")
    try:
        return (datetime.fromisoformat(at), recipient) if after else None
    except ValueError as error:
        raise UsageError(problem=f"{after!r} is no place in the list; take `next` of the page before.") from error


@router.post("/api/digests/send", status_code=201)
def send_digest(wanted: WantedDigest, hub: HubOf, token: Operator) -> MadeDigest:
    """Sends a digest of what happened since the last one at once; the next one goes on from there."""
    return MadeDigest.model_validate(people.send_digest(hub.engine, wanted.owner, by(token)))


@router.get("/api/digests/preview", dependencies=[requires("read")])
def next_digest(
    hub: HubOf,
    owner: Annotated[str, Query(max_length=200, description="of this one's contacts; empty: of all")] = "",
    every: Every = "daily",
) -> dict[str, Any]:
    """What the next digest would say up to now, as fields and as `text`; nothing is sent."""
    return preview_digest(hub.engine, owner, every)


@router.get("/api/contacts/{contact:segment}/timeline", dependencies=[requires("read")])
def show_timeline(
    contact: Ref,
    hub: HubOf,
    kind: Annotated[list[str] | None, Query(description=f"may be repeated: {', '.join(timeline.KINDS)}")] = None,
    limit: Limit = 50,
    after: Annotated[str, Query(max_length=2000, description="`next` of the page before")] = "",
    connection: Named = None,
) -> Timeline:
    """What happened to a contact: revenue, billing events, stages, alerts, health, entitlements, notes, tasks,
    deliveries.
    """
    with hub.engine.connect() as db:
        found = directory.find(db, hub.livemode(connection), contact)
        told = timeline.page(db, found, kinds=kind or timeline.KINDS, after=after, limit=limit)
    return Timeline.model_validate(told)


@router.post("/api/contacts/{contact:segment}/notes", status_code=201)
def write_note(contact: Ref, new: NewNote, hub: HubOf, token: Operator, connection: Named = None) -> Note:
    """Writes a note on a contact's timeline."""
    with hub.engine.begin() as db:
        found = directory.find(db, hub.livemode(connection), contact)
        return Note(contact=found.ref, **notes.write(db, found, new.text, by(token), now(db)))


@router.delete("/api/contacts/{contact:segment}/notes/{note:segment}", status_code=204)
def erase_note(contact: Ref, note: Number, hub: HubOf, token: Operator, connection: Named = None) -> Response:
    """Takes a note away."""
    with hub.engine.begin() as db:
        notes.erase(db, directory.find(db, hub.livemode(connection), contact), note, by(token))
    return Response(status_code=204)


@router.post("/api/contacts/{contact:segment}/tasks", status_code=201)
def add_task(contact: Ref, new: NewTask, hub: HubOf, token: Operator, connection: Named = None) -> Task:
    """Adds a task to a contact's timeline."""
    with hub.engine.begin() as db:
        found = directory.find(db, hub.livemode(connection), contact)
        return Task(**notes.add_task(db, found, new.text, by(token), now(db), due_on=new.due_on))


@router.get("/api/tasks", dependencies=[requires("read")])
def list_tasks(
    hub: HubOf,
    contact: Annotated[str | None, Query(description="an id of the contact, present or former")] = None,
    owner: Annotated[str | None, Query(max_length=200, description="of the contact; empty: of nobody")] = None,
    due_by: Annotated[Day | None, Query(description="due by that day")] = None,
    state: Annotated[Literal["open", "all"], Query()] = "open",
    limit: Limit = 50,
    after: Annotated[int, Query(ge=0, le=10**9, description="`next` of the page before")] = 0,
    connection: Named = None,
) -> Tasks:
    """Tasks of contacts."""
    livemode = hub.livemode(connection)
    with hub.engine.connect() as db:
        key = directory.find(db, livemode, contact).key if contact is not None else None
        rows = notes.tasks(
            db, livemode, contact=key, owner=owner, due_by=due_by, done=state == "all", after=after, limit=limit + 1
        )
    return Tasks.model_validate({"tasks": rows[:limit], "next": after + limit if len(rows) > limit else None})


@router.patch("/api/tasks/{task:segment}")
def change_task(task: Number, change: TaskChange, hub: HubOf, token: Operator) -> Task:
    """Changes a task, or says that it is done, or not after all."""
    given = change.model_dump(exclude_unset=True)
    given = {name: value for name, value in given.items() if value is not None or name == "due_on"}
    with hub.engine.begin() as db:
        return Task(**notes.change_task(db, task, by(token), now(db), given))


@router.delete("/api/tasks/{task:segment}", status_code=204)
def remove_task(task: Number, hub: HubOf, token: Operator) -> Response:
    """Takes a task away."""
    with hub.engine.begin() as db:
        notes.remove_task(db, task, by(token))
    return Response(status_code=204)
