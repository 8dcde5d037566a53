"""A sale that is killed, wherever, and given again: one customer, one subscription, and what it gives is given."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from sqlalchemy import text
from tests.support import killing
from tests.support.selling import Till, opened
from tests.support.waiting import until

from tidegate.errors import SaleRunning
from tidegate.outbound.selling.wish import Wish

EVERY = 19
"""A sale is killed at each so many-th of its steps; the soak kills at every one."""
SENT: dict[str, Any] = {"interval": "month", "collection_method": "send_invoice", "days_until_due": 14}
NEW = Wish("subscribe", "pro", **SENT)
CHANGED = Wish("change", "pro", proration_behavior="always_invoice")
PREPARED = Wish("subscribe", "basic", **SENT)


@pytest.fixture(scope="module")
def shop(database_url: str, secret_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    with opened(database_url, secret_key, tmp_path_factory.mktemp("till")) as found:
        yield found


def again(shop: Till, contact: str, wish: Wish) -> dict[str, Any]:
    """The same command, as soon as the killed process's lock is let go of."""

    def look() -> dict[str, Any] | None:
        try:
            return shop.do(contact=contact, **asdict(wish))
        except SaleRunning:
            return None

    done = until(look, "the killed process's lock is let go of")
    assert done is not None
    return done


def _kill(shop: Till, run: killing.Run, wish: Wish, every: int, check: Any) -> None:
    hub = shop.hub
    given = {
        "database_url": hub.settings.database_url,
        "secret_key": hub.settings.secret_key.get_secret_value(),
        "wish": asdict(wish),
    }

    def prepare(contact: str) -> None:
        shop.contact(contact)
        if wish.action != "subscribe":
            shop.do(contact=contact, **asdict(PREPARED))

    name = f"{wish.action}{every}"
    prepare(f"{name}clean")
    steps = run("sell", contact=f"{name}clean", **given).steps
    check(shop, f"{name}clean", "not killed at all")
    places = range(1, steps + 1, every)
    killed = 0
    for place in places:
        contact = f"{name}at{place}"
        prepare(contact)
        before = len(shop.sandbox.written())
        ended = run("sell", place, contact=contact, **given)
        killed += ended.killed
        where = f"killed at step {place} of {steps}: {ended.last}"
        done = again(shop, contact, wish)
        assert done["state"] in {"done", "nothing"}, f"{where}: {done}"
        check(shop, contact, where)
        writes = [one for one in shop.sandbox.written()[before:] if not one.path.endswith("create_preview")]
        for path in ("/v1/customers", "/v1/subscriptions"):
            assert len({one.key for one in writes if one.path == path}) <= 1, f"{where}: {writes}"
        with hub.engine.connect() as db:
            left = text("select count(*) from tidegate.requests where state in ('intended', 'unknown')")
            assert db.scalar(left) == 0, where
    assert killed >= len(places) - 2, "the last places may lie behind the end"


def sold_once(shop: Till, contact: str, where: str) -> None:
    [customer] = shop.of(contact, "customers")
    assert customer["metadata"]["workspace_id"] == contact, where
    assert shop.sold(contact) == [("active", [("pro month", 1)])], where
    assert shop.features(contact) == {"seats", "sso"}, where


@pytest.mark.further
@pytest.mark.timeout(300)
def test_a_sale_killed_anywhere_and_given_again_is_one_sale(shop: Till, run: killing.Run) -> None:
    _kill(shop, run, NEW, EVERY, sold_once)


@pytest.mark.wide
@pytest.mark.timeout(300)
def test_a_change_killed_anywhere_and_given_again_is_one_change(shop: Till, run: killing.Run) -> None:
    _kill(shop, run, CHANGED, EVERY, sold_once)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("wish", [NEW, CHANGED], ids=["subscribe", "change"])
def test_a_sale_killed_at_every_step_and_given_again_is_one_sale(shop: Till, run: killing.Run, wish: Wish) -> None:
    _kill(shop, run, wish, 1, sold_once)
