"""Usage on its way to Stripe's meters, over HTTP: what is not told, tried again, given up."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.values import STRICT
from tidegate.entitlements import forwards
from tidegate.entitlements.forwards import State

router = APIRouter(prefix="/api/usage", tags=["entitlements"])


class Debit(BaseModel):
    """A debit that is, or was, to be told. `value` below 0: given back; `customer` null: nobody pays for it yet;
    `error`: why it is not told; `takes_back`: the debit whose event it cancels. Times are UTC.
    """

    model_config = ConfigDict(extra="ignore")

    id: int
    contact: str
    feature: str
    meter: str
    value: int
    at: datetime
    connection: str | None
    customer: str | None
    state: State
    error: str
    takes_back: int | None
    next_try_at: datetime
    settled_at: datetime | None


class Usage(BaseModel):
    """A page of debits, oldest first. `next`: what to give as `after` for the next page; null: there is none."""

    usage: list[Debit]
    next: int | None


class Numbers(BaseModel):
    """Debits by their numbers."""

    model_config = STRICT

    ids: list[int] | None = Field(default=None, description="also of unknown outcome; without: all that failed")


class Chosen(BaseModel):
    """Debits by their numbers."""

    model_config = STRICT

    ids: list[int]


class Changed(BaseModel):
    """How many debits it were."""

    changed: int


@router.get("", dependencies=[requires("read")])
def listing(
    hub: HubOf,
    state: Annotated[State | None, Query(description="only these; without: all that are not told")] = None,
    connection: str | None = None,
    limit: Annotated[int, Query(ge=1, le=500, description="rows of a page")] = 100,
    after: Annotated[int, Query(description="`next` of the page before")] = 0,
) -> Usage:
    """What was consumed of features that name a meter, and is not told to Stripe, or is in this state."""
    livemode = hub.livemode(connection)
    with hub.engine.connect() as db:
        rows = forwards.listing(db, livemode, state, limit + 1, after)
    shown = [Debit.model_validate(row) for row in rows[:limit]]
    return Usage(usage=shown, next=shown[-1].id if len(rows) > limit else None)


@router.post("/retry", dependencies=[requires("operate")])
def retry(hub: HubOf, wanted: Numbers, connection: str | None = None) -> Changed:
    """Lets debits be told anew that Stripe refused; named ones also when nobody knows whether it counted them."""
    livemode = hub.livemode(connection)
    with hub.engine.begin() as db:
        return Changed(changed=forwards.retry(db, livemode, wanted.ids))


@router.post("/discard", dependencies=[requires("operate")])
def discard(hub: HubOf, wanted: Chosen, connection: str | None = None) -> Changed:
    """Gives up telling debits, or says of those of unknown outcome that Stripe has them."""
    livemode = hub.livemode(connection)
    with hub.engine.begin() as db:
        return Changed(changed=forwards.discard(db, livemode, wanted.ids))
