"""A package is created in Stripe: the dry run tells the requests, running it twice creates nothing twice."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.importing import connected

from tidegate.catalog import mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.connections.accounts import Account
from tidegate.errors import CatalogInvalid, StripePermissionMissing, WriteKeyMissing
from tidegate.sandbox import Sandbox
from tidegate.sandbox.keys import Key
from tidegate.wiring import Hub
from tidegate.workflows.catalog import catalog_stripe

Make = Callable[..., Sandbox]
PRICES = [
    {"amount": 4900, "currency": "usd", "interval": "month"},
    {"amount": 49000, "currency": "usd", "interval": "year"},
    {"amount": 9800, "currency": "eur", "interval": "month", "interval_count": 2},
]


@pytest.fixture
def sandbox(make_sandbox: Make) -> Sandbox:
    return make_sandbox(customers=1, months=1)


@pytest.fixture
def account(hub: Hub, sandbox: Sandbox) -> Account:
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.connections, tidegate.packages, tidegate.catalog_changes cascade"))
        db.execute(text("truncate stripe.products, stripe.prices"))
        packages.define(db, "scale", name="Scale up", prices=PRICES)
        packages.draft(db, "scale", {})
        packages.publish(db, "scale")
    return connected(hub, sandbox, write_key=sandbox.key)


def planned(hub: Hub, account: Account) -> dict[str, Any]:
    with hub.engine.connect() as db:
        return catalog_stripe.plan(db, account, "scale").as_json()


def create(hub: Hub, account: Account) -> dict[str, Any]:
    return catalog_stripe.create(hub.engine, account, "scale", hub.stripe_writing, "ada")


def marked(sandbox: Sandbox, kind: str) -> list[dict[str, Any]]:
    collection = sandbox.state[kind]
    every = [sandbox.state.full(kind, id_) for id_ in list(collection.ids)]
    return [one for one in every if one["metadata"].get("tidegate_package") == "scale"]


def test_the_dry_run_tells_the_very_requests_and_sends_none(hub: Hub, account: Account, sandbox: Sandbox) -> None:
    found = planned(hub, account)
    assert (found["done"], found["product"], found["known"]) == (False, "tidegate_scale", [])
    assert [(one["method"], one["path"]) for one in found["requests"]] == [
        ("POST", "/v1/products"),
        ("POST", "/v1/prices"),
        ("POST", "/v1/prices"),
        ("POST", "/v1/prices"),
    ]
    assert found["requests"][0]["form"] == {
        "id": "tidegate_scale",
        "name": "Scale up",
        "metadata[tidegate_package]": "scale",
    }
    form = found["requests"][3]["form"]
    assert (form["unit_amount"], form["recurring[interval]"], form["recurring[interval_count]"]) == (
        "9800",
        "month",
        "2",
    )
    assert marked(sandbox, "products") == []
    assert found == planned(hub, account)
    done = create(hub, account)
    assert done["requests"] == found["requests"]


def test_product_and_prices_are_created_taken_into_the_mirror_and_mapped(
    hub: Hub, account: Account, sandbox: Sandbox
) -> None:
    done = create(hub, account)
    assert len(done["created"]) == 4
    [product] = marked(sandbox, "products")
    assert (product["id"], product["name"]) == ("tidegate_scale", "Scale up")
    amounts = sorted((one["currency"], one["unit_amount"]) for one in marked(sandbox, "prices"))
    assert amounts == [("eur", 9800), ("usd", 4900), ("usd", 49000)]
    with hub.engine.connect() as db:
        mirrored = set(db.scalars(text("select id from stripe.prices where product = 'tidegate_scale'")))
        mapping = db.execute(text("select product, package, created_by from tidegate.mappings")).one()
        noted = db.scalars(text("select detail ->> 'id' from tidegate.catalog_changes where action = 'stripe.created'"))
        assert list(noted) == done["created"]
    assert mirrored == {one["id"] for one in marked(sandbox, "prices")}
    assert tuple(mapping) == ("tidegate_scale", "scale", "ada")


def test_again_it_creates_nothing_whatever_the_mirror_knows(hub: Hub, account: Account, sandbox: Sandbox) -> None:
    mapping = create(hub, account)["mapping"]
    again = create(hub, account)
    assert (again["requests"], again["created"], again["mapping"]) == ([], [], mapping)
    assert len(again["known"]) == 4
    with hub.engine.begin() as db:
        db.execute(text("truncate stripe.products, stripe.prices"))
    sandbox.advance(2 * 86_400)  # Stripe forgets idempotency keys after a day
    lost = create(hub, account)
    assert lost["created"] == []
    assert len(marked(sandbox, "prices")) == 3


def test_a_new_price_is_added_to_the_product_that_is_there(hub: Hub, account: Account, sandbox: Sandbox) -> None:
    create(hub, account)
    with hub.engine.begin() as db:
        more = [*PRICES, {"amount": 5900, "currency": "usd", "interval": "month"}]
        packages.define(db, "scale", name="Scale up", prices=more)
    [request] = planned(hub, account)["requests"]
    assert (request["path"], request["form"]["unit_amount"]) == ("/v1/prices", "5900")
    assert len(create(hub, account)["created"]) == 1
    assert len(marked(sandbox, "prices")) == 4


def test_an_archived_product_is_told(hub: Hub, account: Account, sandbox: Sandbox) -> None:
    create(hub, account)
    sandbox.call(lambda: sandbox.state.put(sandbox.state.full("products", "tidegate_scale") | {"active": False}))
    with hub.engine.begin() as db:
        db.execute(text("truncate stripe.products, stripe.prices"))
    sandbox.advance(2 * 86_400)
    with pytest.raises(CatalogInvalid, match="tidegate_scale already, archived"):
        create(hub, account)


def test_what_somebody_mapped_the_product_to_stays(hub: Hub, account: Account, sandbox: Sandbox) -> None:
    create(hub, account)
    with hub.engine.begin() as db:
        packages.define(db, "other")
        packages.draft(db, "other", {})
        packages.publish(db, "other")
        mappings.set_(db, Wanted("acme", product="tidegate_scale", package="other"))
    assert create(hub, account)["means"] == "tidegate_scale → package other"


def test_without_a_key_that_may_write_it_says_so(hub: Hub, account: Account, sandbox: Sandbox) -> None:
    reader = connected(hub, sandbox, "reader")
    with pytest.raises(WriteKeyMissing, match=r"of a sync the objects of its resource.*connect --name reader"):
        create(hub, reader)
    assert len(planned(hub, reader)["requests"]) == 4
    assert marked(sandbox, "products") == []


def test_a_key_that_may_not_write_is_told_with_the_endpoint(hub: Hub, account: Account, sandbox: Sandbox) -> None:
    limited = Key("rk_test_51TidegateReadsOnly0000000000", dict.fromkeys(["accounts", "events", "products"], "read"))
    sandbox.call(lambda: sandbox.server and sandbox.server.keys.add(limited))
    with pytest.raises(StripePermissionMissing, match="POST /v1/products"):
        create(hub, connected(hub, sandbox, "limited", write_key=limited.secret))


@pytest.mark.parametrize(
    ("prices", "publish", "told"), [([], True, "names no prices"), (PRICES, False, "no published version")]
)
def test_a_package_that_cannot_be_created_is_refused(
    hub: Hub, account: Account, prices: list[dict[str, Any]], publish: bool, told: str
) -> None:
    with hub.engine.begin() as db:
        packages.define(db, "other", prices=prices)
        if publish:
            packages.draft(db, "other", {})
            packages.publish(db, "other")
        with pytest.raises(CatalogInvalid, match=told):
            catalog_stripe.plan(db, account, "other")
