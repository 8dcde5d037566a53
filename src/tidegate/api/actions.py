"""Actions over HTTP: written, switched on and off, tried on the past, and what came of them."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.contacts import Operator, by
from tidegate.api.paging import After, Limit, page
from tidegate.security.tokens import Token
from tidegate.workflows.lifecycle import lifecycle_actions

router = APIRouter(prefix="/api/actions", tags=["lifecycle"])

Admin = Annotated[Token, requires("admin")]
Period = Annotated[
    str | None, Query(max_length=40, description="2026-05, or 2026-05-01..2026-05-14 (UTC); without: the last 30 days")
]
Shown = Annotated[int, Query(ge=1, le=1000, description="occurrences that are listed")]


class Written(BaseModel):
    """An action as it is to be; see the howto of actions. `on`: one trigger with what stands behind it; `do`: messages
    to destinations; `hold_out`: the share to which nothing is done, so that the goal can be compared.
    """

    model_config = ConfigDict(extra="allow")

    name: str | None = None
    on: str | dict[str, Any]
    when: dict[str, Any] | None = None
    cooldown_days: float | None = None
    do: list[dict[str, Any]]
    goal: dict[str, Any] | None = None
    hold_out: float | None = None
    enabled: bool | None = None

    def said(self, key: str) -> dict[str, Any]:
        """As tidegate.yaml would say it."""
        return {"key": key, **self.model_dump(exclude_none=True)}


class Action(BaseModel):
    """An action. `spec` as it was written; `problem`: what it names that there is not any more, so that it does nothing
    until that is mended, or that is switched off; `fired`, `held_out`, `failed`: how often. Times are UTC.
    """

    key: str
    name: str
    enabled: bool
    since: datetime | None = Field(description="it fires for what happened after; null: it is off")
    spec: dict[str, Any]
    problem: str
    managed_by: str
    fired: int
    held_out: int
    failed: int
    last_fired_at: datetime | None


class Actions(BaseModel):
    """A page of actions by key. `next`: what to give as `after` for the next page; null: there is none."""

    actions: list[Action]
    next: str | None


class Suggested(BaseModel):
    """Actions that are offered, as they would be written, switched off."""

    actions: list[dict[str, Any]]


class Occurrence(BaseModel):
    """Something for which an action would have fired (`state`: fired) or would have been held out (held_out)."""

    at: datetime
    contact: str
    name: str
    state: str
    reasons: list[str]
    trigger: dict[str, Any]


class DryRun(BaseModel):
    """What an action would have done in a period; `passed`: how many occurrences it would not have fired for, by why;
    `notes`: what the past does not tell.
    """

    model_config = ConfigDict(populate_by_name=True)

    action: str
    begin: datetime = Field(alias="from")
    until: datetime
    would_have_fired: int
    held_out: int
    contacts: int
    passed: dict[str, int]
    occurrences: list[Occurrence]
    notes: list[str]


class Group(BaseModel):
    """Contacts that were acted on, or held out. `measured`: whose time is over; of them `reached` the goal; `moot`: it
    held before.
    """

    contacts: int
    measured: int
    reached: int
    share: float | None
    running: int
    moot: int


class Difference(BaseModel):
    """The share of those that were acted on less that of the held out, and its 95 % interval; parts of 1."""

    value: float
    low: float
    high: float
    method: str


class Worth(BaseModel):
    """MRR of the measured contacts of a group, minor units: when it was decided, what of that was there at the end of
    the goal's time, and what had come to it.
    """

    group: str
    currency: str
    before: int
    kept: int
    expanded: int


class Report(BaseModel):
    """Whether an action reached its goal; `verdict` says what can be said of it."""

    action: str
    goal: dict[str, Any] | None
    fired: int
    held_out: int
    passed: int
    failed: int
    groups: dict[str, Group]
    difference: Difference | None
    verdict: str
    mrr: list[Worth]


class Decided(BaseModel):
    """What was decided about an occurrence: fired, held_out, failed or passed, and `why` not. `goal`: open, reached,
    missed, moot, or null without one.
    """

    id: int
    state: str
    why: str
    contact: str
    name: str
    occurrence: str
    at: datetime
    decided_at: datetime
    reasons: list[str]
    trigger: dict[str, Any]
    goal: str | None
    goal_by: datetime | None
    reached_at: datetime | None
    deliveries: list[dict[str, Any]]


class Fired(BaseModel):
    """What an action decided, newest first; `next` is `after` of the next page, null on the last one."""

    action: str
    fired: list[Decided]
    next: int | None


@router.get("", dependencies=[requires("read")])
def list_actions(hub: HubOf, limit: Limit = 100, after: After = None) -> Actions:
    """The actions, by key."""
    with hub.engine.connect() as db:
        shown, following = page(lifecycle_actions.listing(db), "key", limit, after)
    return Actions(actions=[Action.model_validate(one) for one in shown], next=following)


@router.get("/suggested", dependencies=[requires("read")])
def suggested(hub: HubOf) -> Suggested:
    """Actions to begin with."""
    with hub.engine.connect() as db:
        return Suggested(actions=lifecycle_actions.suggested(db))


@router.get("/{key:segment}", dependencies=[requires("read")])
def one_action(key: str, hub: HubOf) -> Action:
    """One action."""
    with hub.engine.connect() as db:
        return Action.model_validate(lifecycle_actions.shown(db, key))


@router.put("/{key:segment}")
def put_action(key: str, written: Written, hub: HubOf, token: Admin) -> Action:
    """Makes an action, or another one of it. It fires for what happens from now on, where it is switched on by this or
    its trigger is another one.
    """
    with hub.engine.begin() as db:
        lifecycle_actions.put(db, written.said(key), by(token))
        return Action.model_validate(lifecycle_actions.shown(db, key))


@router.delete("/{key:segment}", status_code=204)
def remove(key: str, hub: HubOf, token: Admin) -> Response:
    """Removes an action; what it did stays known."""
    with hub.engine.begin() as db:
        lifecycle_actions.remove(db, key, by(token))
    return Response(status_code=204)


@router.post("/{key:segment}/enable")
def enable(key: str, hub: HubOf, token: Operator) -> Action:
    """Switches it on, for what happens from now on."""
    return _switched(hub, key, token, enabled=True)


@router.post("/{key:segment}/disable")
def disable(key: str, hub: HubOf, token: Operator) -> Action:
    """Switches it off."""
    return _switched(hub, key, token, enabled=False)


def _switched(hub: HubOf, key: str, token: Token, *, enabled: bool) -> Action:
    with hub.engine.begin() as db:
        lifecycle_actions.switch(db, key, by(token), enabled=enabled)
        return Action.model_validate(lifecycle_actions.shown(db, key))


@router.get("/{key:segment}/preview", dependencies=[requires("read")])
def preview(key: str, hub: HubOf, period: Period = None, limit: Shown = 50) -> DryRun:
    """What it would have done in the past; nothing is sent."""
    with hub.engine.connect() as db:
        return DryRun.model_validate(lifecycle_actions.preview_of(db, key, period, limit=limit))


@router.post("/{key:segment}/preview", dependencies=[requires("read")])
def preview_written(key: str, written: Written, hub: HubOf, period: Period = None, limit: Shown = 50) -> DryRun:
    """The same of an action that is not written yet."""
    with hub.engine.connect() as db:
        action = lifecycle_actions.checked(db, written.said(key))
        return DryRun.model_validate(lifecycle_actions.preview(db, action, "", period, limit=limit))


@router.get("/{key:segment}/report", dependencies=[requires("read")])
def report(key: str, hub: HubOf) -> Report:
    """Whether it reached its goal, beside those that were held out."""
    with hub.engine.connect() as db:
        return Report.model_validate(lifecycle_actions.reported(db, key))


@router.get("/{key:segment}/fired", dependencies=[requires("read")])
def fired(
    key: str,
    hub: HubOf,
    passed: Annotated[bool, Query(description="also what was passed over")] = False,
    after: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Fired:
    """For whom it fired, and what became of it."""
    with hub.engine.connect() as db:
        rows = lifecycle_actions.fired(db, key, passed=passed, before=after, limit=limit)
    found = [Decided.model_validate(row) for row in rows]
    return Fired(action=key, fired=found, next=found[-1].id if len(found) == limit else None)
