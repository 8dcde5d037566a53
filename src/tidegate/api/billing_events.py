"""Billing events over HTTP: what happened to money and to subscriptions, the newest first."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.values import Moment
from tidegate.contacts import directory
from tidegate.revenue import events
from tidegate.revenue.events import Filter

router = APIRouter(prefix="/api/billing-events", tags=["revenue"])


class BillingEvent(BaseModel):
    """An event. `id` is the same however often it is derived; `at` is its date, `recorded_at` when it was written.
    `data` has amounts in minor units, and under `properties` what an analytics tool is sent, with decimals.
    """

    id: str
    name: str
    at: datetime
    customer: str
    contact: str | None
    identity: str
    subscription: str | None
    invoice: str | None
    currency: str | None
    amount: int | None = Field(description="in minor units")
    reverses: str | None = Field(description="the id of the event that it takes back")
    recorded_at: datetime
    data: dict[str, Any]


class BillingEvents(BaseModel):
    """Events, the newest first; `next` is `after` of the next page, null on the last one."""

    events: list[BillingEvent]
    next: str | None


@router.get("", dependencies=[requires("read")])
def list_(
    hub: HubOf,
    contact: Annotated[str | None, Query(description="an id of the contact, present or former")] = None,
    customer: Annotated[str | None, Query(description="Stripe's id")] = None,
    name: Annotated[str | None, Query(description="such as Subscription Billed")] = None,
    begin: Annotated[Moment | None, Query(alias="from", description="dated then or later; UTC")] = None,
    end: Annotated[Moment | None, Query(alias="to", description="dated before; UTC")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    after: Annotated[str, Query(description="`next` of the page before")] = "",
    connection: Annotated[str | None, Query(description="name; one connection alone needs none")] = None,
) -> BillingEvents:
    """What happened to money and to subscriptions."""
    account = hub.account(connection)
    with hub.engine.connect() as db:
        key = None if contact is None else directory.find(db, account.livemode, contact).key
        wanted = Filter(account.name, key, customer, name, _utc(begin), _utc(end))
        return BillingEvents.model_validate(events.page(db, wanted, after=after, limit=limit))


def _utc(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
