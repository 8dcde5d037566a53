"""The review queue and the contact settings of a connection over HTTP."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.contacts import Named, OnlyPreview, Operator, PreviewToken, by
from tidegate.api.previews import MOST_LISTED, Listed
from tidegate.api.values import STRICT
from tidegate.contacts import reviewing
from tidegate.security.tokens import Token
from tidegate.workflows.contacts import contacts_review, contacts_settings

router = APIRouter(tags=["contacts"])

Reason = Literal["no_match", "id_unknown", "conflict"]


class Waiting(BaseModel):
    """A customer that no rule could place. `list_value`: what its live subscriptions come to before discounts, in minor
    units per currency and interval.
    """

    model_config = ConfigDict(extra="allow")

    customer: str
    reason: Reason
    candidates: list[dict[str, Any]]
    evidence: dict[str, Any]
    list_value: list[dict[str, Any]]


class Queue(BaseModel):
    """Waiting customers, longest first; `waiting` counts all of them by reason."""

    connection: str
    customers: list[Waiting]
    next: str | None
    waiting: dict[str, int]


class Acceptance(BaseModel):
    """Customers to settle: by id, or `all` that wait for `reason`; for `contact`, or contacts are made (null)."""

    model_config = STRICT

    customers: list[str] = Field(default=[], max_length=10_000)
    all: bool = False
    reason: Reason | None = None
    contact: str | None = None


class AcceptedBatch(BaseModel):
    """What an acceptance did; `batch` takes it back. `waiting`: customers that match several contacts by now."""

    batch: int
    linked: int
    created: int
    contacts: list[str]
    waiting: list[str]


class Undone(BaseModel):
    """What taking an acceptance back did; `kept`: contacts that have something of their own by now."""

    batch: int
    connection: str
    unlinked: int
    removed: int
    kept: list[str]


class ContactSettings(BaseModel):
    """How customers of a connection are matched; `set` is what differs from the defaults, `managed_by` who holds it."""

    connection: str
    settings: dict[str, Any]
    set: dict[str, Any]
    managed_by: str


class SettingsEffect(BaseModel):
    """What other settings do: to how many links and contacts, and how many customers are in review, then and before."""

    model_config = ConfigDict(extra="allow")

    token: str
    done: bool
    settings: dict[str, Any]
    linked: int
    created: int
    changed: int
    queued: int
    queued_before: int
    entitlements: int
    features: dict[str, list[dict[str, Any]]]


@router.get("/api/contact-reviews", dependencies=[requires("read")])
def queue(
    hub: HubOf,
    reason: Reason | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    after: Annotated[str, Query(description="`next` of the page before")] = "",
    connection: Named = None,
) -> Queue:
    """The customers of a connection that wait for a person, longest first."""
    account = hub.account(connection)
    with hub.engine.connect() as db:
        rows, place = reviewing.queue(db, account.name, reason=reason, after=after, limit=limit)
        counts = reviewing.counts(db, account.name)
    found = {"connection": account.name, "customers": rows, "next": place, "waiting": counts}
    return Queue.model_validate(found)


@router.post("/api/contact-reviews/accept")
def accept(what: Acceptance, hub: HubOf, token: Operator, connection: Named = None) -> AcceptedBatch:
    """Makes contacts of waiting customers, or gives them to a contact."""
    done = contacts_review.accept(
        hub.engine,
        hub.account(connection),
        what.customers,
        by(token),
        contact=what.contact,
        every=what.all,
        reason=what.reason,
    )
    return AcceptedBatch.model_validate(done)


@router.post("/api/contact-reviews/batches/{batch:segment}/undo")
def undo(batch: int, hub: HubOf, token: Operator) -> Undone:
    """Takes an acceptance back: its customers wait again."""
    return Undone.model_validate(contacts_review.undo(hub.engine, batch, by(token)))


@router.get("/api/contact-settings", dependencies=[requires("read")])
def show_settings(hub: HubOf, connection: Named = None) -> ContactSettings:
    """How the customers of a connection are matched."""
    account = hub.account(connection)
    with hub.engine.connect() as db:
        return ContactSettings(connection=account.name, **contacts_settings.current(db, account.name))


@router.patch("/api/contact-settings")
def change_settings(
    given: dict[str, Any],
    hub: HubOf,
    token: Annotated[Token, requires("admin")],
    preview: OnlyPreview = False,
    preview_token: PreviewToken = None,
    listed: Listed = MOST_LISTED,
    connection: Named = None,
) -> SettingsEffect:
    """Changes settings (null: the default) and matches every customer anew; what takes something needs its preview's
    token.
    """
    account = hub.account(connection)
    if preview:
        effect = contacts_settings.preview(hub.engine, account, given)
    else:
        effect = contacts_settings.commit(hub.engine, account, given, by(token), preview_token)
    return SettingsEffect.model_validate(effect.as_json(listed))
