"""A worker does what is rung for, keeps imports from holding up the inbox, and outlives the database's trouble."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.support import queue
from tests.support.queue import no_stripe, working
from tests.support.waiting import until

from tidegate.workflows import clock_tasks, tasks
from tidegate.workflows.doorbell import FETCH, IMPORT, PROMPT, Doorbell
from tidegate.workflows.operation.rescue import MOST_ATTEMPTS, rescue
from tidegate.workflows.task_context import TaskContext
from tidegate.workflows.worker import BUDGET_CONNECTIONS, OWN_CONNECTIONS, Lane, engine_connections, lanes


@pytest.fixture(autouse=True)
def _empty_jobs(engine: Engine) -> None:
    queue.empty(engine)


@pytest.fixture
def context(engine: Engine) -> TaskContext:
    return TaskContext(engine, no_stripe)


def test_a_worker_runs_what_is_rung_for(
    database_url: str, context: TaskContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, dict[str, Any]]] = []

    def noting(name: str) -> Callable[..., None]:
        return lambda context, **arguments: done.append((name, arguments))

    monkeypatch.setattr(tasks, "TASKS", {name: noting(name) for name in tasks.TASKS})
    bell = Doorbell(context.engine)
    with working(database_url, context):
        bell.ring("drain", connection="acme")
        bell.ring("import_account", connection="acme", full=True)
        until(lambda: len(queue.jobs(context.engine, "succeeded")) == 2, "both jobs done")
    assert ("drain", {"connection": "acme"}) in done
    assert ("import_account", {"connection": "acme", "full": True}) in done


def test_what_runs_by_the_clock_runs_without_a_ring(
    database_url: str, context: TaskContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = threading.Event()
    monkeypatch.setitem(tasks.TASKS, "tick", lambda context, timestamp: ran.set() if timestamp % 60 == 0 else None)
    with working(database_url, context):
        until(ran.is_set, "the tick of this minute")


def test_long_imports_do_not_hold_up_the_inbox(
    database_url: str, context: TaskContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()

    def hold(context: TaskContext, connection: str) -> None:
        held.set()
        context.stop.wait()

    monkeypatch.setitem(tasks.TASKS, "import_account", hold)
    monkeypatch.setitem(tasks.TASKS, "drain", lambda context, connection: None)
    bell = Doorbell(context.engine)
    with working(database_url, context, concurrency=2):
        for name in ("a", "b", "c"):
            bell.ring("import_account", connection=name)
        until(held.is_set, "an import runs")
        bell.ring("drain", connection="a")
        until(lambda: queue.jobs(context.engine, "succeeded") == [("drain", "a", "succeeded")], "the inbox is drained")


@pytest.mark.parametrize(
    ("concurrency", "expected"),
    [
        (1, [Lane(None, 1)]),
        (2, [Lane((PROMPT, FETCH), 1), Lane((IMPORT,), 1)]),
        (3, [Lane((PROMPT,), 1), Lane((FETCH,), 1), Lane((IMPORT,), 1)]),
        (4, [Lane((PROMPT,), 2), Lane((FETCH,), 1), Lane((IMPORT,), 1)]),
        (9, [Lane((PROMPT,), 4), Lane((FETCH,), 2), Lane((IMPORT,), 3)]),
    ],
)
def test_the_places_of_a_worker_are_shared_out(concurrency: int, expected: list[Lane]) -> None:
    assert lanes(concurrency) == expected


def test_events_are_applied_whatever_is_being_fetched(
    database_url: str, context: TaskContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every connection has thousands of objects to look at, and one reads a month of events."""
    held = threading.Semaphore(0)

    def hold(context: TaskContext, connection: str) -> None:
        held.release()
        context.stop.wait()

    for name in ("refetch", "catch_up"):
        monkeypatch.setitem(tasks.TASKS, name, hold)
    for name in ("a", "b", "c"):
        queue.connect(context.engine, name, caught_up_at="2026-01-01T00:00:00Z")
        queue.wait_in_inbox(context.engine, name, "evt_1")
    bell = Doorbell(context.engine)
    with working(database_url, context, concurrency=3):
        for name in ("a", "b", "c"):
            bell.ring("refetch", connection=name)
            bell.ring("catch_up", connection=name)
        assert held.acquire(timeout=20)
        for name in ("a", "b", "c"):
            bell.ring("drain", connection=name)
        until(lambda: len(queue.jobs(context.engine, "succeeded")) == 3, "three inboxes are drained")
        with context.engine.connect() as db:
            assert db.scalar(text("select count(*) from inbox where state = 'waiting'")) == 0


def test_one_connection_is_fetched_by_one_worker_at_a_time(
    database_url: str, context: TaskContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching: list[str] = []

    def hold(context: TaskContext, connection: str) -> None:
        fetching.append(connection)
        context.stop.wait()

    monkeypatch.setitem(tasks.TASKS, "refetch", hold)
    bell = Doorbell(context.engine)
    with working(database_url, context, concurrency=8):
        bell.ring("refetch", connection="a")
        until(lambda: fetching == ["a"], "the first one runs")
        bell.ring("refetch", connection="a")
        bell.ring("refetch", connection="b")
        until(lambda: len(fetching) == 2, "there was a place")
        assert fetching == ["a", "b"]


@pytest.mark.parametrize("concurrency", range(1, 10))
def test_a_workers_connections_are_its_places_and_six(concurrency: int) -> None:
    places = lanes(concurrency)
    assert sum(lane.places for lane in places) == concurrency
    used = engine_connections(concurrency) + BUDGET_CONNECTIONS + OWN_CONNECTIONS + len(places)
    assert used == concurrency + 6


def test_a_worker_uses_no_more_connections_than_it_says(database_url: str, context: TaskContext) -> None:
    with working(database_url, context, concurrency=2):
        queue.wait_for_workers(context.engine, 2)
        until(lambda: _connections(context.engine) >= 3, "the pool and two listeners")
        assert _connections(context.engine) <= 4
    until(lambda: _connections(context.engine) == 0, "all are closed")


def test_a_worker_outlives_the_loss_of_its_connections(
    database_url: str, context: TaskContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tasks.TASKS, "drain", lambda context, connection: None)
    with working(database_url, context):
        queue.wait_for_workers(context.engine, 2)
        with context.engine.begin() as db:
            db.execute(
                text(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and application_name = 'tidegate worker'"
                )
            )
        Doorbell(context.engine).ring("drain", connection="acme")
        until(lambda: queue.jobs(context.engine) == [("drain", "acme", "succeeded")], "the job is done")


def test_work_is_found_without_a_ring(context: TaskContext, engine: Engine) -> None:
    """By the clock: events not read for a while, events that wait, objects to look at; nothing of the disconnected."""
    now = "clock_timestamp()"
    for name in ("fresh", "behind", "waiting", "asked", "gone"):
        queue.connect(engine, name)
    with engine.begin() as db:
        db.execute(text(f"update connections set caught_up_at = {now} where name <> 'behind'"))
        db.execute(text(f"update connections set disconnected_at = {now}, caught_up_at = null where name = 'gone'"))
        for name in ("waiting", "gone"):
            db.execute(
                text(
                    "insert into inbox (connection, event_id, type, created, source, body) "
                    f"values ('{name}', 'evt_1', 'x', now(), 'webhook', '')"
                )
            )
        db.execute(
            text("insert into refetches (connection, resource, object_id, reason) values ('asked', 'x', 'y', 'doubt')")
        )
    assert sorted(clock_tasks.tick(context, 60)) == ["catch_up:behind", "drain:waiting", "refetch:asked"]
    assert clock_tasks.tick(context, 60) == [], "they wait already"
    with engine.begin() as db:
        db.execute(text("truncate procrastinate_jobs cascade"))
        db.execute(text("update connections set caught_up_at = now() - interval '10 s'"))
        db.execute(text("truncate inbox, refetches"))
    assert clock_tasks.tick(replace(context, poll_seconds=60), 60) == []
    assert len(clock_tasks.tick(replace(context, poll_seconds=5), 60)) == 4


def test_retention_keeps_what_is_not_done(context: TaskContext, engine: Engine) -> None:
    with engine.begin() as db:
        db.execute(
            text("""
insert into inbox (connection, event_id, type, created, source, body, state, received_at)
select 'acme', state || days || n, 'x', now(), 'webhook', '', state, now() - make_interval(days => days)
from unnest(array['waiting', 'parked', 'handled', 'skipped']) state, unnest(array[29, 31]) days,
  generate_series(1, 600) n""")
        )
        db.execute(
            text("""
insert into procrastinate_jobs (queue_name, task_name, status)
select 'q', status || days, status::procrastinate_job_status
from unnest(array['todo', 'doing', 'succeeded', 'failed']) status, unnest(array[6, 8]) days""")
        )
        db.execute(
            text("""
insert into procrastinate_events (job_id, type, at)
select id, 'deferred', now() - make_interval(days => right(task_name, 1)::int) from procrastinate_jobs""")
        )
        db.execute(text("delete from procrastinate_events where at > now() - interval '1 day'"))
    assert clock_tasks.forget_old(context, 60) == {
        "inbox": 1200, "jobs": 2, "ledgers": 0, "movements": 0, "outbox": 0, "runs": 0, "usage": 0, "tokens": 0,
        "requests": 0, "sync_plans": 0, "digests": 0, "action_occurrences": 0, "meter_forwards": 0, "deliveries": 0,
        "alerts": 0, "entitlement_changes": 0, "health_history": 0, "memberships": 0, "kept_answers": 0,
        "failed_tries": 0,
    }  # fmt: skip
    with engine.connect() as db:
        left = {row.state: row.n for row in db.execute(text("select state, count(*) as n from inbox group by state"))}
        kept = set(db.execute(text("select task_name from procrastinate_jobs")).scalars())
    assert left == {"waiting": 1200, "parked": 1200, "handled": 600, "skipped": 600}
    assert kept == {"todo6", "todo8", "doing6", "doing8", "succeeded6", "failed6"}
    assert not any(clock_tasks.forget_old(context, 60).values())


@pytest.mark.parametrize(
    ("attempts", "waiting", "expected"),
    [(0, False, "todo"), (MOST_ATTEMPTS, False, "failed"), (0, True, "aborted")],
)
def test_the_job_of_a_dead_worker(engine: Engine, attempts: int, waiting: bool, expected: str) -> None:
    Doorbell(engine).ring("drain", connection="acme")
    job = _taken_by_a_dead_worker(engine, attempts)
    if waiting:
        Doorbell(engine).ring("drain", connection="acme")
    assert rescue(engine, stalled_seconds=90) == {}, "it was heard of a minute ago"
    assert rescue(engine, stalled_seconds=30) == {expected: [job]}
    assert rescue(engine, stalled_seconds=30) == {}
    assert queue.jobs(engine)[0] == ("drain", "acme", expected)


def test_the_job_of_a_worker_that_is_forgotten_is_put_back_too(engine: Engine) -> None:
    Doorbell(engine).ring("drain", connection="acme")
    job = _taken_by_a_dead_worker(engine, 0)
    with engine.begin() as db:
        db.execute(text("select procrastinate_prune_stalled_workers_v1(30)"))
    assert rescue(engine, stalled_seconds=30) == {"todo": [job]}


def test_several_rescuers_put_a_job_back_once(engine: Engine) -> None:
    Doorbell(engine).ring("drain", connection="acme")
    job = _taken_by_a_dead_worker(engine, 0)
    with engine.connect() as other:
        other.execute(text("select id from procrastinate_jobs where id = :id for update"), {"id": job})
        assert rescue(engine, stalled_seconds=30) == {}, "somebody else is at it"
    assert rescue(engine, stalled_seconds=30) == {"todo": [job]}


def _taken_by_a_dead_worker(engine: Engine, attempts: int) -> int:
    with engine.begin() as db:
        worker = db.scalar(text("select procrastinate_register_worker_v1()"))
        db.execute(text("update procrastinate_workers set last_heartbeat = now() - interval '60 s'"))
        job = db.execute(text("select id from procrastinate_fetch_job_v2(null, :worker)"), {"worker": worker}).scalar()
        db.execute(text("update procrastinate_jobs set attempts = :attempts"), {"attempts": attempts})
    assert isinstance(job, int)
    return job


def _connections(engine: Engine) -> int:
    with engine.connect() as db:
        return int(
            db.scalar(
                text(
                    "select count(*) from pg_stat_activity "
                    "where datname = current_database() and application_name = 'tidegate worker'"
                )
            )
            or 0
        )
