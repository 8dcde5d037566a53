"""Packages over HTTP: made, drafted, published, migrated, created in Stripe."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.paging import After, Limit, page
from tidegate.api.previews import MOST_LISTED, Listed, Outcome, Previewed, TokenOf, outcome
from tidegate.api.values import STRICT
from tidegate.catalog import journal, packages
from tidegate.errors import CatalogInvalid
from tidegate.lifecycle import holders
from tidegate.security.tokens import Token
from tidegate.workflows.catalog import catalog_changes, catalog_stripe

router = APIRouter(prefix="/api/packages", tags=["catalog"])

Kind = Literal["base", "add_on"]
Admin = Annotated[Token, requires("admin")]


class Package(BaseModel):
    """A package. `version`, `features`: of the newest published version; `draft`: what the next one is to give.

    `contacts`: how many hold it now, of live data where there is any; `contacts_by_version`: how many hold each
    version. Times are UTC.
    """

    model_config = ConfigDict(extra="ignore")

    key: str
    name: str
    kind: Kind
    is_default: bool
    prices: list[dict[str, Any]]
    managed_by: str
    version: int | None
    features: dict[str, Any] | None
    published_at: datetime | None
    draft: dict[str, Any] | None
    contacts: int
    contacts_by_version: dict[str, int]


class Packages(BaseModel):
    """A page of packages by key. `next`: what to give as `after` for the next page; null: there is none."""

    packages: list[Package]
    next: str | None


class Detail(BaseModel):
    """A package with all its versions and what is mapped to it. `contacts`, also of each version: how many hold it now,
    of live data where there is any.
    """

    model_config = ConfigDict(extra="ignore")

    key: str
    name: str
    kind: Kind
    is_default: bool
    prices: list[dict[str, Any]]
    managed_by: str
    contacts: int
    versions: list[dict[str, Any]]
    mappings: list[dict[str, Any]]


class NewPackage(BaseModel):
    """A package to make. `features` are published as its first version; without them it waits for a draft."""

    model_config = STRICT

    key: str
    name: str = ""
    kind: Kind = "base"
    is_default: bool = Field(default=False, description="whoever has no base package has it")
    prices: list[dict[str, Any]] = Field(default=[], description="{amount, currency, interval, interval_count}")
    features: dict[str, Any] | None = Field(default=None, description="terms by feature: true, 10, {limit: 10}, …")


class PackageChange(BaseModel):
    """What to change of what all versions share; what is not given stays."""

    model_config = STRICT

    name: str | None = None
    kind: Kind | None = None
    is_default: bool | None = None
    prices: list[dict[str, Any]] | None = None
    token: TokenOf = None


class Draft(BaseModel):
    """What the next version is to give."""

    model_config = STRICT

    features: dict[str, Any] = Field(description="terms by feature: true, 10, {limit: 10, reset: month}, …")


class Drafted(BaseModel):
    """The draft that waits; null: the newest version gives the same already."""

    draft: dict[str, Any] | None


class Publishing(BaseModel):
    """Publishes the draft, or these features."""

    model_config = STRICT

    features: dict[str, Any] | None = None
    move: bool = Field(default=False, description="subscribers get it at once; false: they stay on their version")
    token: TokenOf = None


class Migration(BaseModel):
    """Moves subscriptions to another version."""

    model_config = STRICT

    to: int | None = Field(default=None, description="null: the newest")
    subscriptions: list[str] | None = Field(default=None, description="sub_…; null: all, and overrides")
    token: TokenOf = None


class InStripe(BaseModel):
    """What a package lacks in Stripe (`requests`, with `done` false), or what was sent."""

    model_config = ConfigDict(extra="forbid")

    package: str
    product: str
    requests: list[dict[str, Any]]
    known: list[str] = Field(description="what Stripe has already")
    done: bool
    created: list[str] = []
    mapping: int | None = Field(default=None, description="of the product")
    means: str | None = Field(default=None, description="what that mapping says")


@router.get("", dependencies=[requires("read")])
def listing(hub: HubOf, limit: Limit = 100, after: After = None) -> Packages:
    """The packages by key."""
    with hub.engine.connect() as db:
        shown, following = page(packages.every(db), "key", limit, after)
        counted = holders.of_packages(db, shown, hub.livemode_of_lists())
    return Packages(packages=[Package.model_validate(row) for row in counted], next=following)


@router.post("", status_code=201)
def make(hub: HubOf, wanted: NewPackage, token: Admin) -> Package:
    """Makes a package, and publishes its first version when features are given; one that exists is refused."""
    by = f"token:{token.name}"
    with hub.engine.begin() as db:
        if any(row["key"] == wanted.key for row in packages.every(db)):
            raise CatalogInvalid(problem=f"There is a package {wanted.key} already; change it with PATCH.")
        if wanted.is_default:
            raise CatalogInvalid(problem="Make the package first, then PATCH is_default: that has a preview.")
        said = {name: getattr(wanted, name) for name in ("name", "kind", "prices")}
        packages.define(db, wanted.key, **said)
        journal.note(db, by, "package.defined", wanted.key, **said)
        if wanted.features is not None:
            packages.draft(db, wanted.key, wanted.features)
            version = packages.publish(db, wanted.key)
            journal.note(db, by, "package.published", wanted.key, version=version)
    return _found(hub, wanted.key)


@router.get("/{key:segment}", dependencies=[requires("read")])
def show(key: str, hub: HubOf) -> Detail:
    """A package with its versions, how many contacts hold each, and what is mapped to it."""
    with hub.engine.connect() as db:
        return Detail.model_validate(holders.of_package(db, key, hub.livemode_of_lists()))


@router.patch("/{key:segment}")
def change(
    key: str, hub: HubOf, wanted: PackageChange, token: Admin, preview: Previewed = False, listed: Listed = MOST_LISTED
) -> Outcome:
    """Changes what all versions share. Another default or kind changes what contacts may use, and has a preview."""
    names = ("name", "kind", "is_default", "prices")
    with hub.engine.connect() as db:
        known = packages.one(db, key)
    said = {name: known[name] for name in names} | wanted.model_dump(exclude_none=True, exclude={"token"})
    return outcome(
        hub, catalog_changes.define_package(key, f"token:{token.name}", **said), preview, wanted.token, listed
    )


@router.delete("/{key:segment}", status_code=204)
def remove(key: str, hub: HubOf, token: Admin) -> Response:
    """Removes a package that no mapping, override or subscription names and that is not the default."""
    with hub.engine.begin() as db:
        catalog_changes.remove_package(db, key, f"token:{token.name}")
    return Response(status_code=204)


@router.put("/{key:segment}/draft")
def draft(key: str, hub: HubOf, wanted: Draft, token: Admin) -> Drafted:
    """Keeps what the next version is to give, in place of the draft that was; nobody gets it until it is published."""
    with hub.engine.begin() as db:
        packages.draft(db, key, wanted.features)
        journal.note(db, f"token:{token.name}", "package.drafted", key, features=wanted.features)
    return Drafted(draft=_found(hub, key).draft)


@router.post("/{key:segment}/publish")
def publish(
    key: str,
    hub: HubOf,
    token: Admin,
    wanted: Publishing | None = None,
    preview: Previewed = False,
    listed: Listed = MOST_LISTED,
) -> Outcome:
    """Publishes the draft, or the given features. Subscribers stay on their version until they are migrated, unless
    they are to `move`.
    """
    asked = wanted or Publishing()
    change = catalog_changes.publish_package(key, f"token:{token.name}", features=asked.features, move=asked.move)
    return outcome(hub, change, preview, asked.token, listed)


@router.post("/{key:segment}/migrate")
def migrate(
    key: str,
    hub: HubOf,
    token: Admin,
    wanted: Migration | None = None,
    preview: Previewed = False,
    listed: Listed = MOST_LISTED,
) -> Outcome:
    """Moves subscriptions to another version; the preview names who gains and loses what."""
    asked = wanted or Migration()
    by = f"token:{token.name}"
    change = catalog_changes.migrate_package(key, by, to=asked.to, subscriptions=asked.subscriptions)
    return outcome(hub, change, preview, asked.token, listed)


@router.post("/{key:segment}/create-in-stripe")
def create_in_stripe(
    key: str,
    hub: HubOf,
    token: Admin,
    dry_run: Annotated[bool, Query(description="only tell the requests; nothing is sent")] = False,
    connection: Annotated[str | None, Query(description="name; one connection alone needs none")] = None,
) -> InStripe:
    """Creates the product and the prices that Stripe lacks, and maps the product; again, it creates nothing twice.

    Needs a connection with a key that may write.
    """
    account = hub.account(connection)
    if dry_run:
        with hub.engine.connect() as db:
            return InStripe.model_validate(catalog_stripe.plan(db, account, key).as_json())
    done = catalog_stripe.create(hub.engine, account, key, hub.stripe_writing, f"token:{token.name}")
    return InStripe.model_validate(done)


def _found(hub: HubOf, key: str) -> Package:
    with hub.engine.connect() as db:
        made = [row for row in packages.every(db) if row["key"] == key]
        return Package.model_validate(holders.of_packages(db, made, hub.livemode_of_lists())[0])
