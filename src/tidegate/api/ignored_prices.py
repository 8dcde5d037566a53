"""Prices that are to mean nothing, over HTTP: which there are, ignored and heeded again."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from tidegate.api.auth import HubOf, requires
from tidegate.api.paging import After, Limit, page
from tidegate.catalog import ignoring
from tidegate.security.tokens import Token
from tidegate.wiring import Hub
from tidegate.workflows.catalog import catalog_changes
from tidegate.workflows.previewing import settle

router = APIRouter(prefix="/api/mappings/ignored", tags=["catalog"])

Named = Annotated[str | None, Query(alias="connection", description="name; one connection alone needs none")]
Admin = Annotated[Token, requires("admin")]


class Ignored(BaseModel):
    """A price that is to mean nothing. The time is UTC. `managed_by`: file, where tidegate.yaml manages that."""

    model_config = ConfigDict(extra="ignore")

    price: str
    product_name: str | None
    nickname: str | None
    at: datetime
    by: str
    managed_by: str


class IgnoredPage(BaseModel):
    """A page of what is ignored, by price. `next`: what to give as `after`; null: there is no more."""

    connection: str
    ignored: list[Ignored]
    next: str | None


class Heeding(BaseModel):
    """Whether a price is ignored now, and whether that is new."""

    connection: str
    price: str
    ignored: bool
    changed: bool


@router.get("", dependencies=[requires("read")])
def listing_ignored(hub: HubOf, connection: Named = None, limit: Limit = 100, after: After = None) -> IgnoredPage:
    """The prices that are to mean nothing, which therefore wait for no mapping."""
    name = hub.account(connection).name
    with hub.engine.connect() as db:
        shown, following = page(ignoring.every(db, name), "price", limit, after)
    return IgnoredPage(connection=name, ignored=[Ignored.model_validate(row) for row in shown], next=following)


@router.put("/{price:segment}")
def ignore(price: str, hub: HubOf, token: Admin, connection: Named = None) -> Heeding:
    """Lets a price mean nothing: it gives nobody anything, and waits for no mapping any more."""
    return _heeding(hub, price, token, connection, heed=False)


@router.delete("/{price:segment}")
def heed(price: str, hub: HubOf, token: Admin, connection: Named = None) -> Heeding:
    """Lets a price wait for a mapping again, where it is subscribed to."""
    return _heeding(hub, price, token, connection, heed=True)


def _heeding(hub: Hub, price: str, token: Token, connection: str | None, *, heed: bool) -> Heeding:
    name = hub.account(connection).name
    change = catalog_changes.ignore_price(name, price, f"token:{token.name}", heed=heed)
    return Heeding.model_validate(settle(hub.engine, change).result)
