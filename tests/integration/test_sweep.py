"""A sweep mends what no event told, and leaves imports and the place in Stripe's events alone."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import queue
from tests.support.builders import customer, event
from tests.support.hubs import copied
from tests.support.importing import ONCE, imported, stripe
from tests.support.live import NOWHERE, Live
from tests.support.standing import Standing, standing

from tidegate.connections import runs
from tidegate.errors import ImportRunning, SweepRunning
from tidegate.mirror.tables import STRIPE_TABLES
from tidegate.sandbox.keys import Key
from tidegate.wiring import Hub
from tidegate.workflows import clock_tasks, connection_tasks, due
from tidegate.workflows.mirror.disconnect import purge
from tidegate.workflows.mirror.sweep import sweep
from tidegate.workflows.operation.status import status
from tidegate.workflows.refresh import refresh_changed
from tidegate.workflows.task_context import TaskContext

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

NIGHT = datetime(2030, 1, 10, 3, 30, tzinfo=UTC)
"""Long after anything that these tests did."""


@pytest.fixture(scope="module")
def company(server_url: str, secret_key: str) -> Iterator[Standing]:
    """A small company, imported and caught up."""
    with standing(server_url, secret_key, seconds=60, customers=10, months=3) as company:
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


def swept(live: Live, *, base: str | None = None, **options: Any) -> dict[str, Any]:
    with stripe(live.sandbox.key, base or live.sandbox.url) as api:
        return sweep(live.hub.engine, live.account, api, readers=4, **options)


def context(live: Live, *, base: str | None = None) -> TaskContext:
    return TaskContext(
        live.hub.engine, lambda account: stripe(live.sandbox.key, base or account.api_base, ONCE), readers=4
    )


def last(live: Live, kind: str = "sweep") -> Any:
    with live.hub.engine.connect() as db:
        return runs.last(db, "acme", kind)


def change_in_silence(live: Live) -> dict[str, dict[str, int]]:
    """Changes Stripe without any event; returns what a sweep has to mend."""
    live.sandbox.advance(60)
    live.put(live.full("invoice_payments") | {"status": "open"})
    live.put(customer("cus_silent"))
    features, coupons = (live.sandbox.state[name].ids[:] for name in ("product_features", "coupons"))
    live.remove("product_features", features[0])
    live.remove("coupons", coupons[0])
    return {
        "product_features": {"missing": 0, "changed": 0, "vanished": 1},
        "coupons": {"missing": 0, "changed": 0, "vanished": 1},
        "customers": {"missing": 1, "changed": 0, "vanished": 0},
        "invoice_payments": {"missing": 0, "changed": 1, "vanished": 0},
    }


def test_one_sweep_mends_what_no_event_told(live: Live) -> None:
    wanted = change_in_silence(live)
    live.catch_up()
    before = live.standing().events_until
    assert not live.audit()["clean"]
    summary = swept(live)
    assert (summary["state"], summary["problems"]) == ("done", {})
    found = {
        name: {what: counts[what] for what in ("missing", "changed", "vanished")}
        for name, counts in summary["mended"].items()
        if counts["missing"] or counts["changed"] or counts["vanished"]
    }
    assert found == wanted
    customers = summary["mended"]["customers"]
    assert customers["listed"] == customers["unchanged"] + 1 > 5
    assert live.audit()["clean"]
    assert live.standing().events_until == before
    assert status(live.hub.engine)["connections"][0]["sweep"]["mended"] == wanted
    assert swept(live)["mended"]["customers"]["missing"] == 0


def rows_as_written(live: Live) -> dict[tuple[str, str], Any]:
    """Every row of the mirror with which transaction wrote it, which one locked it last, and where it lies."""
    return {
        (table.name, row["key"]): (row["ctid"], row["xmin"], row["xmax"])
        for table in STRIPE_TABLES.values()
        for row in live.rows(
            f"select {'position || id' if 'position' in table.c else 'id'} || md5(data::text) as key, ctid::text,"
            f" xmin::text, xmax::text from stripe.{table.name}"
        )
    }


def test_what_is_unchanged_is_not_written(live: Live) -> None:
    before = rows_as_written(live)
    live.sandbox.advance(60)
    assert swept(live)["state"] == "done"
    after_one = rows_as_written(live)
    written = [key for key in after_one if after_one[key] != before.get(key)]
    told = len(before) - sum(1 for key in before if before[key] == after_one.get(key))
    assert len(written) == told < len(before) / 2, "what only events had told is confirmed, once"
    live.sandbox.advance(60)
    kept = live.one("select count(*) from tidegate.sightings")
    summary = swept(live)
    assert rows_as_written(live) == after_one
    assert summary["mended"]["customers"]["unchanged"] == summary["mended"]["customers"]["listed"] > 5
    assert (kept, live.one("select count(*) from tidegate.sightings")) == (0, 0)
    live.sandbox.advance(60)
    changed = live.put(live.full("customers") | {"description": "changed in silence"})
    swept(live)
    different = [key for key, row in rows_as_written(live).items() if after_one.get(key) != row]
    assert [name for name, _ in different] == ["customers"]
    assert live.one("select data ->> 'description' from stripe.customers where id = :id", id=changed["id"])


def test_a_late_event_does_not_beat_what_a_sweep_saw_since(live: Live) -> None:
    """A changed to B and back, and only the sweep saw that it is back: the event that tells of B comes after it."""
    stands = live.full("customers")
    swept(live)
    live.sandbox.advance(60)
    between = live.now
    live.sandbox.advance(60)
    swept(live)
    other = stands | {"description": "B"}
    live.told(event("customer.updated", other, between))
    live.drain()
    told = live.rows("select data ->> 'description' as d from stripe.customers where id = :id", id=stands["id"])
    assert [row["d"] for row in told] == [stands["description"]]
    assert live.audit("customers")["clean"]
    live.sandbox.advance(60)
    live.told(event("customer.updated", other, live.now))
    live.drain()
    told = live.rows("select data ->> 'description' as d from stripe.customers where id = :id", id=stands["id"])
    assert [row["d"] for row in told] == ["B"], "a later one does"


@pytest.mark.further
def test_what_only_late_events_tell_is_taken_in_their_order(live: Live) -> None:
    """No list showed it, so no sweep confirms it: neither the first of its events nor the ones after."""
    swept(live)
    live.sandbox.advance(60)
    swept(live)
    body = customer("cus_late")
    for number, when in enumerate((live.now - 110, live.now - 100)):
        live.told(event("customer.updated", body | {"description": f"{number}"}, when))
        live.drain()
    assert live.one("select data ->> 'description' from stripe.customers where id = 'cus_late'") == "1"


@pytest.mark.further
def test_a_sweep_that_is_gone_on_with_knows_what_it_had_seen(live: Live) -> None:
    swept(live)
    live.sandbox.advance(60)
    stop = threading.Event()
    first = swept(live, stop=stop, progress=lambda told: stop.set() if told.resource == "customers" else None)
    assert first["state"] == "interrupted"
    assert live.one("select count(*) from tidegate.sightings") > 0
    second = swept(live)
    assert (second["state"], second["resumed"]) == ("done", True)
    assert all(not counts["vanished"] and not counts["changed"] for counts in second["mended"].values())
    prices = live.one("select count(*) from tidegate.refetches")
    assert prices == 0


@pytest.mark.further
def test_a_full_import_by_hand_says_the_same(live: Live) -> None:
    wanted = change_in_silence(live)
    mended = imported(live.hub, live.account, full=True)["mended"]
    assert {name: {what: mended[name][what] for what in counts} for name, counts in wanted.items()} == wanted
    assert "mended" not in imported(live.hub, live.account)


@pytest.mark.further
def test_an_interrupted_import_stays_as_it_is(live: Live) -> None:
    stop = threading.Event()
    stop.set()
    assert imported(live.hub, live.account, stop=stop)["state"] == "interrupted"
    before = last(live, "import")
    assert swept(live)["state"] == "done"
    assert last(live, "import") == before
    assert imported(live.hub, live.account)["resumed"]


def test_while_an_import_reads_the_lists_there_is_nothing_to_sweep(live: Live) -> None:
    with runs.exclusive(live.hub.engine, "acme", "import"), pytest.raises(ImportRunning) as refused:
        swept(live)
    assert not isinstance(refused.value, SweepRunning)
    with runs.exclusive(live.hub.engine, "acme", "import"):
        assert connection_tasks.sweep(context(live), "acme")["state"] == "busy"
    with runs.exclusive(live.hub.engine, "acme", "sweep"), pytest.raises(SweepRunning, match="sweeping acme"):
        swept(live)
    with runs.exclusive(live.hub.engine, "acme", "sweep"), pytest.raises(ImportRunning):
        purge(live.hub.engine, "acme", "cli:test")
    assert last(live) is None


@pytest.mark.further
def test_a_sweep_goes_on_with_one_of_the_same_night_only(live: Live) -> None:
    stop = threading.Event()
    first = swept(live, stop=stop, progress=lambda _: stop.set())
    assert first["state"] == "interrupted"
    again = swept(live)
    assert (again["run"], again["resumed"], again["state"]) == (first["run"], True, "done")
    live.run("update tidegate.runs set state = 'interrupted', started_at = now() - interval '21 hours' "
             "where kind = 'sweep'")  # fmt: skip
    assert swept(live)["run"] != first["run"]


def test_a_part_that_fails_is_named_and_the_rest_is_swept(live: Live) -> None:
    change_in_silence(live)
    assert live.sandbox.server is not None
    ring = live.sandbox.server.keys
    names = [name for name in live.sandbox.state.collections if name != "disputes"]
    live.sandbox.call(lambda: ring.add(Key(live.sandbox.key, dict.fromkeys(names, "read"))))
    assert connection_tasks.sweep(context(live), "acme")["state"] == "done"
    shown = status(live.hub.engine)["connections"][0]["sweep"]
    assert shown["state"] == "done"
    assert list(shown["problems"]) == ["disputes"]
    assert shown["mended"]["customers"]["missing"] == 1


@pytest.mark.further
def test_a_night_has_one_sweep(live: Live) -> None:
    queue.empty_jobs(live.hub.engine)
    refresh_changed(live.hub.engine, live.account)
    live.run("update tidegate.runs set started_at = started_at - interval '21 hours', finished_at = now()")
    live.run("update tidegate.connections set caught_up_at = now()")
    live.sandbox.advance(60)  # what is read in the second of its last event is doubtful, and refreshed
    now = datetime.now(UTC)
    work, at = replace(context(live), sweep_hour=now.hour), int(now.timestamp())
    connection_tasks.probe(work, "acme")  # else its turn has come, too
    assert clock_tasks.tick(work, at) == ["sweep:acme"]
    assert clock_tasks.tick(work, at) == [], "it waits already"
    assert connection_tasks.sweep(work, "acme")["state"] == "done"
    assert connection_tasks.sweep(work, "acme")["state"] == "swept", "a job may run twice"
    queue.empty_jobs(live.hub.engine)
    assert clock_tasks.tick(work, at) == []


@pytest.mark.parametrize(
    ("change", "as_of", "wanted"),
    [
        ("select 1", NIGHT, True),
        ("select 1", NIGHT.replace(hour=4), False),
        ("update stripe.accounts set timezone = 'America/New_York'", NIGHT, False),
        ("update stripe.accounts set timezone = 'America/New_York'", NIGHT.replace(hour=8), True),
        ("update stripe.accounts set timezone = 'Not/AZone'", NIGHT, True),
        ("update stripe.accounts set timezone = null", NIGHT, True),
        ("update tidegate.runs set started_at = '2030-01-09 08:00Z'", NIGHT, False),
        ("update tidegate.runs set started_at = '2030-01-08 07:00Z'", NIGHT.replace(hour=4), True),
        ("update tidegate.runs set options = options || '{\"resources\": [\"prices\"]}'", NIGHT, False),
        ("update tidegate.runs set state = 'interrupted'", NIGHT, False),
        ("update tidegate.runs set state = 'running', heartbeat_at = now()", NIGHT, False),
        ("insert into tidegate.problems (connection, code) values ('acme', 'key_invalid')", NIGHT, False),
        ("update tidegate.connections set disconnected_at = now()", NIGHT, False),
        ("insert into tidegate.runs (connection, kind, state, started_at) "
         "values ('acme', 'sweep', 'incomplete', '2030-01-09 08:00Z')", NIGHT, False),
        ("insert into tidegate.runs (connection, kind, state, started_at, heartbeat_at) "
         "values ('acme', 'sweep', 'interrupted', '2030-01-09 23:00Z', '2030-01-10 04:10Z')",
         NIGHT.replace(hour=4), True),
        ("insert into tidegate.runs (connection, kind, state, started_at, heartbeat_at) "
         "values ('acme', 'sweep', 'interrupted', '2030-01-09 23:00Z', '2030-01-10 04:20Z')",
         NIGHT.replace(hour=4), False),
    ],
)  # fmt: skip
def test_what_is_due_when(live: Live, change: str, as_of: datetime, wanted: bool) -> None:
    live.run("update tidegate.runs set started_at = '2030-01-08 20:00Z'")
    live.run(change)
    with live.hub.engine.connect() as db:
        assert due.unswept(db, as_of, 3) == (["acme"] if wanted else [])


def test_the_next_sweep_is_told_as_it_will_be_due(live: Live) -> None:
    """Before it nothing is due, look as often as one likes, and then it is."""
    began = live.one("select min(started_at) from tidegate.runs")
    for zone in ("America/New_York", "Asia/Kathmandu", None):
        live.run("update stripe.accounts set timezone = :zone", zone=zone)
        for hours in (0, 5, 19, 21, 30, 43, 45, 90):
            as_of = began + timedelta(hours=hours)
            with live.hub.engine.connect() as db:
                told = due.next_sweep(db, "acme", as_of, 3)
                assert told is not None
                assert as_of <= told <= as_of + timedelta(hours=44)
                assert due.unswept(db, told + timedelta(seconds=1), 3) == ["acme"]
                for before in range(1, int((told - as_of).total_seconds()), 7200):
                    assert due.unswept(db, told - timedelta(seconds=before), 3) == []


def test_what_a_stop_leaves_is_rung_for_and_trouble_is_left_to_the_clock(live: Live) -> None:
    queue.empty_jobs(live.hub.engine)
    refresh_changed(live.hub.engine, live.account)
    out = context(live, base=NOWHERE)
    assert connection_tasks.sweep(out, "acme")["state"] == "put_off"
    assert queue.jobs(live.hub.engine) == []
    stopping = context(live)
    stopping.stop.set()
    assert connection_tasks.sweep(stopping, "acme")["state"] == "interrupted"
    assert queue.jobs(live.hub.engine) == [("sweep", "acme", "todo")]
    with live.hub.engine.connect() as db:
        assert due.unswept(db, datetime.now(UTC) + timedelta(minutes=16), 25) == ["acme"]
