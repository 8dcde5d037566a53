"""Contacts over HTTP: listed, shown, linked, renamed, with members; changes that hurt are previewed first."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from tidegate.api.auth import HubOf, requires
from tidegate.contacts import directory
from tidegate.contacts.listing import Filter, subscriptions
from tidegate.security.tokens import Token
from tidegate.wiring import Hub
from tidegate.workflows import contacts as workflow
from tidegate.workflows import previewing
from tidegate.workflows.previewing import Change

router = APIRouter(prefix="/api/contacts", tags=["contacts"])

Named = Annotated[str | None, Query(alias="connection", description="name; one connection alone needs none")]
Ref = Annotated[
    str, Path(description="an id of the contact, present or former; `account:acme` where a user has it too")
]
OnlyPreview = Annotated[bool, Query(description="only tell what it would change, with a token for doing it")]
PreviewToken = Annotated[
    str | None, Query(alias="token", description="of a preview: 409 when it would change something else now")
]
Operator = Annotated[Token, requires("operate")]


class ContactRow(BaseModel):
    """A contact of a list. `customers`: how many are linked to it. Times are UTC."""

    model_config = ConfigDict(extra="allow")

    contact: str
    kind: str
    id: str
    name: str
    email: str
    customers: int
    live_subscriptions: int


class ContactPage(BaseModel):
    """Contacts, the oldest first; `next` is `after` of the next page, null on the last one."""

    contacts: list[ContactRow]
    next: str | None


class Shown(BaseModel):
    """A contact with all that is known of it: ids, e-mails, links with method, evidence and time, members or accounts,
    packages, subscriptions, usage, changes.
    """

    model_config = ConfigDict(extra="allow")

    contact: str
    kind: str
    id: str
    billing_id: str | None
    links: list[dict[str, Any]]


class Effect(BaseModel):
    """What a change does to entitlements, per feature and contact; `token` does just that."""

    token: str
    done: bool
    contacts: int
    lost: int
    gained: int
    changed: int
    features: dict[str, list[dict[str, Any]]]
    result: Any = None


class NewLink(BaseModel):
    """A customer to link by hand."""

    model_config = ConfigDict(extra="forbid")

    customer: str = Field(description="Stripe's id, cus_…; the mirror must have it", min_length=1, max_length=255)


class NewId(BaseModel):
    """An id of yours for a contact."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=500)


class Membership(BaseModel):
    """A user's role in an account; free text."""

    model_config = ConfigDict(extra="forbid")

    role: str = Field(default="", max_length=200)


class Member(BaseModel):
    """A user that belongs to an account; `role` null: no longer."""

    account: str
    user: str
    role: str | None


def by(token: Token) -> str:
    """A token as the record of changes names it."""
    return f"token:{token.name}"


def carried_out(hub: Hub, change: Change, only_preview: bool, token: str | None) -> Effect:
    """The change tried, or done. Raises PreviewStale and what the change raises."""
    found = previewing.preview(hub.engine, change) if only_preview else previewing.commit(hub.engine, change, token)
    return Effect.model_validate(found.as_json())


@router.get("", dependencies=[requires("read")])
def list_(
    hub: HubOf,
    kind: Literal["user", "account"] | None = None,
    search: Annotated[str, Query(max_length=200, description="a part of an id, a name or an e-mail")] = "",
    linked: Annotated[bool | None, Query(description="only those with customers, or without")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    after: Annotated[str, Query(description="`next` of the page before")] = "",
    connection: Named = None,
) -> ContactPage:
    """Contacts of live or of test data, whichever the connection has."""
    wanted = Filter(hub.livemode(connection), kind, search, linked, connection)
    with hub.engine.connect() as db:
        return ContactPage.model_validate(workflow.page(db, wanted, after, limit))


@router.get("/{contact}", dependencies=[requires("read")])
def show(contact: Ref, hub: HubOf, connection: Named = None) -> Shown:
    """The contact, by any id it ever had."""
    with hub.engine.connect() as db:
        return Shown.model_validate(workflow.shown(db, directory.find(db, hub.livemode(connection), contact)))


@router.get("/{contact}/subscriptions", dependencies=[requires("read")])
def list_subscriptions(contact: Ref, hub: HubOf, connection: Named = None) -> list[dict[str, Any]]:
    """The subscriptions of the contact's customers with their items, newest first; amounts in minor units."""
    with hub.engine.connect() as db:
        return subscriptions(db, directory.find(db, hub.livemode(connection), contact).key)


@router.post("/{contact}/links")
def link(
    contact: Ref,
    new: NewLink,
    hub: HubOf,
    token: Operator,
    preview: OnlyPreview = False,
    preview_token: PreviewToken = None,
    connection: Named = None,
) -> Effect:
    """Makes a Stripe customer this contact's by hand; no matching changes that any more."""
    change = workflow.linked(hub.account(connection), new.customer, contact, by(token))
    return carried_out(hub, change, preview, preview_token)


@router.delete("/{contact}/links/{customer}")
def unlink(
    contact: Ref,
    customer: str,
    hub: HubOf,
    token: Operator,
    rematch: Annotated[bool, Query(description="let matching decide again, instead of keeping it apart")] = False,
    preview: OnlyPreview = False,
    preview_token: PreviewToken = None,
    connection: Named = None,
) -> Effect:
    """Takes a Stripe customer from this contact and keeps it apart."""
    change = workflow.unlinked(hub.account(connection), customer, by(token), rematch=rematch, ref=contact)
    return carried_out(hub, change, preview, preview_token)


@router.post("/{contact}/ids")
def add_id(contact: Ref, new: NewId, hub: HubOf, token: Operator, connection: Named = None) -> Shown:
    """Lets one more id lead to the contact."""
    workflow.alias(hub.engine, hub.livemode(connection), contact, new.id, by(token))
    return show(contact, hub, connection)


@router.delete("/{contact}/ids/{other}")
def remove_id(contact: Ref, other: str, hub: HubOf, token: Operator, connection: Named = None) -> Shown:
    """Lets a former id of the contact lead to nobody."""
    found = workflow.alias(hub.engine, hub.livemode(connection), contact, other, by(token), remove=True)
    return show(found.ref, hub, connection)


@router.put("/{contact}/members/{user}")
def join(contact: Ref, user: str, role: Membership, hub: HubOf, token: Operator, connection: Named = None) -> Member:
    """Makes a user a member of this account, or changes its role."""
    found = workflow.member(hub.engine, hub.livemode(connection), contact, user, by(token), role=role.role)
    return Member(account=found[0].ref, user=found[1].ref, role=role.role)


@router.delete("/{contact}/members/{user}")
def leave(contact: Ref, user: str, hub: HubOf, token: Operator, connection: Named = None) -> Member:
    """Ends a user's membership in this account."""
    found = workflow.member(hub.engine, hub.livemode(connection), contact, user, by(token), role=None)
    return Member(account=found[0].ref, user=found[1].ref, role=None)
