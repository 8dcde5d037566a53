"""Mappings over HTTP: what Stripe's prices and products mean; set, removed, proposed, and what still waits."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.paging import After, Limit, page
from tidegate.api.previews import MOST_LISTED, Listed, Outcome, Previewed, TokenOf, outcome
from tidegate.api.values import STRICT
from tidegate.catalog import kept, mappings
from tidegate.catalog.mappings import Wanted
from tidegate.catalog.terms import Reset
from tidegate.errors import CatalogInvalid, CatalogUnknown
from tidegate.lifecycle import holders
from tidegate.security.tokens import Token
from tidegate.workflows.catalog import catalog_changes, catalog_suggest

router = APIRouter(prefix="/api/mappings", tags=["catalog"])

Named = Annotated[str | None, Query(alias="connection", description="name; one connection alone needs none")]
Admin = Annotated[Token, requires("admin")]
Keep = Annotated[
    bool, Field(description="subscriptions that have something of it keep that; false: everybody is concerned")
]


class Mapping(BaseModel):
    """A mapping in force; `contacts` is how many it gives something now. Times are UTC."""

    model_config = ConfigDict(extra="ignore")

    id: int
    connection: str
    price: str | None
    product: str | None
    product_name: str | None
    nickname: str | None
    interval: str | None
    interval_count: int | None
    package: str | None
    feature: str | None
    terms: dict[str, Any] | None
    per_quantity: bool
    managed_by: str
    created_at: datetime
    created_by: str
    contacts: int


class Mappings(BaseModel):
    """A page of mappings. `next`: what to give as `after` for the next page; null: there is none."""

    mappings: list[Mapping]
    next: str | None


class NewMapping(BaseModel):
    """What a price, or a product, is to mean from now on: a package, or a feature with its terms."""

    model_config = STRICT

    price: str | None = None
    product: str | None = None
    package: str | None = None
    feature: str | None = None
    limit: int | None = Field(default=None, description="of a metered feature: units for each period")
    unlimited: bool | None = None
    value: Any = Field(default=None, description="of a config feature")
    reset: Reset | None = None
    per_quantity: bool | None = Field(
        default=None, description="limits × quantity; null: so for add-ons and features only"
    )
    keep_holders: Keep = True
    token: TokenOf = None


class Removal(BaseModel):
    """How to remove a mapping."""

    model_config = STRICT

    keep_holders: Keep = True
    token: TokenOf = None


class Waiting(BaseModel):
    """A price that nothing maps. `list_value`: in minor units of `currency` per `interval_count` × `interval`."""

    model_config = ConfigDict(extra="ignore")

    price: str
    product: str | None
    product_name: str | None
    nickname: str | None
    subscriptions: int
    customers: int
    list_value: int | None
    currency: str | None
    interval: str | None
    interval_count: int | None
    since: datetime | None


class Queue(BaseModel):
    """A page of what waits, the most subscribed first. `next`: what to give as `after`; null: there is no more."""

    connection: str
    waiting: list[Waiting]
    next: str | None


class Kept(BaseModel):
    """What subscriptions keep of a price, whatever it means to those who come later."""

    model_config = ConfigDict(extra="ignore")

    connection: str
    price: str
    product: str | None
    product_name: str | None
    package: str | None
    feature: str | None
    terms: dict[str, Any] | None
    subscriptions: int
    since: datetime


class KeptPage(BaseModel):
    """A page of what is kept. `next`: what to give as `after`; null: there is no more."""

    kept: list[Kept]
    next: str | None


class Release(BaseModel):
    """The price, or the product, whose holders are to get what it means now, if anything."""

    model_config = STRICT

    price: str | None = None
    product: str | None = None
    token: TokenOf = None


class Suggestions(BaseModel):
    """A page of what is proposed, as entries of tidegate.yaml, and all that is `left` to a person. `next`: what to
    give as `after` for the next page; null: there is none.
    """

    connection: str
    suggestions: list[dict[str, Any]]
    left: list[dict[str, Any]]
    next: str | None


class Acceptance(BaseModel):
    """Which suggestions to accept, by name (`package:pro`); null: all."""

    model_config = STRICT

    names: list[str] | None = None
    token: TokenOf = None


@router.get("", dependencies=[requires("read")])
def listing(hub: HubOf, connection: Named = None, limit: Limit = 100, after: After = None) -> Mappings:
    """The mappings in force, of all connections or of the named one."""
    name = hub.account(connection).name if connection else None
    with hub.engine.connect() as db:
        shown, following = page(mappings.every(db, name), "id", limit, after)
        counted = holders.of_mappings(db, shown)
    return Mappings(mappings=[Mapping.model_validate(row) for row in counted], next=following)


@router.post("")
def set_(
    hub: HubOf,
    wanted: NewMapping,
    token: Admin,
    preview: Previewed = False,
    listed: Listed = MOST_LISTED,
    connection: Named = None,
) -> Outcome:
    """Maps a price or a product, in place of what it was mapped to. The result says who keeps what they had."""
    said = {"limit": wanted.limit, "unlimited": wanted.unlimited, "value": wanted.value, "reset": wanted.reset}
    mapping = Wanted(
        hub.account(connection).name,
        wanted.price,
        wanted.product,
        wanted.package,
        wanted.feature,
        {name: value for name, value in said.items() if value is not None} or None,
        wanted.per_quantity,
        by=f"token:{token.name}",
    )
    change = catalog_changes.set_mapping(mapping, keep_holders=wanted.keep_holders)
    return outcome(hub, change, preview, wanted.token, listed)


@router.post("/{mapping:segment}/remove")
def remove(
    mapping: int,
    hub: HubOf,
    token: Admin,
    wanted: Removal | None = None,
    preview: Previewed = False,
    listed: Listed = MOST_LISTED,
) -> Outcome:
    """Takes a mapping out of force; the preview names, per feature, who loses what."""
    asked = wanted or Removal()
    if mapping >= 2**63:
        raise CatalogUnknown(what="mapping", key=str(mapping), nearest="", list="mappings")
    with hub.engine.connect() as db:
        change = catalog_changes.remove_mapping(db, mapping, f"token:{token.name}", keep_holders=asked.keep_holders)
    return outcome(hub, change, preview, asked.token, listed)


@router.get("/queue", dependencies=[requires("read")])
def queue(hub: HubOf, connection: Named = None, limit: Limit = 100, after: After = None) -> Queue:
    """The prices of live subscriptions that nothing maps, with what waits on each."""
    name = hub.account(connection).name
    with hub.engine.connect() as db:
        shown, following = page(mappings.queue(db, name), "price", limit, after)
    return Queue(connection=name, waiting=[Waiting.model_validate(row) for row in shown], next=following)


@router.get("/kept", dependencies=[requires("read")])
def listing_kept(hub: HubOf, connection: Named = None, limit: Limit = 100, after: After = None) -> KeptPage:
    """What subscriptions keep of prices that mean something else now, or nothing."""
    name = hub.account(connection).name
    with hub.engine.connect() as db:
        rows = [row | {"at": f"{row['price']} {row['package'] or row['feature']}"} for row in kept.every(db, name)]
    shown, following = page(rows, "at", limit, after)
    return KeptPage(kept=[Kept.model_validate(row) for row in shown], next=following)


@router.post("/kept/release")
def release(
    hub: HubOf,
    wanted: Release,
    token: Admin,
    preview: Previewed = False,
    listed: Listed = MOST_LISTED,
    connection: Named = None,
) -> Outcome:
    """Ends what holders keep of a price, or of a product's prices; the preview names who loses what."""
    if bool(wanted.price) == bool(wanted.product):
        raise CatalogInvalid(problem="Name a price or a product.")
    name = hub.account(connection).name
    change = catalog_changes.release_kept(name, wanted.price, wanted.product, f"token:{token.name}")
    return outcome(hub, change, preview, wanted.token, listed)


@router.get("/suggestions", dependencies=[requires("read")])
def suggestions(hub: HubOf, connection: Named = None, limit: Limit = 100, after: After = None) -> Suggestions:
    """Features, packages and mappings proposed from products, prices and subscriptions, each with its reason."""
    name = hub.account(connection).name
    with hub.engine.connect() as db:
        found, left = catalog_suggest.found(db, name)
    shown, following = page([catalog_suggest.as_json(one) for one in found], "name", limit, after)
    return Suggestions(
        connection=name, suggestions=[*map(dict, shown)], left=[asdict(one) for one in left], next=following
    )


@router.post("/suggestions/accept")
def accept(
    hub: HubOf,
    token: Admin,
    wanted: Acceptance | None = None,
    preview: Previewed = False,
    listed: Listed = MOST_LISTED,
    connection: Named = None,
) -> Outcome:
    """Makes what the suggestions propose and grants what they give, all or nothing; removing the mappings undoes it."""
    asked = wanted or Acceptance()
    name = hub.account(connection).name
    with hub.engine.connect() as db:
        chosen = catalog_suggest.chosen(catalog_suggest.found(db, name)[0], asked.names or [])
    return outcome(hub, catalog_suggest.acceptance(name, chosen, f"token:{token.name}"), preview, asked.token, listed)
