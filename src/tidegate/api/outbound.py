"""Outbound over HTTP: whether anything is sent to Stripe at all."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel

from tidegate.api.auth import HubOf, requires
from tidegate.outbound import pausing
from tidegate.security.tokens import Token
from tidegate.workflows.outbound import outbound_changes

router = APIRouter(prefix="/api/outbound", tags=["outbound"])

Operator = Annotated[Token, requires("operate")]


class Outbound(BaseModel):
    """Whether outbound is paused, and if so since when (UTC) and by whom."""

    paused: bool
    by: str | None = None
    at: datetime | None = None


@router.get("", dependencies=[requires("read")])
def show(hub: HubOf) -> Outbound:
    """Whether anything is sent."""
    with hub.engine.connect() as db:
        found = pausing.paused(db)
    return Outbound(paused=found is not None, **(found or {}))


@router.post("/pause")
def pause(hub: HubOf, token: Operator) -> Outbound:
    """Lets nothing be sent to Stripe from now on: runs at work stop within seconds, none begins."""
    with hub.engine.begin() as db:
        return Outbound(paused=True, **outbound_changes.pause(db, f"token:{token.name}"))


@router.post("/resume")
def resume(hub: HubOf, token: Operator) -> Outbound:
    """Lets syncs run again."""
    with hub.engine.begin() as db:
        outbound_changes.resume(db, f"token:{token.name}")
    return Outbound(paused=False)
