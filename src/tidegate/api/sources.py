"""Sources over HTTP: listed, made, tried, removed."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.paging import After, Limit, page
from tidegate.api.values import STRICT
from tidegate.outbound import syncs
from tidegate.security.tokens import Token
from tidegate.workflows.outbound import outbound_changes, sources

router = APIRouter(prefix="/api/sources", tags=["outbound"])

Admin = Annotated[Token, requires("admin")]


class Source(BaseModel):
    """A source; its URL without secrets, or `$NAME` for one that the environment holds. Times are UTC."""

    model_config = ConfigDict(extra="ignore")

    key: str
    url: str
    managed_by: str
    made_at: datetime


class Sources(BaseModel):
    """A page of sources by key. `next`: what to give as `after` for the next page; null: there is none."""

    sources: list[Source]
    next: str | None


class NewSource(BaseModel):
    """A source to make or replace: its URL, which is encrypted where it holds a secret, or the variable with it."""

    model_config = STRICT

    key: str
    url: str = ""
    env: str = Field(default="", description="the variable of the hub's environment that holds the URL")


class Tried(BaseModel):
    """A source that answered, and what it was asked for."""

    source: str
    url: str
    asked: str


@router.get("", dependencies=[requires("read")])
def listing(hub: HubOf, limit: Limit = 100, after: After = None) -> Sources:
    """The sources by key."""
    with hub.engine.connect() as db:
        rows = syncs.every(db, "sources")
    shown, following = page(rows, "key", limit, after)
    return Sources(sources=[Source.model_validate(dict(row)) for row in shown], next=following)


@router.post("", status_code=201)
def put(hub: HubOf, wanted: NewSource, token: Admin) -> Source:
    """Makes a source, or replaces one. It is not asked anything; `…/test` does."""
    with hub.engine.begin() as db:
        known = outbound_changes.define_source(
            db, wanted.key, wanted.url, wanted.env, lambda: hub.vault, f"token:{token.name}"
        )
    return Source.model_validate(known)


@router.post("/{key:segment}/test", dependencies=[requires("operate")])
def test(key: str, hub: HubOf) -> Tried:
    """Asks a source for a row of a model over it, or just whether it is there."""
    with hub.engine.connect() as db:
        found: dict[str, Any] = sources.tried(hub.engine, db, key, hub.source_url)
    return Tried.model_validate(found)


@router.delete("/{key:segment}", status_code=204)
def remove(key: str, hub: HubOf, token: Admin) -> Response:
    """Removes a source that no model names."""
    with hub.engine.begin() as db:
        outbound_changes.remove(db, "sources", key, f"token:{token.name}")
    return Response(status_code=204)
