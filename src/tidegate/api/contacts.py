"""Contacts over HTTP: listed, shown, linked, renamed, with members; changes that hurt are previewed first."""

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Response

from tidegate.api.auth import HubOf, requires
from tidegate.api.contact_models import (
    ContactChange,
    ContactPage,
    Forgotten,
    Invoices,
    Member,
    Membership,
    Merge,
    NewContact,
    NewId,
    NewLink,
    Other,
    Refreshed,
    Shown,
    Subscriptions,
)
from tidegate.api.paging import After, Limit, page
from tidegate.api.previews import MOST_LISTED, Listed, Outcome, outcome
from tidegate.contacts import directory, invoices
from tidegate.contacts.listing import Filter, subscriptions
from tidegate.contacts.records import Record
from tidegate.errors import UsageError
from tidegate.security.tokens import Token
from tidegate.workflows.contacts import contacts as workflow
from tidegate.workflows.contacts import contacts_edit, contacts_fetch, contacts_forget, contacts_merge

router = APIRouter(prefix="/api/contacts", tags=["contacts"])

Named = Annotated[str | None, Query(alias="connection", description="name; one connection alone needs none")]
Ref = Annotated[
    str, Path(description="an id of the contact, present or former; `account:acme` where a user has it too")
]
OnlyPreview = Annotated[bool, Query(description="only tell what it would change, with a token for doing it")]
PreviewToken = Annotated[
    str | None,
    Query(
        alias="token",
        description="of a preview, needed where it takes something: 409 when it would change something else now",
    ),
]
Operator = Annotated[Token, requires("operate")]


def by(token: Token) -> str:
    """A token as the record of changes names it."""
    return f"token:{token.name}"


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


@router.post("", responses={201: {"model": Shown, "description": "It was made."}})
def put(new: NewContact, response: Response, hub: HubOf, token: Operator, connection: Named = None) -> Shown:
    """Makes a contact (201), or changes the one of that id (200); customers that it may be are matched anew."""
    livemode = hub.livemode(connection)
    record = Record(
        new.kind,
        new.id,
        new.name,
        tuple(new.emails),
        tuple(new.domains),
        new.account,
        new.role,
        new.owner,
        new.properties,
        tuple(new.billing_ids),
    )
    named = hub.account(connection).name if new.billing_ids else None
    found, made = contacts_edit.put(hub.engine, livemode, record, by(token), connection=named)
    response.status_code = 201 if made else 200
    response.headers["Location"] = f"/api/contacts/{quote(found.ref, safe='')}"
    return show(found.ref, hub, connection)


@router.patch("/{contact:segment}")
def change(contact: Ref, what: ContactChange, hub: HubOf, token: Operator, connection: Named = None) -> Shown:
    """Changes what is given of a contact."""
    livemode, given = hub.livemode(connection), what.model_dump(exclude_unset=True)
    new_id = given.pop("id", "") or None
    found = contacts_edit.change(hub.engine, livemode, contact, given, by(token), external_id=new_id)
    return show(found.ref, hub, connection)


@router.get("/{contact:segment}", dependencies=[requires("read")])
def show(contact: Ref, hub: HubOf, connection: Named = None) -> Shown:
    """The contact, by any id it ever had."""
    with hub.engine.connect() as db:
        return Shown.model_validate(workflow.shown(db, directory.find(db, hub.livemode(connection), contact)))


@router.get("/{contact:segment}/subscriptions", dependencies=[requires("read")])
def list_subscriptions(
    contact: Ref, hub: HubOf, limit: Limit = 100, after: After = None, connection: Named = None
) -> Subscriptions:
    """The subscriptions of the contact's customers with their items, newest first; amounts in minor units."""
    with hub.engine.connect() as db:
        found = subscriptions(db, directory.find(db, hub.livemode(connection), contact).key)
    shown, following = page(found, "id", limit, after)
    return Subscriptions(subscriptions=[*map(dict, shown)], next=following)


@router.get("/{contact:segment}/invoices", dependencies=[requires("read")])
def list_invoices(
    contact: Ref,
    hub: HubOf,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    after: Annotated[str, Query(description="`next` of the page before")] = "",
    connection: Named = None,
) -> Invoices:
    """The invoices of the contact's customers as the mirror has them, newest first; amounts in minor units."""
    with hub.engine.connect() as db:
        found = directory.find(db, hub.livemode(connection), contact)
        return Invoices.model_validate(invoices.page(db, found, after=after, limit=limit))


@router.post("/{contact:segment}/refresh", dependencies=[requires("entitlements")])
def refresh(
    contact: Ref,
    hub: HubOf,
    customer: Annotated[
        str | None, Query(description="this Stripe customer (cus_…) as well, though it may be new", max_length=255)
    ] = None,
    connection: Named = None,
) -> Refreshed:
    """Reads the contact's subscriptions from Stripe now, and answers what it may use; for who comes from Checkout."""
    account = hub.account(connection) if customer is not None else None
    livemode = hub.livemode(connection)
    found = contacts_fetch.fetch(hub.engine, hub.stripe, livemode, contact, customer=customer, account=account)
    return Refreshed.model_validate(found)


@router.post("/{contact:segment}/links")
def link(
    contact: Ref,
    new: NewLink,
    hub: HubOf,
    token: Operator,
    preview: OnlyPreview = False,
    preview_token: PreviewToken = None,
    listed: Listed = MOST_LISTED,
    connection: Named = None,
) -> Outcome:
    """Makes a Stripe customer this contact's by hand; no matching changes that any more."""
    change = workflow.linked(hub.account(connection), new.customer, contact, by(token))
    return outcome(hub, change, preview, preview_token, listed)


@router.delete("/{contact:segment}/links/{customer:segment}")
def unlink(
    contact: Ref,
    customer: str,
    hub: HubOf,
    token: Operator,
    rematch: Annotated[bool, Query(description="let matching decide again, instead of keeping it apart")] = False,
    preview: OnlyPreview = False,
    preview_token: PreviewToken = None,
    listed: Listed = MOST_LISTED,
    connection: Named = None,
) -> Outcome:
    """Takes a Stripe customer from this contact and keeps it apart."""
    change = workflow.unlinked(hub.account(connection), customer, by(token), rematch=rematch, ref=contact)
    return outcome(hub, change, preview, preview_token, listed)


@router.post("/{contact:segment}/ids")
def add_id(contact: Ref, new: NewId, hub: HubOf, token: Operator, connection: Named = None) -> Shown:
    """Lets one more id lead to the contact."""
    contacts_edit.alias(hub.engine, hub.livemode(connection), contact, new.id, by(token))
    return show(contact, hub, connection)


@router.delete("/{contact:segment}/ids/{other:segment}")
def remove_id(contact: Ref, other: str, hub: HubOf, token: Operator, connection: Named = None) -> Shown:
    """Lets a former id of the contact lead to nobody."""
    found = contacts_edit.alias(hub.engine, hub.livemode(connection), contact, other, by(token), remove=True)
    return show(found.ref, hub, connection)


@router.post("/{contact:segment}/merge")
def merge(
    contact: Ref,
    what: Other,
    hub: HubOf,
    token: Operator,
    preview: OnlyPreview = False,
    preview_token: PreviewToken = None,
    listed: Listed = MOST_LISTED,
    connection: Named = None,
) -> Outcome:
    """Makes another contact part of this one; `result.merge` is the number that parts them again."""
    change = contacts_merge.merged(hub.livemode(connection), contact, what.other, by(token))
    return outcome(hub, change, preview, preview_token, listed)


@router.post("/{contact:segment}/unmerge")
def unmerge(
    contact: Ref,
    what: Merge,
    hub: HubOf,
    token: Operator,
    preview: OnlyPreview = False,
    preview_token: PreviewToken = None,
    listed: Listed = MOST_LISTED,
    connection: Named = None,
) -> Outcome:
    """Parts this contact from one that was merged into it."""
    with hub.engine.connect() as db:
        key = directory.find(db, hub.livemode(connection), contact).key
    return outcome(hub, contacts_merge.unmerged(what.merge, by(token), of=key), preview, preview_token, listed)


@router.post("/{contact:segment}/forget")
def forget(
    contact: Ref,
    hub: HubOf,
    token: Annotated[Token, requires("admin")],
    preview: OnlyPreview = False,
    preview_token: PreviewToken = None,
    connection: Named = None,
) -> Forgotten:
    """Erases a person's data for good: preview it first, and give its token to do it."""
    if not preview and preview_token is None:
        raise UsageError(problem="Nothing was erased: ask with ?preview=true first, and then with the token it tells.")
    found = contacts_forget.forget(
        hub.engine, hub.livemode(connection), contact, by(token), only_preview=preview, token=preview_token
    )
    return Forgotten.model_validate(found.as_json())


@router.put("/{contact:segment}/members/{user:segment}")
def join(contact: Ref, user: str, role: Membership, hub: HubOf, token: Operator, connection: Named = None) -> Member:
    """Makes a user a member of this account, or changes its role."""
    found = contacts_edit.member(hub.engine, hub.livemode(connection), contact, user, by(token), role=role.role)
    return Member(account=found[0].ref, user=found[1].ref, role=role.role)


@router.delete("/{contact:segment}/members/{user:segment}")
def leave(contact: Ref, user: str, hub: HubOf, token: Operator, connection: Named = None) -> Member:
    """Ends a user's membership in this account."""
    found = contacts_edit.member(hub.engine, hub.livemode(connection), contact, user, by(token), role=None)
    return Member(account=found[0].ref, user=found[1].ref, role=None)
