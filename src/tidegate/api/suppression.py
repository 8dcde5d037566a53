"""Suppression over HTTP: contacts of which no destination is told, and for which no action fires."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from tidegate.api.auth import HubOf
from tidegate.api.contacts import Named, Operator, Ref, by
from tidegate.api.values import STRICT
from tidegate.workflows.contacts import contacts_suppress

router = APIRouter(prefix="/api/contacts", tags=["contacts"])


class Reason(BaseModel):
    """Why nobody is told of a contact."""

    model_config = STRICT

    reason: str = Field(min_length=1, max_length=2_000)


class Suppressed(BaseModel):
    """Since when, by whom and why nobody is told. Times are UTC."""

    reason: str
    by: str
    at: datetime


class Suppression(BaseModel):
    """Whether a contact is suppressed (null: it is not); `taken_back`: deliveries that waited."""

    contact: str
    suppressed: Suppressed | None
    taken_back: int


@router.put("/{contact:segment}/suppression")
def suppress(contact: Ref, why: Reason, hub: HubOf, token: Operator, connection: Named = None) -> Suppression:
    """Tells nobody of it from now on, but that it was forgotten; what waits is taken back."""
    with hub.engine.begin() as db:
        found = contacts_suppress.suppress(db, hub.livemode(connection), contact, why.reason, by(token))
    return Suppression.model_validate(found)


@router.delete("/{contact:segment}/suppression")
def unsuppress(contact: Ref, hub: HubOf, token: Operator, connection: Named = None) -> Suppression:
    """Tells of it again, of what happens from now on, and how it is now."""
    with hub.engine.begin() as db:
        found = contacts_suppress.unsuppress(db, hub.livemode(connection), contact, by(token))
    return Suppression.model_validate(found)
