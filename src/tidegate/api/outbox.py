"""The outbox over HTTP: what was told, and what became of it at each destination."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from tidegate.api.auth import HubOf, requires
from tidegate.api.paging import After, Limit
from tidegate.contacts import directory
from tidegate.delivery import outbox
from tidegate.errors import UsageError

router = APIRouter(prefix="/api/outbox", tags=["delivery"])


class Delivery(BaseModel):
    """What became of it at one destination: `state` is waiting, delivered or dead; `status` is of the last answer."""

    destination: str
    state: str
    attempts: int
    status: int | None
    error: str
    done_at: datetime | None


class Told(BaseModel):
    """A row of the outbox. `contact` null: it is about none; `history`: of what a first import read. Times are UTC."""

    id: int
    type: str
    at: datetime
    contact: str | None
    connection: str | None
    data: dict[str, Any]
    history: bool
    deliveries: list[Delivery]


class Outbox(BaseModel):
    """A page of what was told, the newest first. `next`: what to give as `after`; null: there is no further page."""

    outbox: list[Told]
    next: str | None


@router.get("", dependencies=[requires("read")])
def listing(
    hub: HubOf,
    type_: Annotated[str | None, Query(alias="type")] = None,
    contact: str | None = None,
    limit: Limit = 50,
    after: After = None,
) -> Outbox:
    """What was told, the newest first; of one `type`, or about one `contact`."""
    if after is not None and not (after.isascii() and after.isdigit()):
        raise UsageError(problem=f"{after[:40]!r} is no place in the list; take `next` of the page before.")
    with hub.engine.connect() as db:
        whose = directory.find(db, hub.livemode(), contact).key if contact is not None else None
        rows = outbox.page(db, type_=type_, contact=whose, before=int(after) if after else None, limit=limit + 1)
    return Outbox(
        outbox=[Told(**row) for row in rows[:limit]], next=str(rows[limit - 1]["id"]) if len(rows) > limit else None
    )
