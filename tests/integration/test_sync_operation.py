"""Syncs as they are operated: schedules, what follows what, alerts, retention, and people who are forgotten."""

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.support import queue
from tests.support.importing import imported
from tests.support.waiting import until
from tests.support.warehouse import Warehouse, ready

from tidegate.catalog import journal
from tidegate.connections import runs
from tidegate.errors import OutboundPaused, QueryRefused, SyncInvalid, SyncRunning, UsageError
from tidegate.outbound import dues, pausing, specs, syncs
from tidegate.sandbox import Sandbox
from tidegate.wiring import Hub
from tidegate.workflows.contacts.contacts_forget import forget
from tidegate.workflows.mirror import disconnect
from tidegate.workflows.operation import retention
from tidegate.workflows.operation.read_store import read_store
from tidegate.workflows.operation.status import status
from tidegate.workflows.outbound import revert_sync, run_sync, source_reading, sync_stopping, sync_task
from tidegate.workflows.outbound.run_sync import Wanted
from tidegate.workflows.outbound.sync_plan import Part
from tidegate.workflows.outbound.sync_turns import KIND as SYNC
from tidegate.workflows.task_context import TaskContext

pytestmark = pytest.mark.wide

Make = Callable[..., Sandbox]
MONDAY = datetime(2026, 3, 30, 6, 59, tzinfo=UTC)


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


@pytest.fixture
def sandbox(make_sandbox: Make) -> Sandbox:
    return make_sandbox(customers=3, months=1)


@pytest.fixture
def warehouse(hub: Hub, sandbox: Sandbox, tmp_path: Path) -> Warehouse:
    return ready(hub, sandbox, tmp_path)


@pytest.fixture
def context(hub: Hub) -> TaskContext:
    return TaskContext(hub.engine, hub.stripe, hub.stripe_writing, hub.source_url)


def work(context: TaskContext, sync: str = "customers") -> dict[str, Any]:
    return sync_task.run_sync(context, "acme", sync)


def due(warehouse: Warehouse) -> dict[str, str]:
    """The syncs that are due, and what for."""
    with warehouse.hub.engine.connect() as db:
        return {one.sync: one.why for one in dues.due(db)}


def ask(warehouse: Warehouse, sync: str = "customers", **wanted: Any) -> None:
    sync_task.ask(warehouse.hub.engine, sync, "api", Wanted(**wanted))


def first_run(warehouse: Warehouse) -> dict[str, Any]:
    return warehouse.run(plan=warehouse.plan()["plan"])


def test_a_schedule_makes_a_run_due_once_however_often_it_was_missed(
    warehouse: Warehouse, context: TaskContext
) -> None:
    first_run(warehouse)
    warehouse.define(schedule="*/30 9-17 * * mon-fri", time_zone="Europe/Berlin")
    assert sync_task.ring_for_syncs(context, MONDAY) == []
    assert sync_task.ring_for_syncs(context, MONDAY) == []
    [(at,)] = warehouse.rows("select next_at from tidegate.syncs")
    assert at == MONDAY + timedelta(minutes=1)  # nine in the morning in Berlin's summer
    assert sync_task.ring_for_syncs(context, at) == ["run_sync:customers"]
    assert sync_task.ring_for_syncs(context, at + timedelta(days=1)) == []  # it waits already
    assert due(warehouse) == {"customers": "schedule"}
    assert work(context)["state"] == "done"
    assert (due(warehouse), work(context)["state"]) == ({}, "nothing due")
    with warehouse.hub.engine.begin() as db:
        db.execute(text("update tidegate.syncs set enabled = false, next_at = null"))
    sync_task.ring_for_syncs(context, at + timedelta(days=1))
    assert due(warehouse) == {}


def test_another_schedule_counts_at_once(warehouse: Warehouse, context: TaskContext) -> None:
    warehouse.define(schedule="1d")
    sync_task.ring_for_syncs(context, MONDAY)
    warehouse.define(schedule="1d", stops={"updates": 50})
    assert warehouse.rows("select next_at from tidegate.syncs") == [(datetime(2026, 3, 31, tzinfo=UTC),)]
    warehouse.define(schedule="every 10 minutes")
    sync_task.ring_for_syncs(context, MONDAY)
    assert warehouse.rows("select next_at from tidegate.syncs") == [(MONDAY + timedelta(minutes=1),)]


def test_what_runs_after_an_import_and_after_another_sync(warehouse: Warehouse, context: TaskContext) -> None:
    warehouse.define(schedule="after import")
    warehouse.define(key="again", schedule="After  sync customers", match={"email": "email"})
    first_run(warehouse)
    assert due(warehouse) == {"again": "sync customers"}
    work(context, "again")
    assert due(warehouse) == {}
    imported(warehouse.hub, warehouse.account, "customers")
    assert due(warehouse) == {"customers": "import"}


def test_syncs_that_would_run_after_each_other_for_ever_are_refused(warehouse: Warehouse) -> None:
    warehouse.define(key="b", schedule="after sync customers")
    warehouse.define(key="c", schedule="after sync b")
    with pytest.raises(SyncInvalid, match="customers after c after b after customers would never end"):
        warehouse.define(schedule="after sync c")
    with pytest.raises(SyncInvalid, match="after itself"):
        warehouse.define(schedule="after sync customers")
    with pytest.raises(SyncInvalid, match=r"schedule: .*is no schedule"):
        warehouse.define(schedule="hourly")


def test_due_syncs_are_rung_for_in_the_order_in_which_objects_need_each_other(
    warehouse: Warehouse, context: TaskContext
) -> None:
    with warehouse.hub.engine.begin() as db:
        for key, resource in (("a", "invoices"), ("z", "products")):
            said = {"key": key, "model": "accounts", "resource": resource, "match": {"metadata": {"k": "id"}},
                    "fields": {"metadata": {"tier": "tier"}}}  # fmt: skip
            syncs.define_sync(db, specs.sync(said), "acme")
        for key in ("a", "customers", "z"):
            dues.ask(db, key, "api")
    assert sync_task.ring_for_syncs(context, MONDAY) == ["run_sync:z", "run_sync:customers", "run_sync:a"]
    assert [name for name, _, _ in queue.jobs(warehouse.hub.engine)] == ["run_sync"] * 3
    locks = warehouse.rows("select distinct lock from procrastinate_jobs where task_name = 'run_sync'")
    assert locks == [("run_sync:acme",)]


def test_a_worker_runs_a_sync_as_it_was_asked_for(warehouse: Warehouse, context: TaskContext) -> None:
    ask(warehouse, part=Part(limit=2))
    assert work(context)["state"] == "done"
    assert warehouse.rows("select count(*) from tidegate.sync_rows where state = 'sent'") == [(2,)]
    ask(warehouse, part=Part(keys=("3",)))
    work(context)
    assert warehouse.rows("select count(*) from tidegate.sync_rows where state = 'sent'") == [(3,)]
    assert warehouse.rows("select due_at, asked from tidegate.syncs") == [(None, None)]


def test_a_first_run_without_a_plan_fails_and_is_told(warehouse: Warehouse, context: TaskContext) -> None:
    ask(warehouse)
    failed = work(context)
    assert failed["state"] == "failed"
    assert "wants a plan" in failed["error"]
    assert due(warehouse) == {}
    told = warehouse.rows("select type, data ->> 'error', connection from tidegate.outbox where type like 'sync.%'")
    assert told == [("sync.failed", failed["error"], "acme")]
    [problem] = problems(warehouse)
    assert (problem["code"], problem["subject"]) == ("sync_failed", "customers")
    assert "`tidegate sync run customers`" in problem["remedy"]
    first_run(warehouse)
    assert problems(warehouse) == []
    [(data,)] = warehouse.rows("select data from tidegate.outbox where type = 'sync.finished'")
    assert (data["sync"], data["state"], data["sent"], data["failed"]) == ("customers", "done", {"create": 3}, 0)


def test_what_a_dead_process_left_is_gone_on_with(warehouse: Warehouse, context: TaskContext) -> None:
    """A run whose process dies leaves what is due; its plan is not what is left to do any more."""
    plan = warehouse.plan()["plan"]
    warehouse.run(part=Part(limit=1))
    with warehouse.hub.engine.begin() as db:
        dues.begin(db, "customers", last_run(warehouse), Wanted(plan=plan).as_json())
    assert sync_task.ring_for_syncs(context, MONDAY) == ["run_sync:customers"]
    assert work(context)["state"] == "done"
    assert warehouse.rows("select count(*) from tidegate.sync_rows where state = 'sent'") == [(3,)]
    assert due(warehouse) == {}


def test_what_is_asked_for_while_a_run_is_at_work_is_due_after_it(warehouse: Warehouse) -> None:
    with warehouse.hub.engine.begin() as db:
        since = dues.begin(db, "customers", 7, {})
        dues.ask(db, "customers", "api", {"despite_stops": True})
        dues.settle(db, "customers", since)
    assert due(warehouse) == {"customers": "api"}


def test_trouble_that_passes_leaves_it_due(
    warehouse: Warehouse, context: TaskContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_run(warehouse)
    ask(warehouse)
    warehouse.path.rename(warehouse.path.with_suffix(".away"))
    put_off = work(context)
    assert put_off["state"] == "put_off"
    assert "not there" in put_off["error"]
    assert due(warehouse) == {"customers": f"run {last_run(warehouse)}"}
    assert warehouse.rows("select count(*) from tidegate.outbox where type = 'sync.failed'") == [(0,)]
    warehouse.path.with_suffix(".away").rename(warehouse.path)
    assert work(context)["state"] == "done"
    assert due(warehouse) == {}


def last_run(warehouse: Warehouse) -> int:
    [(number,)] = warehouse.rows("select max(id) from tidegate.runs where kind = 'sync'")
    return number


def test_a_worker_that_stops_leaves_it_due_and_rings(warehouse: Warehouse, context: TaskContext) -> None:
    first_run(warehouse)
    ask(warehouse)
    queue.empty_jobs(warehouse.hub.engine)
    stopping = replace(context, stop=threading.Event())
    stopping.stop.set()
    assert work(stopping)["state"] == "interrupted"
    assert list(due(warehouse)) == ["customers"]
    assert queue.jobs(warehouse.hub.engine) == [("run_sync", "acme", "todo")]


def test_what_is_due_and_has_not_begun_is_canceled(warehouse: Warehouse, context: TaskContext) -> None:
    ask(warehouse)
    assert sync_stopping.cancel(warehouse.hub.engine, "customers", "ada") is None
    assert (due(warehouse), work(context)["state"]) == ({}, "nothing due")
    with pytest.raises(UsageError, match="No run of customers is under way"):
        sync_stopping.cancel(warehouse.hub.engine, "customers", "ada")


def test_a_run_that_is_canceled_ends_and_owes_nothing_while_the_worker_goes_on(
    warehouse: Warehouse, context: TaskContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_run(warehouse)
    ask(warehouse)
    settling = run_sync.sync_settling.settle

    def cancel_first(engine: Engine, *rest: Any) -> int:
        assert sync_stopping.cancel(engine, "customers", "ada") == last_run(warehouse)
        assert rest[-1].wait(20), "the run heard of it"
        return settling(engine, *rest)

    monkeypatch.setattr(run_sync.sync_settling, "settle", cancel_first)
    assert work(context)["state"] == "interrupted"
    assert not context.stop.is_set()
    assert due(warehouse) == {}
    assert problems(warehouse) == []


@pytest.mark.parametrize("where", ["sync_settling.settle", "_send_rows"])
def test_what_a_pause_ends_is_owed_and_runs_once_it_is_over(
    warehouse: Warehouse, context: TaskContext, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    first_run(warehouse)
    warehouse.write("insert into accounts values (5, 'Ed', 'ed@new.example', 'pro')")
    ask(warehouse)
    before = Rested(where)

    def pause_first(engine: Engine, *rest: Any) -> Any:
        with engine.begin() as db:
            pausing.pause(db, "ada")
        [stop] = [one for one in rest if isinstance(one, threading.Event)]
        assert stop.wait(20), "the run heard of it"
        return before.do(engine, *rest)

    with monkeypatch.context() as pausing_it:
        pausing_it.setattr(before.holder, before.name, pause_first)
        assert work(context)["state"] == "interrupted"
    assert [one["code"] for one in problems(warehouse)] == []
    assert warehouse.rows("select count(*) from tidegate.syncs where due_at is not null") == [(1,)]
    with warehouse.hub.engine.begin() as db:
        pausing.resume(db)
    assert [*due(warehouse)] == ["customers"]
    assert work(context)["state"] == "done"
    assert warehouse.rows("select count(*) from tidegate.sync_rows where state = 'sent'") == [(4,)]
    assert due(warehouse) == {}


class Rested:
    """A function of `run_sync`, as it is."""

    def __init__(self, path: str) -> None:
        *module, self.name = path.split(".")
        self.holder: Any = getattr(run_sync, module[0]) if module else run_sync
        self.do = getattr(self.holder, self.name)


def test_a_run_that_is_canceled_while_it_reads_ends(
    warehouse: Warehouse, context: TaskContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_run(warehouse)
    warehouse.write("insert into accounts values (5, 'Ed', 'ed@new.example', 'pro')")
    ask(warehouse)
    heard, opened = list[threading.Event](), sync_stopping.heard

    @contextmanager
    def hearing(*given: Any) -> Generator[Any]:
        with opened(*given) as stop:
            heard.append(stop)
            yield stop

    def cancel_first(progress: Callable[[int], None]) -> Callable[[int], None]:
        def told(count: int) -> None:
            sync_stopping.cancel(warehouse.hub.engine, "customers", "ada")
            assert heard[-1].wait(20), "the run heard of it"
            progress(count)

        return told

    rows = source_reading.rows
    monkeypatch.setattr(sync_stopping, "heard", hearing)
    monkeypatch.setattr(
        source_reading, "rows", lambda engine, url, model, told: rows(engine, url, model, cancel_first(told))
    )
    assert work(context)["state"] == "interrupted"
    [(state, error, summary)] = warehouse.rows(
        "select state, error, summary from tidegate.runs where kind = 'sync' order by id desc limit 1"
    )
    assert (state, error, summary["counts"]) == ("interrupted", "", {})
    assert (due(warehouse), problems(warehouse)) == ({}, [])


def test_a_worker_runs_what_a_schedule_makes_due(warehouse: Warehouse, context: TaskContext) -> None:
    first_run(warehouse)
    warehouse.write("insert into accounts values (5, 'Ed', 'ed@new.example', 'pro')")
    warehouse.define(schedule="1m")
    url = warehouse.hub.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with queue.working(url, context):
        sync_task.ring_for_syncs(context, MONDAY)
        sync_task.ring_for_syncs(context, MONDAY + timedelta(minutes=1))
        sent = "select count(*) from tidegate.sync_rows where state = 'sent'"
        until(lambda: warehouse.rows(sent) == [(4,)], "the row sent")
        until(lambda: "run_sync" in [name for name, _, _ in queue.jobs(context.engine, "succeeded")], "the job done")


def test_a_pause_holds_what_is_due_and_says_so(warehouse: Warehouse, context: TaskContext) -> None:
    first_run(warehouse)
    with warehouse.hub.engine.begin() as db:
        pausing.pause(db, "ada")
    with pytest.raises(OutboundPaused):
        warehouse.run()
    assert [one["code"] for one in status(warehouse.hub.engine)["problems"]] == []
    ask(warehouse)
    assert sync_task.ring_for_syncs(context, MONDAY) == []
    assert work(context)["state"] == "nothing due"
    [held] = status(warehouse.hub.engine)["problems"]
    assert (held["code"], held["detail"]) == ("outbound_paused", "ada paused it, and it holds customers.")
    with warehouse.hub.engine.begin() as db:
        pausing.resume(db)
    assert work(context)["state"] == "done"


def problems(warehouse: Warehouse) -> list[dict[str, Any]]:
    """What status tells of syncs."""
    found = status(warehouse.hub.engine, ["acme"])
    json.dumps(found)
    return [one for one in found["connections"][0]["problems"] if one["code"].startswith("sync_")]


def test_rows_that_fail_are_told_from_the_share_on_that_is_set(warehouse: Warehouse) -> None:
    first_run(warehouse)
    warehouse.write("update accounts set tier = repeat('x', 501) where id = 1")
    assert warehouse.run()["state"] == "incomplete"
    [problem] = problems(warehouse)
    assert problem["code"] == "sync_rows_failed"
    assert problem["detail"] == "customers: 33.3 % (1 of 3) of the rows failed, more than 5 %."
    warehouse.define(alerts={"rows_failed": 40})
    assert problems(warehouse) == []


def test_a_sync_that_is_late_or_lasts_too_long_is_told(warehouse: Warehouse) -> None:
    first_run(warehouse)
    warehouse.define(schedule="15m", alerts={"late": 20, "longest": 60})
    for ago, late in ((19, []), (21, ["sync_late"])):
        for column in ("next_at", "due_at"):
            with warehouse.hub.engine.begin() as db:
                db.execute(text("update tidegate.syncs set next_at = null, due_at = null"))
                db.execute(text(f"update tidegate.syncs set {column} = now() - interval '{ago} minutes'"))
            assert [one["code"] for one in problems(warehouse)] == late
    with warehouse.hub.engine.begin() as db:
        db.execute(text("update tidegate.syncs set due_at = null, next_at = null"))
        db.execute(text("update tidegate.runs set started_at = started_at - interval '61 minutes' where kind = 'sync'"))
    [slow] = problems(warehouse)
    assert slow["code"] == "sync_slow"
    assert "lasted 61 minutes" in slow["detail"]


def test_a_stored_sync_that_cannot_be_read_any_more_stops_no_other(warehouse: Warehouse, context: TaskContext) -> None:
    first_run(warehouse)
    warehouse.define(schedule="1d")
    warehouse.define(key="broken", schedule="1d")
    with warehouse.hub.engine.begin() as db:
        db.execute(text("update tidegate.syncs set next_at = now() - interval '1 minute'"))
        db.execute(text("""update tidegate.syncs set spec = spec || '{"mode": "gone"}' where key = 'broken'"""))
    assert sync_task.ring_for_syncs(context, datetime.now(UTC)) == ["run_sync:customers"]
    assert work(context)["state"] == "done"
    [problem] = problems(warehouse)
    assert (problem["code"], problem["subject"]) == ("sync_invalid", "broken")
    assert "The sync broken cannot be taken: mode: " in problem["detail"]
    assert "DELETE /api/syncs/broken" in problem["remedy"]


def test_requests_and_plans_go_with_time_and_what_is_open_stays(warehouse: Warehouse) -> None:
    first_run(warehouse)
    with warehouse.hub.engine.begin() as db:
        db.execute(text("update tidegate.requests set intended_at = now() - interval '31 days'"))
        db.execute(text("update tidegate.sync_plans set at = now() - interval '31 days'"))
        db.execute(text("update tidegate.requests set state = 'unknown' where key = '2'"))
        db.execute(text("update tidegate.requests set intended_at = now() where key = '3'"))
    gone = retention.forget_old(warehouse.hub.engine)
    assert (gone["requests"], gone["sync_plans"]) == (1, 1)
    assert warehouse.rows("select key from tidegate.requests order by 1") == [("2",), ("3",)]


def test_a_reader_sees_requests_but_not_what_they_said(warehouse: Warehouse) -> None:
    first_run(warehouse)
    engine = warehouse.hub.engine
    with read_store(engine, "select key, response ->> 'email' from requests order by key") as (answer, _):
        assert list(answer.rows) == [("1", "[redacted]"), ("2", "[redacted]"), ("3", "[redacted]")]
    for column in ("requests.params", "requests.before", "requests.wanted", "sources.url"):
        table = column.partition(".")[0]
        with pytest.raises(QueryRefused), read_store(engine, f"select {column} from {table}") as (answer, _):
            list(answer.rows)


def test_a_person_who_is_forgotten_is_sent_no_more_and_named_nowhere(warehouse: Warehouse, sandbox: Sandbox) -> None:
    engine = warehouse.hub.engine
    warehouse.write(
        "update accounts set company = 'Zyxwvuts', email = 'zyxwvuts@x.example', tier = 'zyxwvuts' where id = 1"
    )
    first_run(warehouse)
    warehouse.write("insert into accounts values (4, 'Zyxwvuts', 'Zyxwvuts@x.example', repeat('zyxwvuts', 80))")
    warehouse.run()
    assert mentions(warehouse) >= {"tidegate.requests", "tidegate.sync_rows"}
    warehouse.write("delete from accounts where id = 4")
    warehouse.run()  # what is wrong with a row is kept as long as the model has it
    [(id_,)] = warehouse.rows("select object_id from tidegate.sync_rows where key = '1'")
    with engine.begin() as db:  # as a sync that names customers by their e-mail address keeps it
        db.execute(text("""
insert into tidegate.sync_associations (sync, resource, way, name, value, ids)
values ('customers', 'customers', 'email', '', 'zyxwvuts@x.example', array[:id])"""), {"id": id_})  # fmt: skip
    with holding(warehouse):
        forget(engine, False, None, "ada", customer=id_, account=warehouse.account, only_preview=True)
        with pytest.raises(SyncRunning):
            forget(engine, False, None, "ada", customer=id_, account=warehouse.account, only_preview=False)
    done = forget(engine, False, None, "ada", customer=id_, account=warehouse.account, only_preview=False)
    assert (done.rows["tidegate.requests"], done.rows["tidegate.sync_rows"]) == (1, 1)
    assert warehouse.rows("select * from tidegate.sync_associations") == []
    assert mentions(warehouse) == set()
    imported(warehouse.hub, warehouse.account, full=True)
    warehouse.write("update accounts set tier = 'zyxwvuts2' where id = 1")
    run = warehouse.run(part=Part(full=True))
    assert (run["sent"], run["counts"]["skip"]) == ({}, 1)
    with warehouse.hub.stripe_writing(warehouse.account) as api:
        api.delete(f"/v1/customers/{id_}", idempotency_key="gone")
    imported(warehouse.hub, warehouse.account, full=True)
    assert warehouse.run(part=Part(full=True))["sent"] == {}
    assert mentions(warehouse) == set()


def mentions(warehouse: Warehouse) -> set[str]:
    """The tables in which the person is named."""
    tables = warehouse.rows("""
select table_schema || '.' || table_name from information_schema.tables
where table_schema in ('stripe', 'tidegate') and table_type = 'BASE TABLE'""")
    found = "select exists(select from {} t where lower(cast(t as text)) like '%zyxwvuts%')"
    return {one for (one,) in tables if warehouse.rows(found.format(one)) == [(True,)]}


def holding(warehouse: Warehouse) -> Any:
    """As while a run of the sync is at work."""
    return runs.exclusive(warehouse.hub.engine, "sync:customers", SYNC)


def test_a_purge_counts_and_takes_the_syncs_of_its_connection(warehouse: Warehouse) -> None:
    engine = warehouse.hub.engine
    first_run(warehouse)
    with holding(warehouse), pytest.raises(SyncRunning):
        disconnect.purge(engine, "acme", "cli:test")
    counts = disconnect.count_for_purge(engine, "acme")
    named = {name: counts[f"tidegate.{name}"] for name in ("requests", "sync_rows", "sync_plans", "syncs")}
    assert named == {"requests": 3, "sync_rows": 3, "sync_plans": 1, "syncs": 1}
    assert disconnect.purge(engine, "acme", "cli:test") == counts
    left = "select (select count(*) from tidegate.sync_rows) + (select count(*) from tidegate.runs)"
    assert warehouse.rows(left) == [(0,)]


def test_only_what_changed_in_stripe_since_the_last_run_is_looked_at(warehouse: Warehouse) -> None:
    first_run(warehouse)
    [(until,)] = warehouse.rows("select looked_until from tidegate.syncs")
    assert until == warehouse.rows("select complete_as_of from tidegate.connections")[0][0]
    with warehouse.hub.stripe_writing(warehouse.account) as api:
        [(id_,)] = warehouse.rows("select object_id from tidegate.sync_rows where key = '1'")
        api.post(f"/v1/customers/{id_}", {"name": "By hand"}, idempotency_key="hand")
    imported(warehouse.hub, warehouse.account, full=True)
    assert warehouse.plan()["counts"]["update"] == 1
    assert warehouse.run(despite_stops=True)["sent"] == {"update": 1}
    with warehouse.hub.engine.begin() as db:  # as if nothing had happened in Stripe since
        db.execute(text("update tidegate.syncs set looked_until = now() + interval '1 day'"))
        db.execute(text("update tidegate.sync_rows set seen_at = null"))
    assert sum(warehouse.plan()["counts"].values()) == 0


def test_what_waits_in_the_inbox_is_not_known_yet(warehouse: Warehouse) -> None:
    """An event that is parked may change an object as of its own time, however much later it is handled."""
    told = datetime(2026, 1, 2, 3, tzinfo=UTC)
    for number, (state, at) in enumerate((("handled", told - timedelta(days=9)), ("parked", told))):
        values = {"id": f"evt_{number}", "state": state, "at": at}
        insert = text("""
insert into tidegate.inbox (connection, event_id, type, created, source, body, state)
values ('acme', :id, 'x', :at, 'webhook', '{}', :state)""")
        with warehouse.hub.engine.begin() as db:
            db.execute(insert, values)
    first_run(warehouse)
    assert warehouse.rows("select looked_until from tidegate.syncs") == [(told,)]
    warehouse.run(part=Part(limit=1))
    with warehouse.hub.engine.begin() as db:
        db.execute(text("update tidegate.inbox set state = 'handled'"))
    warehouse.run(part=Part(keys=("1",)))
    assert warehouse.rows("select looked_until from tidegate.syncs") == [(told,)]  # a part says nothing of the rest
    warehouse.run()
    complete = warehouse.rows("select complete_as_of from tidegate.connections")
    assert warehouse.rows("select looked_until from tidegate.syncs") == complete


NOTED = {"sync.run", "sync.canceled", "sync.reverted"}


def test_who_lets_a_sync_run_or_cancels_it_is_written_down(warehouse: Warehouse) -> None:
    engine, source_url = warehouse.hub.engine, warehouse.hub.source_url
    plan = warehouse.plan()["plan"]
    by_hand = Wanted(plan=plan, despite_stops=True)
    number = run_sync.run(engine, "customers", source_url, warehouse.hub.stripe_writing, by_hand, by="ada")["run"]
    sync_task.ask(engine, "customers", "token:ops", Wanted(Part(("1", "2"))))
    sync_stopping.cancel(engine, "customers", "token:ops")
    taken_back = revert_sync.revert(engine, number, warehouse.hub.stripe_writing, "bo")["run"]
    with engine.connect() as db:
        noted = [one for one in journal.page(db, about="customers") if one["action"] in NOTED]
    nothing = {"limit": None, "full": False, "if_there": False}
    assert [(one["by"], one["action"], one["detail"]) for one in reversed(noted)] == [
        ("ada", "sync.run", nothing | {"run": number, "plan": plan, "despite_stops": True}),
        ("token:ops", "sync.run", nothing | {"keys": 2, "plan": None, "despite_stops": False}),
        ("token:ops", "sync.canceled", {}),
        ("bo", "sync.reverted", {"run": taken_back, "reverts": number, "despite_edits": False}),
    ]
