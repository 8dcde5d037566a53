"""Test clocks: what is on one is hidden by Stripe's lists, mirrored all the same, marked, and goes with its clock."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from tests.support.hubs import copied
from tests.support.importing import differences, imported
from tests.support.live import Live
from tests.support.standing import Standing, standing

from tidegate.wiring import Hub

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

pytestmark = pytest.mark.further

HIDDEN = ("customers", "subscriptions", "quotes")


@pytest.fixture(scope="module")
def company(server_url: str, secret_key: str) -> Iterator[Standing]:
    """A company with a test clock, imported and caught up."""
    with standing(server_url, secret_key, customers=45, months=3) as company:
        yield company


@pytest.fixture
def database_url(company: Standing, server_url: str) -> Iterator[str]:
    """Every test of this module has a copy of its own."""
    with copied(server_url, company.database) as url:
        yield url


@pytest.fixture
def live(company: Standing, hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> Live:
    """The company, and its mirror."""
    return company.live(hub, make_sandbox)


def clean(live: Live) -> dict[str, str]:
    """The resources that an audit does not find equal."""
    return {one["resource"]: one["verdict"] for one in live.audit()["resources"] if one["verdict"] != "equal"}


def test_what_is_on_a_clock_is_imported_and_marked(live: Live) -> None:
    clock = live.one("select id from stripe.test_helpers_test_clocks where status = 'ready'")
    for table in HIDDEN:
        assert live.one(f"select count(*) from stripe.{table} where test_clock = :clock", clock=clock) == 2
    assert live.one("select count(*) from stripe.invoices where test_clock = :clock", clock=clock) == 4
    assert differences(live.hub, live.sandbox) == {}
    assert clean(live) == {}
    again = imported(live.hub, live.account, full=True)
    assert sum(counts["stored"] for counts in again["resources"].values()) == 0
    assert differences(live.hub, live.sandbox) == {}


@pytest.mark.parametrize("table", HIDDEN)
def test_one_resource_alone_brings_what_is_on_clocks(
    hub: Hub, make_sandbox: Callable[..., "Sandbox"], table: str
) -> None:
    live = Live(hub, make_sandbox(customers=45, months=3))
    imported(hub, live.account, table)
    assert live.one(f"select count(*) from stripe.{table} where test_clock is not null and deleted_at is null") == 2


@pytest.mark.parametrize("table", HIDDEN)
def test_an_audit_looks_at_what_is_on_clocks(live: Live, table: str) -> None:
    live.run(f"delete from stripe.{table} where id = (select max(id) from stripe.{table} where test_clock is not null)")
    (one,) = live.audit(table)["resources"]
    assert one["counts"]["missing"] == 1
    imported(live.hub, live.account, full=True)
    assert clean(live) == {}


def test_an_advance_of_the_clock_is_mirrored(live: Live) -> None:
    from tidegate.sandbox import clocks

    world = live.sandbox.world
    clock = live.one("select id from stripe.test_helpers_test_clocks")
    live.sandbox.advance(60)
    stood = live.full(clocks.NAME, clock)["frozen_time"]
    live.sandbox.call(lambda: clocks.advance(world, clock, stood + 31 * 86_400))
    live.sandbox.advance(120)
    live.catch_up()
    live.drain()
    assert live.one("select count(*) from stripe.invoices where test_clock = :clock", clock=clock) == 6
    assert live.one("select extract(epoch from frozen_time)::bigint from stripe.test_helpers_test_clocks") > stood
    assert differences(live.hub, live.sandbox) == {}
    assert clean(live) == {}


@pytest.mark.parametrize("ahead", [0, 120], ids=["as old as we are", "in a time to come"])
@pytest.mark.parametrize("told", [True, False], ids=["with an event", "without a word"])
@pytest.mark.wide
def test_a_clock_that_goes_takes_what_is_on_it_along(live: Live, told: bool, ahead: int) -> None:
    from tidegate.sandbox import clocks

    clock = live.one("select id from stripe.test_helpers_test_clocks")
    live.sandbox.advance(60)
    if ahead:
        stood = live.full(clocks.NAME, clock)["frozen_time"]
        live.sandbox.call(lambda: clocks.advance(live.sandbox.world, clock, stood + ahead * 86_400))
        live.sandbox.advance(120)
        live.catch_up()
    event = "test_helpers.test_clock.deleted" if told else None
    live.sandbox.call(lambda: clocks.delete(live.sandbox.world, clock, event))
    live.sandbox.advance(120)
    live.catch_up()
    live.drain()
    if not told:
        assert live.one("select count(*) from stripe.customers where test_clock = :clock", clock=clock) == 2
        imported(live.hub, live.account, "test_helpers/test_clocks", full=True)
    for table in ("test_helpers_test_clocks", *HIDDEN, "invoices"):
        where = "id" if table.startswith("test_helpers") else "test_clock"
        gone = f"select count(*) from stripe.{table} where {where} = :clock and deleted_at is null"
        assert live.one(gone, clock=clock) == 0, table
    assert differences(live.hub, live.sandbox).keys() <= {"customers_deleted"}
    assert clean(live) == {}
