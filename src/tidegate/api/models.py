"""Models over HTTP: listed, made, previewed, removed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.paging import After, Limit, page
from tidegate.api.values import STRICT
from tidegate.outbound import specs, syncs
from tidegate.security.tokens import Token
from tidegate.workflows.outbound import outbound_changes, sources

router = APIRouter(prefix="/api/models", tags=["outbound"])

Admin = Annotated[Token, requires("admin")]


class Model(BaseModel):
    """A model: SQL, or a table's name. Times are UTC."""

    key: str
    source: str
    sql: str
    table: str
    primary_key: list[str]
    managed_by: str
    made_at: datetime


class Models(BaseModel):
    """A page of models by key. `next`: what to give as `after` for the next page; null: there is none."""

    models: list[Model]
    next: str | None


class NewModel(BaseModel):
    """A model to make or replace, as tidegate.yaml says it: `sql` or a `table`."""

    model_config = STRICT

    key: str
    source: str
    sql: str = ""
    table: str = ""
    primary_key: str | list[str] = Field(description="the column, or the columns, that tell its rows apart")


class Preview(BaseModel):
    """The columns of a model with the types they arrive as, and its first rows."""

    model_config = ConfigDict(extra="ignore")

    model: str
    primary_key: list[str]
    columns: list[dict[str, str]]
    rows: list[dict[str, Any]]


def shown(row: Mapping[str, Any]) -> Model:
    """A row of `models` as the API shows it."""
    return Model.model_validate({**row, "table": row["table_name"]})


@router.get("", dependencies=[requires("read")])
def listing(hub: HubOf, limit: Limit = 100, after: After = None) -> Models:
    """The models by key."""
    with hub.engine.connect() as db:
        rows = syncs.every(db, "models")
    some, following = page(rows, "key", limit, after)
    return Models(models=[shown(row) for row in some], next=following)


@router.post("", status_code=201)
def put(hub: HubOf, wanted: NewModel, token: Admin) -> Model:
    """Makes a model, or replaces one. Its query is not tried; `…/preview` does."""
    model = specs.model(wanted.model_dump(exclude_unset=True))
    with hub.engine.begin() as db:
        return shown(outbound_changes.define_model(db, model, f"token:{token.name}"))


@router.get("/{key:segment}/preview", dependencies=[requires("operate")])
def preview(
    key: str, hub: HubOf, limit: Annotated[int, Query(ge=1, le=100, description="rows to show")] = 10
) -> Preview:
    """The model's columns with their types, and its first rows as they are in the source."""
    with hub.engine.connect() as db:
        model = syncs.model(db, key)
    return Preview.model_validate(sources.preview(hub.engine, model, hub.source_url, limit, keys=False))


@router.delete("/{key:segment}", status_code=204)
def remove(key: str, hub: HubOf, token: Admin) -> Response:
    """Removes a model that no sync names."""
    with hub.engine.begin() as db:
        outbound_changes.remove(db, "models", key, f"token:{token.name}")
    return Response(status_code=204)
