"""Lifecycle over HTTP: stages and segments with who is in them, health with its parts, alerts and what people do."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.contacts import Named, Operator, Ref, by
from tidegate.api.paging import After, Limit, page
from tidegate.api.values import STRICT, Moment
from tidegate.contacts import directory
from tidegate.lifecycle import alerts, listing, rulebook
from tidegate.lifecycle.alerts import STANDING, State
from tidegate.security.tokens import Token
from tidegate.workflows.lifecycle import explain_stage, lifecycle_rules
from tidegate.workflows.lifecycle.lifecycle import now

router = APIRouter(tags=["lifecycle"])

Admin = Annotated[Token, requires("admin")]
Alert = Annotated[int, Path(description="its number", ge=1, le=2**63 - 1)]
When = dict[str, Any]


class Amount(BaseModel):
    """So much a month, in minor units."""

    currency: str
    mrr: int


class Group(BaseModel):
    """A stage or a segment: its condition as it was said (null: all whom no other stage takes), how many contacts are
    there, and their MRR by currency, in minor units. `median_days`: how long those who left a stage were in it.
    """

    model_config = ConfigDict(extra="ignore")

    key: str
    name: str
    when: When | None
    contacts: int
    mrr: list[Amount]
    median_days: float | None = None


class Stages(BaseModel):
    """A page of stages in their order; the first that holds is a contact's. `next`: what to give as `after`."""

    stages: list[Group]
    next: str | None


class Segments(BaseModel):
    """A page of segments; a contact is in any number of them. `next`: what to give as `after`."""

    segments: list[Group]
    next: str | None


class Rule(BaseModel):
    """A stage or a segment to be."""

    model_config = STRICT

    key: str = Field(max_length=64)
    name: str = ""
    when: When | None = None


class StageChange(BaseModel):
    """The stages to hold from now on, in their order, or those of a preset."""

    model_config = STRICT

    preset: Literal["default", "journy"] | None = None
    stages: list[Rule] | None = Field(default=None, max_length=100)
    token: str | None = Field(default=None, description="of the preview: does exactly that, or is refused")


class SegmentChange(BaseModel):
    """The segments to hold from now on."""

    model_config = STRICT

    segments: list[Rule] = Field(max_length=200)
    token: str | None = Field(default=None, description="of the preview: does exactly that, or is refused")


class Moved(BaseModel):
    """Who would move by other rules, or did (`done`)."""

    contacts: int
    moves: list[dict[str, Any]] = Field(description="by stage: {from, to, contacts}; from is empty for the first time")
    entered: dict[str, int] = Field(description="by segment")
    left: dict[str, int] = Field(description="by segment")
    token: str
    done: bool


class ShownAlert(BaseModel):
    """An alert. `contact`: `account:acme`. `occurrence`: what it is about, an invoice or a date; it opens once. A
    system alert has a `subject` in place of a contact: `connection:acme`, `sync:people`, `destination:ops`, `worker`
    or `disk`. `routed_to`: the destination that was told; empty: none. Times are UTC.
    """

    id: int
    rule: str
    state: State
    contact: str | None
    kind: str | None
    name: str
    owner: str
    subject: str
    occurrence: str
    reasons: list[str]
    opened_at: datetime
    changed_at: datetime
    changed_by: str = Field(description="empty: the facts")
    note: str
    snoozed_until: datetime | None
    routed_to: str


class Alerts(BaseModel):
    """Alerts, newest first; `next` is `after` of the next page, null on the last one."""

    alerts: list[ShownAlert]
    next: int | None


class Snooze(BaseModel):
    """Until when an alert is put aside."""

    until: Moment


class Dismissal(BaseModel):
    """Why an alert is put aside for good."""

    reason: str = Field(min_length=1, max_length=2_000)


class AlertNote(BaseModel):
    """What others should know of an alert."""

    note: str = Field(min_length=1, max_length=2_000)


class Health(BaseModel):
    """The health of a contact: 0 to 100, null where too little is known; `coverage`: the part of all weight that has
    data; `parts`: the score of each component; `history`: what it was, each with `moved`, by how many points each
    component changed it.
    """

    contact: str
    health: float | None = None
    coverage: float | None = None
    parts: dict[str, float] = {}
    unhealthy_since: datetime | None = None
    history: list[dict[str, Any]] = []


class Staged(BaseModel):
    """Which stages hold of a contact, test by test; it is in the first that does. `history`: where it was."""

    contact: str
    stage: str | None
    stages: list[dict[str, Any]]
    history: list[dict[str, Any]]


@router.get("/api/stages", dependencies=[requires("read")])
def stages(hub: HubOf, limit: Limit = 100, after: After = None, connection: Named = None) -> Stages:
    """The stages in their order, with the contacts of live or of test data."""
    livemode = hub.livemode_if_any(connection)
    with hub.engine.connect() as db:
        shown, following = page(listing.stages(db, rulebook.load(db).stages, livemode), "key", limit, after)
    return Stages(stages=[Group.model_validate(one) for one in shown], next=following)


@router.post("/api/stages")
def change_stages(change: StageChange, hub: HubOf, token: Admin, preview: bool = False) -> Moved:
    """Makes other stages hold and moves everybody, or tells who would move (`?preview=true`)."""
    said = [one.model_dump(exclude_none=True) for one in change.stages or ()]
    with hub.engine.connect() as db:
        of_preset = lifecycle_rules.preset(change.preset) if change.preset else None
        wanted = of_preset or lifecycle_rules.rules_of(said, "stages", db)
    found = lifecycle_rules.change(hub.engine, by(token), stages=wanted, token=change.token, only_preview=preview)
    return Moved.model_validate(found.as_json())


@router.get("/api/segments", dependencies=[requires("read")])
def segments(hub: HubOf, limit: Limit = 200, after: After = None, connection: Named = None) -> Segments:
    """The segments, with the contacts of live or of test data."""
    livemode = hub.livemode_if_any(connection)
    with hub.engine.connect() as db:
        shown, following = page(listing.segments(db, rulebook.load(db).segments, livemode), "key", limit, after)
    return Segments(segments=[Group.model_validate(one) for one in shown], next=following)


@router.post("/api/segments")
def change_segments(change: SegmentChange, hub: HubOf, token: Admin, preview: bool = False) -> Moved:
    """Makes other segments hold and moves everybody, or tells who would move (`?preview=true`)."""
    said = [one.model_dump(exclude_none=True) for one in change.segments]
    with hub.engine.connect() as db:
        wanted = lifecycle_rules.rules_of(said, "segments", db)
    found = lifecycle_rules.change(hub.engine, by(token), segments=wanted, token=change.token, only_preview=preview)
    return Moved.model_validate(found.as_json())


@router.get("/api/alerts", dependencies=[requires("read")])
def list_alerts(
    hub: HubOf,
    state: Annotated[list[State] | None, Query(description="may be repeated; without: those that stand")] = None,
    rule: Annotated[str, Query(max_length=100)] = "",
    owner: Annotated[str | None, Query(max_length=200, description="of the contact; empty: of nobody")] = None,
    system: Annotated[bool, Query(description="those of the hub itself, in place of contacts'")] = False,
    after: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    connection: Named = None,
) -> Alerts:
    """Alerts of contacts of live or of test data, or of the hub itself."""
    livemode = None if system else hub.livemode_if_any(connection)
    states = state or STANDING
    with hub.engine.connect() as db:
        found = listing.alerts(
            db, states=states, rule=rule, owner=owner, livemode=livemode, system=system, after=after, limit=limit
        )
    shown = [ShownAlert.model_validate(listing.referred(one)) for one in found]
    return Alerts(alerts=shown, next=shown[-1].id if len(shown) == limit else None)


@router.post("/api/alerts/{alert:segment}/ack")
def acknowledge(alert: Alert, hub: HubOf, token: Operator) -> ShownAlert:
    """Says that somebody looks after it."""
    return _moved(hub, alert, "acknowledged", token)


@router.post("/api/alerts/{alert:segment}/snooze")
def snooze(alert: Alert, snoozed: Snooze, hub: HubOf, token: Operator) -> ShownAlert:
    """Puts it aside until a time."""
    return _moved(hub, alert, "snoozed", token, until=snoozed.until)


@router.post("/api/alerts/{alert:segment}/dismiss")
def dismiss(alert: Alert, dismissal: Dismissal, hub: HubOf, token: Operator) -> ShownAlert:
    """Puts it aside for good; the same occurrence does not open it again."""
    return _moved(hub, alert, "dismissed", token, note=dismissal.reason)


@router.post("/api/alerts/{alert:segment}/note")
def write_note(alert: Alert, written: AlertNote, hub: HubOf, token: Operator) -> ShownAlert:
    """Writes beside it what others should know, in place of what was noted before."""
    with hub.engine.begin() as db:
        alerts.write_note(db, alert, written.note, by(token), now(db))
        return ShownAlert.model_validate(listing.referred(listing.alert(db, alert)))


@router.post("/api/alerts/{alert:segment}/reopen")
def reopen(alert: Alert, hub: HubOf, token: Operator) -> ShownAlert:
    """Undoes what people did about it."""
    return _moved(hub, alert, "open", token)


def _moved(
    hub: HubOf,
    alert: int,
    state: Literal["acknowledged", "snoozed", "dismissed", "open"],
    token: Token,
    *,
    until: datetime | None = None,
    note: str = "",
) -> ShownAlert:
    with hub.engine.begin() as db:
        alerts.move(db, alert, state, by(token), now(db), until=until, note=note)
        return ShownAlert.model_validate(listing.referred(listing.alert(db, alert)))


@router.get("/api/contacts/{contact:segment}/health", dependencies=[requires("read")])
def health(contact: Ref, hub: HubOf, connection: Named = None) -> Health:
    """How healthy a contact is, and each component's part in it."""
    with hub.engine.connect() as db:
        found = directory.find(db, hub.livemode(connection), contact)
        told = listing.health(db, found.key) or {}
    return Health(contact=found.ref, **told)


@router.get("/api/contacts/{contact:segment}/stage", dependencies=[requires("read")])
def stage(contact: Ref, hub: HubOf, connection: Named = None) -> Staged:
    """Why a contact is in its stage."""
    return Staged.model_validate(explain_stage.explain_stage(hub.engine, hub.livemode(connection), contact))
