"""The permissions of a key: looked at endpoint by endpoint, noted, cleared, and caught up on when they come back."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.support import queue
from tests.support.importing import connected, imported, stripe
from tests.support.live import NOWHERE, Live

from tidegate.connections.permissions import Permission
from tidegate.errors import StripeKeyInvalid, StripeUnreachable
from tidegate.sandbox.keys import Key
from tidegate.stripe_api.resources import RESOURCES
from tidegate.workflows import clock_tasks, connection_tasks, due
from tidegate.workflows.mirror.disconnect import disconnect
from tidegate.workflows.mirror.probe import probe
from tidegate.workflows.operation.status import status
from tidegate.workflows.task_context import TaskContext

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.further

DISPUTES, FEATURES, EVENTS = "GET /v1/disputes", "GET /v1/products/{parent}/features", "GET /v1/events"


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


def lacks(live: Live, *resources: str) -> None:
    """Lets the key read everything but these."""
    assert live.sandbox.server is not None
    ring = live.sandbox.server.keys
    names = {*live.sandbox.state.collections, "events", "accounts", "account"} - set(resources)
    live.sandbox.call(lambda: ring.add(Key(live.sandbox.key, dict.fromkeys(names, "read"))))


def probed(live: Live, base: str | None = None) -> dict[str, Permission]:
    with stripe(live.sandbox.key, base or live.sandbox.url) as api:
        return {one.endpoint: one for one in probe(live.hub.engine, live.account, api)}


def refused(live: Live) -> list[str]:
    return [one["subject"] for one in problems(live) if one["code"] == "permission_missing"]


def problems(live: Live) -> list[dict[str, Any]]:
    return status(live.hub.engine)["problems"]


def rung(live: Live) -> list[tuple[str, Any]]:
    rows = live.rows(
        "select task_name, args -> 'resources' as of from tidegate.procrastinate_jobs "
        "where task_name <> 'refresh' order by id"
    )
    return [(row["task_name"], row["of"]) for row in rows]


def test_every_list_and_the_events_are_asked_for_one_object(live: Live) -> None:
    imported(live.hub, live.account)
    before = live.sandbox.stats()["requests"]
    found = probed(live)
    assert set(found) == {f"GET {one.path}" for one in RESOURCES.values() if one.path} | {EVENTS}
    assert {one.allowed for one in found.values()} == {True}
    after = live.sandbox.stats()["requests"]
    assert sum(after.values()) - sum(before.values()) == len(found), "one request each"
    shown = status(live.hub.engine)["connections"][0]["permissions"]
    assert {one["endpoint"] for one in shown} == set(found)
    assert all(one["checked_at"].endswith("Z") for one in shown)


def test_what_cannot_be_told_is_no_problem(live: Live) -> None:
    found = probed(live)
    assert found[FEATURES].allowed is None
    assert "stored" in found[FEATURES].detail
    assert refused(live) == []


def test_a_parent_that_is_gone_says_nothing_against_its_list(live: Live) -> None:
    imported(live.hub, live.account, "products")
    live.run("delete from stripe.products where id <> (select min(id) from stripe.products)")
    live.run("update stripe.products set id = 'prod_gone'")
    assert probed(live)[FEATURES].allowed is True


def test_a_lacking_permission_is_noted_and_what_it_hid_is_imported_when_it_comes_back(live: Live) -> None:
    lacks(live, "disputes")
    assert imported(live.hub, live.account)["left_out"]
    live.run("delete from tidegate.problems")
    found = probed(live)
    assert [name for name, one in found.items() if one.allowed is False] == [DISPUTES]
    assert refused(live) == [DISPUTES]
    assert "--show-key-link" in problems(live)[0]["remedy"]
    assert rung(live) == []
    lacks(live)
    probed(live)
    assert refused(live) == []
    assert rung(live) == [("import_account", ["disputes"])]
    work = TaskContext(live.hub.engine, lambda account: stripe(live.sandbox.key, account.api_base))
    assert connection_tasks.import_account(work, "acme")["state"] == "done"
    probed(live)
    assert len(rung(live)) == 1, "it came back once"


def test_a_permission_lost_and_found_after_a_whole_import_is_imported_alone(live: Live) -> None:
    imported(live.hub, live.account)
    lacks(live, "disputes", "refunds", "events")
    probed(live)
    assert set(refused(live)) == {DISPUTES, "GET /v1/refunds", EVENTS}
    lacks(live)
    live.run("delete from tidegate.permissions")  # noted by somebody else's look
    probed(live)
    assert rung(live) == [("import_account", ["refunds", "disputes"]), ("catch_up", None)]
    live.run("update tidegate.permissions set allowed = false where endpoint = 'GET /v1/quotes'")
    probed(live)
    assert ("import_account", ["disputes", "quotes", "refunds"]) in rung(live), "the job that waits does that, too"


@pytest.mark.wide
def test_another_key_is_looked_at_anew_and_what_the_one_before_lacked_is_caught_up_on(live: Live) -> None:
    imported(live.hub, live.account)
    lacks(live, "disputes")
    imported(live.hub, live.account, "disputes")
    with live.hub.engine.connect() as db:
        assert due.unprobed(db, refused=False) == ["acme"], "never looked at"
    lacks(live)
    connected(live.hub, live.sandbox)
    assert status(live.hub.engine)["connections"][0]["permissions"] == []
    with live.hub.engine.connect() as db:
        assert due.unprobed(db, refused=False) == ["acme"]
    probed(live)
    assert rung(live) == [("import_account", ["disputes"])]


@pytest.mark.wide
def test_a_refused_list_per_parent_is_one_problem_that_can_be_cleared(live: Live) -> None:
    lacks(live, "product_features", "entitlements/features", "features")
    assert imported(live.hub, live.account)["left_out"]
    assert FEATURES in refused(live)
    assert all("prod_" not in one for one in refused(live))
    lacks(live)
    imported(live.hub, live.account)
    assert refused(live) == []


def test_trouble_with_the_key_or_the_network_is_said_and_tells_nothing_of_permissions(live: Live) -> None:
    with pytest.raises(StripeUnreachable):
        probed(live, NOWHERE)
    assert "unreachable" in [one["code"] for one in problems(live)]
    with live.hub.engine.connect() as db:
        assert (due.unprobed(db, refused=False), due.unprobed(db, refused=True)) == ([], ["acme"])
    assert live.sandbox.server is not None
    ring = live.sandbox.server.keys
    live.sandbox.call(lambda: ring.add(Key(live.sandbox.key, revoked=True)))
    with pytest.raises(StripeKeyInvalid):
        probed(live)
    assert "key_invalid" in [one["code"] for one in problems(live)]
    assert live.rows("select * from tidegate.permissions") == []


def test_a_day_has_one_look(live: Live) -> None:
    queue.empty_jobs(live.hub.engine)
    live.run("update tidegate.connections set caught_up_at = now()")
    work = TaskContext(live.hub.engine, lambda account: stripe(live.sandbox.key, account.api_base))
    assert clock_tasks.tick(work, 60) == ["probe:acme"]
    assert connection_tasks.probe(work, "acme") == {"connection": "acme", "refused": []}
    queue.empty_jobs(live.hub.engine)
    assert clock_tasks.tick(work, 60) == []
    live.run("update tidegate.permissions set checked_at = now() - interval '25 hours' where endpoint = :e", e=EVENTS)
    assert clock_tasks.tick(work, 60) == ["probe:acme"]
    live.run("insert into tidegate.permissions (connection, endpoint) values ('acme', 'GET /v1/forgotten')")
    probed(live)
    assert live.one("select count(*) from tidegate.permissions where endpoint = 'GET /v1/forgotten'") == 0
    disconnect(live.hub.engine, "acme", "cli:test")
    assert connection_tasks.probe(work, "acme")["state"] == "disconnected"
    assert status(live.hub.engine)["connections"][0]["permissions"] == []
