"""Discounts have no list of their own: they come by event, and with what they are taken off."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.builders import event
from tests.support.importing import imported
from tests.support.live import Live

from tidegate.wiring import Hub

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

pytestmark = pytest.mark.further


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


@pytest.fixture
def live(hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> Live:
    """A company of which some pay less, imported."""
    live = Live(hub, make_sandbox(customers=60, months=3))
    imported(hub, live.account)
    return live


def given(live: Live) -> dict[str, dict[str, Any]]:
    """The discounts that subscriptions and their items name in Stripe, by id."""
    found: set[str] = set()
    for row in live.rows("select id from stripe.subscriptions"):
        subscription = live.full("subscriptions", row["id"])
        for holder in [subscription, *subscription["items"]["data"]]:
            found |= set(holder["discounts"])
    full = {id_: live.full("discounts", id_) for id_ in found}
    return {id_: {name: value for name, value in one.items() if name != "_created"} for id_, one in full.items()}


def stored(live: Live) -> dict[str, dict[str, Any]]:
    return {
        row["id"]: row["data"] for row in live.rows("select id, data from stripe.discounts where deleted_at is null")
    }


def test_an_import_brings_them_along(live: Live) -> None:
    wanted = given(live)
    assert wanted
    have = stored(live)
    assert {id_: have.get(id_) for id_ in wanted} == wanted
    named = "select count(*) from stripe.discounts where coupon is not null and subscription is not null"
    assert live.one(named) >= len(wanted)
    before = live.rows("select * from stripe.discounts order by id")
    imported(live.hub, live.account)
    after = live.rows("select * from stripe.discounts order by id")
    assert [row["told_at"] for row in after] == [row["told_at"] for row in before]
    assert live.one("select count(*) from tidegate.versions where resource = 'discounts'") == 0


def test_one_that_ended_stays_so_however_often_it_is_read(live: Live) -> None:
    id_, discount = next(iter(given(live).items()))
    live.sandbox.advance(10)
    live.told(event("customer.discount.deleted", discount, live.now))
    live.drain()
    live.sandbox.advance(10)
    imported(live.hub, live.account, full=True)
    assert live.one("select deleted_at is not null from stripe.discounts where id = :id", id=id_)


def test_a_look_at_what_holds_one_brings_it_along(live: Live) -> None:
    live.run("delete from stripe.discounts")
    (row, *_) = live.rows("select id from stripe.subscriptions where coupons <> '{}'")
    body = live.full("subscriptions", row["id"])
    live.sandbox.advance(10)
    live.told(event("customer.subscription.updated", live.put(body | {"metadata": {"a": "b"}}), live.now))
    live.drain()
    assert set(stored(live)) >= set(body["discounts"])
    assert stored(live)
