"""Suppression of properties over HTTP: what no destination is told, whatever it asks for."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.paging import After, Limit, page
from tidegate.api.values import STRICT
from tidegate.delivery import suppressed_properties
from tidegate.security.tokens import Token
from tidegate.workflows.delivery import property_suppression

router = APIRouter(prefix="/api/suppressed-properties", tags=["delivery"])

Admin = Annotated[Token, requires("admin")]
Name = Annotated[str, Path(max_length=200, description="such as mrr, properties.tier or Product Name")]


class Why(BaseModel):
    """Why nobody is told of a property."""

    model_config = STRICT

    reason: str = Field(min_length=1, max_length=2_000)


class SuppressedProperty(BaseModel):
    """A property that no destination is told, since when, by whom and why. Times are UTC."""

    name: str
    reason: str
    by: str
    at: datetime
    managed_by: str


class SuppressedProperties(BaseModel):
    """A page of them by name. `next`: what to give as `after` for the next page; null: there is none."""

    properties: list[SuppressedProperty]
    next: str | None


@router.get("", dependencies=[requires("read")])
def listed(hub: HubOf, limit: Limit = 100, after: After = None) -> SuppressedProperties:
    """The properties that no destination is told."""
    with hub.engine.connect() as db:
        shown, following = page(suppressed_properties.every(db), "name", limit, after)
    return SuppressedProperties.model_validate({"properties": shown, "next": following})


@router.put("/{name:segment}")
def suppress(name: Name, why: Why, hub: HubOf, token: Admin) -> SuppressedProperty:
    """Tells nobody of it from now on."""
    with hub.engine.begin() as db:
        found = property_suppression.suppress(db, name, why.reason, f"token:{token.name}")
    return SuppressedProperty.model_validate(found)


@router.delete("/{name:segment}", status_code=204)
def unsuppress(name: Name, hub: HubOf, token: Admin) -> Response:
    """Tells of it again, and how it is now."""
    with hub.engine.begin() as db:
        property_suppression.unsuppress(db, name, f"token:{token.name}")
    return Response(status_code=204)
