"""The mirror equals Stripe again after whatever happened on the way: faults, lost and shuffled events, bursts, old
versions.
"""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.importing import connected, imported, stripe
from tests.support.live import Live

from tidegate.sandbox.config import FAULT_KINDS
from tidegate.sandbox.old_versions import in_version
from tidegate.wiring import Hub
from tidegate.workflows.mirror.sweep import sweep

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

pytestmark = pytest.mark.further

MakeSandbox = Callable[..., "Sandbox"]
DAY = 86_400


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


def events_since(live: Live, known: set[str]) -> list[dict[str, Any]]:
    """The events that the sandbox emitted beside the known ones, oldest first."""

    def look() -> list[dict[str, Any]]:
        events = live.sandbox.state["events"]
        return [events.full(id_) for id_ in events.ids if id_ not in known]

    return live.sandbox.call(look)


def known_events(live: Live) -> set[str]:
    return live.sandbox.call(lambda: set(live.sandbox.state["events"].ids))


def assert_equal(live: Live) -> None:
    result = live.audit()
    assert result["clean"], [one for one in result["resources"] if one["verdict"] != "equal"]


def swept(live: Live) -> None:
    """What has no event at Stripe is mended by the nightly sweep."""
    with stripe(live.sandbox.key, live.sandbox.url) as api:
        assert sweep(live.hub.engine, live.standing(), api)["state"] == "done"


def test_an_import_with_every_fault_at_once_ends_equal(hub: Hub, make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(customers=150, faults="429=0.05,500=0.02,reset=0.01,truncate=0.01,slow=0.002")
    live = Live(hub, sandbox)
    summary = imported(hub, live.account, key=sandbox.key)
    assert summary["state"] == "done", summary["problems"]
    assert sandbox.server is not None
    faults = sandbox.server.faults
    assert faults.rates.keys() == set(FAULT_KINDS), "every fault there is"
    sandbox.call(faults.rates.clear)
    assert_equal(live)


@pytest.mark.parametrize(("events", "customers"), [(1000, 100), pytest.param(5000, 550, marks=pytest.mark.wide)])
def test_events_shuffled_doubled_and_a_tenth_lost_end_equal(
    hub: Hub, make_sandbox: MakeSandbox, events: int, customers: int
) -> None:
    live = Live(hub, make_sandbox(customers=customers, months=6))
    imported(hub, live.account)
    live.catch_up()
    known = known_events(live)
    while len(known_events(live)) < len(known) + events:
        live.sandbox.advance(3 * DAY)
    chance = random.Random(20)
    told = [one for one in events_since(live, known) if chance.random() >= 0.1]
    told += chance.sample(told, len(told) // 5)
    chance.shuffle(told)
    for start in range(0, len(told), 500):
        live.told(*told[start : start + 500])
        drained = live.drain()
        assert (drained.failed, drained.refetch_error) == ({}, "")
    caught = live.catch_up()
    assert not caught["gap"], "all of it lies within the 30 days that Stripe keeps events"
    assert caught["new"] > 0.08 * events, "what was lost is found in the list of events"
    assert caught["inbox"]["failed"] == {}
    assert_equal(live)


def test_many_changes_of_one_object_within_one_second_end_equal(hub: Hub, make_sandbox: MakeSandbox) -> None:
    live = Live(hub, make_sandbox(customers=20, months=3))
    imported(hub, live.account)
    known = known_events(live)
    for n in range(50):
        live.put(live.full("subscriptions") | {"description": f"version {n}"}, "customer.subscription.updated")
    told = events_since(live, known)
    assert len({one["created"] for one in told}) == 1
    random.Random(7).shuffle(told)
    live.told(*told)
    live.drain()
    assert_equal(live)
    assert live.one("select data ->> 'description' from stripe.subscriptions where id = :id",
                    id=live.full("subscriptions")["id"]) == "version 49"  # fmt: skip


@pytest.mark.wide
def test_events_of_2020_end_equal(hub: Hub, make_sandbox: MakeSandbox) -> None:
    live = Live(hub, make_sandbox(customers=60, months=3))
    imported(hub, live.account)
    known = known_events(live)
    live.sandbox.advance(25 * DAY)
    told = events_since(live, known)
    assert len(told) > 100
    old = live.sandbox.call(lambda: [in_version(one, "2020-08-27", live.sandbox.state) for one in told])
    live.told(*old)
    drained = live.drain()
    assert (drained.failed, drained.refetch_error) == ({}, "")
    swept(live)
    assert_equal(live)


@pytest.mark.wide
def test_an_outage_longer_than_stripe_keeps_events_ends_equal(hub: Hub, make_sandbox: MakeSandbox) -> None:
    live = Live(hub, make_sandbox(customers=60, months=3))
    imported(hub, live.account)
    live.catch_up()
    live.sandbox.advance(45 * DAY)
    assert live.catch_up()["gap"] is True
    imported(hub, live.account, full=True)
    live.catch_up()
    assert_equal(live)


def test_a_poison_object_in_the_middle_of_a_page_is_named_and_costs_no_other(
    hub: Hub, make_sandbox: MakeSandbox
) -> None:
    live = Live(hub, make_sandbox(customers=120, months=2))
    ids = live.sandbox.call(lambda: list(live.sandbox.state["customers"].ids))
    for id_ in (ids[50], ids[60]):
        live.put(live.full("customers", id_) | {"description": "\x00"})
    summary = imported(hub, live.account, "customers")
    counts = summary["resources"]["customers"]
    assert (summary["state"], counts["unreadable"]) == ("done", 2)
    assert counts["stored"] == counts["read"] - 2
    (result,) = live.audit("customers")["resources"]
    assert result["verdict"] == "different"
    assert result["unreadable"] == 2


@pytest.mark.wide
def test_two_connections_are_imported_at_once(hub: Hub, make_sandbox: MakeSandbox) -> None:
    from concurrent.futures import ThreadPoolExecutor

    both = [Live(hub, make_sandbox(customers=60, months=3, seed=n), f"acme{n}") for n in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        states = list(pool.map(lambda live: imported(hub, live.account)["state"], both))
    assert states == ["done", "done"]
    for live in both:
        assert connected(hub, live.sandbox, live.name).name == live.name
        assert_equal(live)
