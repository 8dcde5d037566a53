"""Creates in Stripe the product and the prices of a package that Stripe lacks: planned from the mirror, then sent.

Running it twice creates nothing twice: the product's id is made of the package's key, each request has an idempotency
key made of what it says, and prices that Stripe has already are looked up before one is made.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, text

from tidegate.catalog import journal, mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.connections.accounts import Account
from tidegate.errors import CatalogInvalid, StripeRefused
from tidegate.mirror.apply import apply
from tidegate.mirror.arrivals import arrive
from tidegate.mirror.decide import Certainty
from tidegate.stripe_api.calls import Answer
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.endpoints import object_path
from tidegate.stripe_api.resources import RESOURCES
from tidegate.workflows import previewing
from tidegate.workflows.catalog import catalog_changes

MARK = "tidegate_package"
"""The key of a product's and a price's metadata that names the package."""

OpenWriting = Callable[[Account], AbstractContextManager[StripeApi]]


@dataclass(frozen=True, slots=True)
class Request:
    """A request to Stripe that makes something."""

    resource: str
    path: str
    params: dict[str, Any]
    idempotency_key: str

    def as_json(self) -> dict[str, Any]:
        """As it is sent: a form, whose names are spelt Stripe's way."""
        form = dict(_form(self.params))
        return {"method": "POST", "path": self.path, "form": form, "idempotency_key": self.idempotency_key}


@dataclass(slots=True)
class Plan:
    """What a package lacks in Stripe. `known`: what is there already."""

    package: str
    product: str
    requests: list[Request]
    known: list[str] = field(default_factory=list[str])

    def as_json(self) -> dict[str, Any]:
        """As the dry run answers it."""
        return {
            "package": self.package,
            "product": self.product,
            "requests": [one.as_json() for one in self.requests],
            "known": self.known,
            "done": False,
        }


def plan(db: Connection, account: Account, package: str) -> Plan:
    """The requests that are needed, by what the mirror knows; nothing is asked of Stripe.

    Raises CatalogUnknown, and CatalogInvalid for a package without prices or without a published version.
    """
    found = packages.one(db, package)
    if not found["prices"]:
        raise CatalogInvalid(
            problem=f"The package {package} names no prices; give it some, such as prices: [{{amount: 4900, currency: "
            "usd, interval: month}] in tidegate.yaml."
        )
    if packages.newest_version(db, package) is None:
        raise CatalogInvalid(problem=f"The package {package} has no published version; publish it first.")
    row = db.execute(_PRODUCT, {"connection": account.name, "package": package}).first()
    known = [f"product {row.id} ({row.name})"] if row is not None else []
    planned = Plan(package, row.id if row is not None else product_id(package), [], known)
    if row is None:
        params = {"id": planned.product, "name": found["name"] or package, "metadata": {MARK: package}}
        planned.requests.append(_request(account, "products", params))
    prices = [dict(one._mapping) for one in db.execute(_PRICES, {"c": account.name, "p": planned.product})]  # pyright: ignore[reportPrivateUsage]
    _plan_prices(planned, account, found["prices"], prices)
    return planned


def create(engine: Engine, account: Account, package: str, writing: OpenWriting, by: str) -> dict[str, Any]:
    """Sends what `plan` plans, takes the answers into the mirror and maps the product to the package.

    Raises as `plan` does, WriteKeyMissing, and the errors of Stripe; what was created until then is in the mirror, and
    running it again goes on.
    """
    with engine.connect() as db:
        planned = plan(db, account, package)
        wanted = packages.one(db, package)["prices"]
    sent: list[Request] = []
    created: list[str] = []
    with writing(account) as api:
        while planned.requests:
            request = planned.requests.pop(0)
            answer, made = _sent(api, request)
            identifier = _take(engine, account, request.resource, answer)
            sent.append(request)
            if made:
                created.append(identifier)
                _note(engine, by, package, account, identifier)
            elif request.resource == "products":  # it was there: so its prices may be, too
                _refuse_archived(engine, account, planned.product)
                planned.requests = []
                _plan_prices(planned, account, wanted, _live_prices(engine, account, api, planned.product))
    mapped = _map(engine, account, planned, by)
    done = {"requests": [one.as_json() for one in sent], "created": created, "done": True}
    return planned.as_json() | done | mapped


def product_id(package: str) -> str:
    """The id that a package's product gets: the same wherever it is made, so that it is made once."""
    return f"tidegate_{package}"


def _plan_prices(
    planned: Plan, account: Account, wanted: Sequence[Mapping[str, Any]], there: Sequence[Mapping[str, Any]]
) -> None:
    have = {(one["currency"], one["unit_amount"], one["interval"], one["interval_count"]): one["id"] for one in there}
    for price in wanted:
        count = price.get("interval_count", 1)
        known = have.get((price["currency"], price["amount"], price["interval"], count))
        if known is not None:
            planned.known.append(f"price {known}")
            continue
        params = {
            "product": planned.product,
            "currency": price["currency"],
            "unit_amount": price["amount"],
            "recurring": {"interval": price["interval"], "interval_count": count},
            "metadata": {MARK: planned.package},
            "expand": list(RESOURCES["prices"].expand),
        }
        planned.requests.append(_request(account, "prices", params))


def _request(account: Account, resource: str, params: dict[str, Any]) -> Request:
    said = json.dumps([account.account, account.livemode, resource, params], sort_keys=True)
    return Request(resource, f"/v1/{resource}", params, f"tidegate-{hashlib.sha256(said.encode()).hexdigest()[:40]}")


def _sent(api: StripeApi, request: Request) -> tuple[Answer, bool]:
    """The answer, and whether the object was made just now; a product that exists is read instead."""
    try:
        return api.post(request.path, request.params, idempotency_key=request.idempotency_key, interactive=True), True
    except StripeRefused as error:
        if request.resource != "products" or error.facts.get("code") != "resource_already_exists":
            raise
    return api.get(object_path("/v1/products", request.params["id"]), interactive=True), False


def _take(engine: Engine, account: Account, resource: str, answer: Answer) -> str:
    """Takes an object that Stripe answered into the mirror and returns its id."""
    at = int(answer.at.timestamp())
    arrivals, lost = arrive(RESOURCES[resource], [answer.body], at, Certainty.READ)
    with engine.begin() as db:
        apply(db, account.name, RESOURCES[resource], arrivals, lost)
    return arrivals[0].id if arrivals else lost[0].object_id


class _List(msgspec.Struct):
    data: list[msgspec.Raw]


def _live_prices(engine: Engine, account: Account, api: StripeApi, product: str) -> list[dict[str, Any]]:
    """The product's prices on sale, asked of Stripe and taken into the mirror."""
    params = {"product": product, "active": "true", "limit": 100, "expand": ["data.tiers", "data.currency_options"]}
    answer = api.get("/v1/prices", params, interactive=True)
    bodies = msgspec.json.decode(answer.body, type=_List).data
    arrivals, lost = arrive(RESOURCES["prices"], bodies, int(answer.at.timestamp()), Certainty.READ)
    with engine.begin() as db:
        apply(db, account.name, RESOURCES["prices"], arrivals, lost)
        rows = db.execute(_PRICES, {"c": account.name, "p": product})
        return [dict(one._mapping) for one in rows]  # pyright: ignore[reportPrivateUsage]


def _refuse_archived(engine: Engine, account: Account, product: str) -> None:
    with engine.connect() as db:
        if not db.scalar(_ON_SALE, {"c": account.name, "p": product}):
            raise CatalogInvalid(problem=f"Stripe has the product {product} already, archived: put it on sale there.")


def _map(engine: Engine, account: Account, planned: Plan, by: str) -> dict[str, Any]:
    """Maps the product, unless it is mapped: somebody may have had a reason. Returns the mapping's id and what it
    says.
    """
    with engine.connect() as db:
        known = mappings.in_force(db, account.name, None, planned.product)
    if known is None:
        wanted = Wanted(account.name, product=planned.product, package=planned.package, by=by)
        number = previewing.settle(engine, catalog_changes.set_mapping(wanted)).result["mapping"]
        with engine.connect() as db:
            known = mappings.one(db, number)
    return {"mapping": int(known["id"]), "means": mappings.shown(known)}


def _note(engine: Engine, by: str, package: str, account: Account, identifier: str) -> None:
    with engine.begin() as db:
        journal.note(db, by, "stripe.created", package, connection=account.name, id=identifier)


def _form(params: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in params.items():
        spelt = f"{above}[{name}]" if above else name
        if isinstance(value, list):
            value = {str(at): one for at, one in enumerate(value)}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        found += _form(value, spelt) if isinstance(value, Mapping) else [(spelt, str(value))]  # pyright: ignore[reportUnknownArgumentType]
    return found


_PRODUCT = text("""
select id, name from stripe.products
where connection = :connection and deleted_at is null and active
  and data -> 'metadata' ->> 'tidegate_package' = :package
order by created, id limit 1""")

_ON_SALE = text("select active from stripe.products where connection = :c and id = :p and deleted_at is null")

_PRICES = text("""
select id, currency, unit_amount, interval, interval_count from stripe.prices
where connection = :c and product = :p and active and deleted_at is null and interval is not null
  and coalesce(billing_scheme, 'per_unit') = 'per_unit' and coalesce(usage_type, 'licensed') = 'licensed'
order by created, id""")
