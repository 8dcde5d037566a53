"""Features over HTTP: listed, made, changed, removed."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.paging import After, Limit, page
from tidegate.api.previews import MOST_LISTED, Listed, Outcome, Previewed, TokenOf, outcome
from tidegate.api.values import STRICT
from tidegate.catalog import features, journal
from tidegate.catalog.terms import FeatureType, Reset
from tidegate.errors import CatalogInvalid
from tidegate.security.tokens import Token
from tidegate.workflows.catalog.catalog_changes import define_feature, remove_feature

router = APIRouter(prefix="/api/features", tags=["catalog"])


class Feature(BaseModel):
    """A feature. `managed_by`: file, where tidegate.yaml manages it; it is read-only here then."""

    model_config = ConfigDict(extra="ignore")

    key: str
    name: str
    type: FeatureType
    unit: str
    reset: Reset
    meter: str
    managed_by: str


class Features(BaseModel):
    """A page of features by key. `next`: what to give as `after` for the next page; null: there is none."""

    features: list[Feature]
    next: str | None


class NewFeature(BaseModel):
    """A feature to make. Its type stays for good."""

    model_config = STRICT

    key: str = Field(description="what your code calls it")
    type: FeatureType
    name: str = ""
    unit: str = Field(default="", description="of a metered one: seat, call, …")
    reset: Reset = Field(default="month", description="of a metered one, where terms say none")
    meter: str = Field(default="", description="event name of Stripe's meter that its usage is told to; empty: to none")


class FeatureChange(BaseModel):
    """What to change of a feature; what is not given stays."""

    model_config = STRICT

    name: str | None = None
    unit: str | None = None
    reset: Reset | None = None
    meter: str | None = None
    token: TokenOf = None


@router.get("", dependencies=[requires("read")])
def listing(
    hub: HubOf,
    limit: Limit = 100,
    after: After = None,
    type: Annotated[Literal["boolean", "config", "metered"] | None, Query(description="only these")] = None,  # noqa: A002
) -> Features:
    """The features by key."""
    with hub.engine.connect() as db:
        rows = [row for row in features.every(db) if type in (None, row["type"])]
    shown, following = page(rows, "key", limit, after)
    return Features(features=[Feature.model_validate(row) for row in shown], next=following)


@router.post("", status_code=201)
def make(hub: HubOf, wanted: NewFeature, token: Annotated[Token, requires("admin")]) -> Feature:
    """Makes a feature; one that exists is refused."""
    with hub.engine.begin() as db:
        if any(row["key"] == wanted.key for row in features.every(db)):
            raise CatalogInvalid(problem=f"There is a feature {wanted.key} already; change it with PATCH.")
        said = wanted.model_dump()
        features.define(db, said.pop("key"), said.pop("type"), **said)
        journal.note(db, f"token:{token.name}", "feature.defined", wanted.key, **wanted.model_dump(exclude={"key"}))
        return Feature.model_validate(features.one(db, wanted.key))


@router.get("/{key:segment}", dependencies=[requires("read")])
def show(key: str, hub: HubOf) -> Feature:
    """A feature."""
    with hub.engine.connect() as db:
        return Feature.model_validate(features.one(db, key))


@router.patch("/{key:segment}")
def change(
    key: str,
    hub: HubOf,
    wanted: FeatureChange,
    token: Annotated[Token, requires("admin")],
    preview: Previewed = False,
    listed: Listed = MOST_LISTED,
) -> Outcome:
    """Changes a feature's name, unit, reset or meter. Another reset changes what contacts may use: see the preview."""
    with hub.engine.connect() as db:
        known = features.one(db, key)
    said: dict[str, Any] = {name: known[name] for name in ("name", "unit", "reset", "meter")}
    said |= wanted.model_dump(exclude_none=True, exclude={"token"})
    what = define_feature(key, known["type"], f"token:{token.name}", **said)
    return outcome(hub, what, preview, wanted.token, listed)


@router.delete("/{key:segment}", status_code=204)
def remove(key: str, hub: HubOf, token: Annotated[Token, requires("admin")]) -> Response:
    """Removes a feature that no package, mapping or override names."""
    with hub.engine.begin() as db:
        remove_feature(db, key, f"token:{token.name}")
    return Response(status_code=204)
