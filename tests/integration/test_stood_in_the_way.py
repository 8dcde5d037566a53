"""Other sessions of the database hold rows that are to be written, or the key is erased while work goes on."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from tests.support.builders import customer, event
from tests.support.importing import imported, stripe
from tests.support.live import Live

from tidegate.connections import runs
from tidegate.errors import ConnectionDisconnected, DatabaseBusy
from tidegate.mirror.settle import settle
from tidegate.store import engine as store_engine
from tidegate.store.trouble import repeated
from tidegate.wiring import Hub
from tidegate.workflows.mirror import catch_up as catching_up
from tidegate.workflows.mirror.disconnect import disconnect
from tidegate.workflows.mirror.ingest_events import handle_events

if TYPE_CHECKING:
    from tidegate.mirror.backfill import Progress
    from tidegate.sandbox.server import Sandbox

pytestmark = pytest.mark.further

HOLD = "select from stripe.customers where id = (select min(id) from stripe.customers) for update"


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    return fresh_database_url


@pytest.fixture
def live(hub: Hub, make_sandbox: Callable[..., "Sandbox"], monkeypatch: pytest.MonkeyPatch) -> Live:
    """With sessions that wait a fifth of a second for a lock."""
    monkeypatch.setattr(store_engine, "SESSION", store_engine.SESSION.replace("'5s'", "'200ms'"))
    hub.engine.dispose()
    return Live(hub, make_sandbox(customers=3, months=1))


@contextmanager
def held(live: Live, query: str = HOLD) -> Generator[None]:
    with live.hub.engine.begin() as db:
        db.execute(text(query))
        yield


def change_all_customers(live: Live) -> None:
    for id_ in live.sandbox.call(lambda: list(live.sandbox.state["customers"].ids)):
        live.put(live.full("customers", id_) | {"name": "Changed"})
    live.sandbox.advance(60)


def test_a_row_that_stays_locked_fails_its_list_only(live: Live) -> None:
    imported(live.hub, live.account)
    change_all_customers(live)
    with held(live):
        first = imported(live.hub, live.account, full=True)
    assert (first["state"], set(first["problems"]), first["passing"]) == ("incomplete", {"customers"}, True)
    assert "locked" in first["problems"]["customers"]
    assert "SQL" not in first["problems"]["customers"]
    again = imported(live.hub, live.account)
    assert (again["run"], again["state"]) == (first["run"], "done")
    assert live.one("select count(*) from stripe.customers where name is distinct from 'Changed'") == 0


def test_an_object_that_stays_locked_goes_back_to_the_queue(live: Live) -> None:
    imported(live.hub, live.account)
    change_all_customers(live)
    live.run("insert into tidegate.refetches (connection, resource, object_id, reason) "
             "select connection, 'customers', id, 'doubt' from stripe.customers")  # fmt: skip
    with held(live), stripe(live.sandbox.key, live.sandbox.url) as api:
        settled = settle(live.hub.engine, "acme", api)
    assert len(settled.failed) == 1
    assert live.one("select attempts from tidegate.refetches") == 1


def test_a_transaction_is_repeated_until_the_lock_is_gone(live: Live) -> None:
    imported(live.hub, live.account, "customers")
    tried: list[int] = []
    holding = live.hub.engine.connect()
    holding.execute(text(HOLD))

    def lock() -> int:
        tried.append(1)
        if len(tried) == 2:
            holding.rollback()
        return live.run(HOLD)

    repeated(lock, "it")
    assert len(tried) == 2
    holding.execute(text(HOLD))
    with pytest.raises(DatabaseBusy, match="it: canceling statement due to lock timeout"):
        repeated(lambda: live.run(HOLD), "it")
    holding.close()


def test_what_a_failing_event_is_noted_with_holds_nothing_of_its_body(live: Live) -> None:
    live.told(event("customer.created", customer("cus_1", name="Alice Secret"), 100))
    live.run("alter table stripe.customers add constraint odd check (name <> 'Alice Secret')")
    handle_events(live.hub.engine, "acme")
    error = live.one("select error from tidegate.inbox")
    assert error.startswith("CheckViolation: new row for relation")
    assert "Alice" not in error
    assert "\n" not in error


def test_an_import_ends_when_its_connection_is_disconnected(live: Live) -> None:
    seen: list[str] = []

    def tell(_: "Progress") -> None:
        if not seen:
            seen.append("one")
            disconnect(live.hub.engine, "acme", "cli:test")

    with pytest.raises(ConnectionDisconnected):
        imported(live.hub, live.account, progress=tell, key=live.sandbox.key, readers=1)
    (run,) = live.rows("select state, error from tidegate.runs")
    assert run["state"] == "interrupted"
    assert "disconnected" in run["error"]
    assert live.one("select count(*) from tidegate.import_ranges where done") < 10


def test_nothing_is_fetched_or_caught_up_for_a_connection_that_is_disconnected(live: Live) -> None:
    live.run("insert into tidegate.refetches (connection, resource, object_id, reason) "
             "values ('acme', 'customers', 'cus_1', 'doubt')")  # fmt: skip
    disconnect(live.hub.engine, "acme", "cli:test")
    with stripe(live.sandbox.key, live.sandbox.url) as api:
        assert settle(live.hub.engine, "acme", api).counts == {}
        with pytest.raises(ConnectionDisconnected):
            catching_up.catch_up(live.hub.engine, live.standing(), api)
    assert live.one("select count(*) from tidegate.inbox") == 0


def test_a_run_is_its_owners_though_host_and_process_id_are_the_same(live: Live) -> None:
    """As with containers of one host name, whose process has the id 1 in each."""
    stop = threading.Event()
    first: dict[str, Any] = {}

    def tell(_: "Progress") -> None:
        if not first:
            first["owner"] = live.one("select process from tidegate.runs")
            stop.set()

    imported(live.hub, live.account, progress=tell, stop=stop)
    with live.hub.engine.begin() as db:
        runs.go_on(db, live.one("select id from tidegate.runs"), runs.new_owner())
    (run,) = live.rows("select id, process from tidegate.runs")
    assert run["process"].rpartition(":")[0] == first["owner"].rpartition(":")[0]
    with live.hub.engine.begin() as db:
        runs.beat(db, run["id"], {"beaten": True}, first["owner"])
        runs.end(db, run["id"], "done", {}, first["owner"])
    assert live.one("select state from tidegate.runs") == "running"
    assert "beaten" not in live.one("select summary from tidegate.runs")
