"""A worker killed in each kind of task: its job is put back, the clock rings for the rest, and nothing is lost."""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from tests.support import databases, installation, killing
from tests.support.hubs import ALONE, copied, opened, unlike_stripe, waits_for_a_row
from tests.support.importing import connected, imported
from tests.support.installation import Company
from tests.support.killed_syncs import Warehouse, context_of, send
from tests.support.waiting import until
from tests.support.working import jobs_open, worker

from tidegate.mirror import inbox
from tidegate.mirror.event_list import read_events
from tidegate.mirror.inbox import Entry
from tidegate.wiring import Hub
from tidegate.workflows import clock_tasks, tasks
from tidegate.workflows.doorbell import BELLS, Doorbell
from tidegate.workflows.operation.rescue import rescue
from tidegate.workflows.outbound import sync_task
from tidegate.workflows.task_context import TaskContext

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

PLACES = 4
FEW = ("run_sync",)
"""Tasks whose workers are killed in the ordinary run; those of all are in the wide one. Processes that import, drain,
place and deliver are killed in files of their own.
"""
DAY = 86_400
SECRET = Fernet.generate_key().decode()
MINUTE = 1_767_225_660  # 2026-01-01T00:01:00Z
SYNC = "people"


class Ready(NamedTuple):
    """A database, to be copied, with work for every task: events and objects that wait, events to be read, old rows, a
    sync of three customers.
    """

    server_url: str
    database: str


@pytest.fixture(scope="module")
def ready(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    from tidegate.sandbox.config import SandboxConfig
    from tidegate.sandbox.server import Sandbox

    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox.start(SandboxConfig(customers=15, months=2)))
        database = stack.enter_context(databases.scratch(server_url))
        with opened(database, SECRET) as hub:
            account = connected(hub, sandbox, write_key=sandbox.key)
            imported(hub, account)
            warehouse = Warehouse(hub, sandbox, account, tmp_path_factory.mktemp("warehouse") / "people.duckdb")
            warehouse.write("create table people as select i as id, 'row' || i as mark from range(3) t(i)")
            warehouse.define(SYNC, "people", "customers", {"name": "mark"})
            warehouse.approve(SYNC)
            MORE["revert_sync"] = {"run": _written_over(warehouse)}
            _make_work(hub, sandbox)
        yield Ready(server_url, databases.named(database))


def _written_over(warehouse: Warehouse) -> int:
    """A run that wrote over what another one had made. Taken back last of all tasks: Stripe is the same for all."""
    warehouse.write("create table back as select i as id, 'back' || i as mark, 'Before' as name from range(3) t(i)")
    warehouse.define("back", "back", "customers", {"name": "name"})
    warehouse.first("back")
    warehouse.write("update back set name = 'After'")
    return int(send(warehouse.hub, "back")["run"])


def _make_work(hub: Hub, sandbox: "Sandbox") -> None:
    """Events of some days that wait, others that were not read yet; objects to look at; rows past their days."""
    _fill_inbox(hub, sandbox)
    sandbox.advance(4 * DAY)
    with hub.engine.begin() as db:
        for statement in (
            LOOKS,
            """insert into tidegate.inbox (connection, event_id, type, created, source, body, state, received_at)
               select 'acme', 'evt_old' || n, 'x', now(), 'events', '', 'handled', now() - interval '40 days'
               from generate_series(1, 2500) n""",
            LONG_AGO,
        ):
            db.execute(text(statement))


MORE: dict[str, dict[str, Any]] = {"import_account": {"full": True}, "run_sync": {"sync": SYNC}}
"""What tasks are told beside their connection."""
SENT = f"select count(*) from tidegate.sync_rows where sync = '{SYNC}' and state = 'sent'"
OPEN_REQUESTS = "select count(*) from tidegate.requests where state in ('intended', 'unknown')"
RESTORED = "select count(*) from stripe.customers where data ->> 'name' = 'Before' and deleted_at is null"
LOOKS = """
insert into tidegate.refetches (connection, resource, object_id, reason)
select connection, 'customers', id, 'event' from stripe.customers limit 20"""
"""Objects to look at."""
LONG_AGO = "update tidegate.connections set caught_up_at = now() - interval '1 hour'"
"""Stripe's events are to be read."""


def _fill_inbox(hub: Hub, sandbox: "Sandbox") -> None:
    """Four days pass, and their events wait in the inbox."""
    sandbox.advance(4 * DAY)
    account = hub.account("acme")
    with hub.stripe(account) as api, hub.engine.begin() as db:
        for page in read_events(api, account.events_until):
            inbox.keep(db, [Entry("acme", e.id, e.type, e.created, "webhook", body) for e, body in page.events])


@pytest.mark.timeout(400)  # four copies of a database, each worked off and audited
@pytest.mark.parametrize(
    "task", [pytest.param(one, marks=() if one in FEW else pytest.mark.wide) for one in tasks.TASKS]
)
def test_a_worker_killed_in_a_task_loses_nothing(ready: Ready, run: killing.Run, task: str) -> None:
    with copied(ready.server_url, ready.database) as url:
        with opened(url, SECRET) as hub:
            _is_due(hub, task)
        steps = run("task", **_arguments(url, task)).steps
    for place in killing.points(steps, PLACES, seed=len(task)):
        with copied(ready.server_url, ready.database) as url:
            with opened(url, SECRET) as hub:
                _is_due(hub, task)
                _taken_up(hub, task)
            ended = run("task", place, **_arguments(url, task))
            where = f"{task} killed at step {place} of {steps}: {ended.last}"
            assert ended.killed or place > 0.8 * steps, where
            with opened(url, SECRET) as hub:
                until(lambda hub=hub: _one(hub, ALONE), "the killed process's transactions are ended")
                assert "todo" in rescue(hub.engine, 0), where
                _work_it_off(hub)
                _assert_nothing_lost(hub, where)
                if task == "run_sync":
                    assert (_one(hub, SENT), _one(hub, OPEN_REQUESTS)) == (3, 0), where
                if task == "revert_sync":
                    assert (_one(hub, RESTORED), _one(hub, OPEN_REQUESTS)) == (3, 0), where


def _is_due(hub: Hub, task: str) -> None:
    """Somebody asked for the sync, where it is the task's."""
    if task == "run_sync":
        sync_task.ask(hub.engine, SYNC, "me")


def _taken_up(hub: Hub, task: str) -> None:
    """The task's job, as the worker that is to be killed took it up."""
    if task in BELLS:
        Doorbell(hub.engine).ring(task, connection="acme", **MORE.get(task, {}))
    with hub.engine.begin() as db:
        if task in tasks.PERIODIC:
            db.execute(
                text(
                    "insert into procrastinate_jobs (queue_name, task_name, queueing_lock, args) "
                    "select 'prompt', task, task, jsonb_build_object('timestamp', cast(:at as bigint)) "
                    "from cast(:task as text) task"
                ),
                {"task": task, "at": MINUTE},
            )
        db.execute(text("update procrastinate_jobs set status = 'doing'"))


def _work_it_off(hub: Hub) -> None:
    """What a worker does from then on: the jobs that wait, and every minute the clock."""
    context = context_of(hub)
    with hub.engine.begin() as db:  # a killed process holds what it was fetching for two minutes
        db.execute(text("update tidegate.refetches set next_try_at = now()"))
    clock_tasks.tick(context, MINUTE)
    while job := _next_job(hub):
        tasks.TASKS[job.task_name](context, **job.args)
    assert clock_tasks.tick(context, MINUTE) == []


def _next_job(hub: Hub) -> Any:
    with hub.engine.begin() as db:
        return db.execute(
            text("""
update procrastinate_jobs set status = 'succeeded' where id = (
  select id from procrastinate_jobs where status = 'todo' order by id limit 1) returning task_name, args""")
        ).first()


def _assert_nothing_lost(hub: Hub, where: str) -> None:
    assert _one(hub, "select count(*) from tidegate.inbox where state not in ('handled', 'skipped')") == 0, where
    assert _one(hub, "select coalesce(max(attempts), 0) from tidegate.inbox") == 0, where
    assert _one(hub, "select count(*) from tidegate.refetches where next_try_at < 'infinity'") == 0, where
    assert _one(hub, "select count(*) from tidegate.unreadable") == 0, where
    assert unlike_stripe(hub) == {}, where


def _one(hub: Hub, sql: str) -> Any:
    with hub.engine.connect() as db:
        return db.scalar(text(sql))


def _arguments(url: str, task: str) -> dict[str, Any]:
    arguments = {"timestamp": MINUTE} if task in tasks.PERIODIC else {"connection": "acme", **MORE.get(task, {})}
    return {"database_url": url, "secret_key": SECRET, "name": task, "arguments": arguments}


# Real processes: workers on an embedded server that writes through to the disk.


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    """Imported."""
    with installation.company(customers=40, months=3) as company:
        imported(company.own.hub, connected(company.own.hub, company.sandbox))
        yield company


@pytest.mark.further
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("task", "victims"),
    [
        pytest.param("drain", ("worker",), marks=pytest.mark.wide),
        ("catch_up", ("server",)),
        ("refetch", ("worker", "server")),
    ],
    ids=lambda one: one if isinstance(one, str) else "+".join(one),
)
def test_a_real_task_goes_on_whoever_is_killed(company: Company, task: str, victims: tuple[str, ...]) -> None:
    own, hub = company.own, company.own.hub
    own.server.start()
    _fill_inbox(hub, company.sandbox)
    company.sandbox.advance(4 * DAY)
    with hub.engine.begin() as db:
        db.execute(text(LOOKS))
        db.execute(text(LONG_AGO))
    with ExitStack() as workers:
        with suppress(OperationalError), hub.engine.connect() as db:  # may die with the server
            db.execute(text("select from stripe.customers for update"))
            Doorbell(hub.engine).ring(task, connection="acme")
            first = workers.enter_context(worker(hub))
            until(lambda: waits_for_a_row(db), f"{task} waits for a customer", seconds=60)
            if "worker" in victims:
                first.kill()
            if "server" in victims:
                own.kill_server()
        own.server.start()
        if "worker" in victims:
            workers.enter_context(worker(hub))
        until(lambda: _all_done(hub), "everything that was to be done is done", seconds=90)
    _assert_nothing_lost(hub, f"{' and '.join(victims)} killed in {task}")


def _all_done(hub: Hub) -> bool:
    """Whether no job is open and the clock, asked each time, has nothing to ring for either."""
    if jobs_open(hub):
        return False
    with hub.engine.begin() as db:  # a killed process holds what it was fetching for two minutes
        db.execute(text("update tidegate.refetches set next_try_at = now()"))
    return clock_tasks.tick(TaskContext(hub.engine, hub.stripe), MINUTE) == []
