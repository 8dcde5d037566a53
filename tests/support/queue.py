"""Builders for tests of background work: connections, jobs as they stand, workers in a thread or a process."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, insert, text
from tests.support.waiting import until

from tidegate.connections.accounts import Account
from tidegate.connections.tables import connections, permissions
from tidegate.mirror import inbox
from tidegate.mirror.inbox import Entry
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows.task_context import TaskContext
from tidegate.workflows.worker import Timing, run_worker

SOURCE = Path(__file__).parents[2] / "src"
QUICK = Timing(heartbeat=0.2, stalled=1.0, rescue=0.2, poll=0.1, reopen=0.2)
"""Thresholds that let a test see in two seconds what takes a minute otherwise."""

PROCESS = """
import sys, threading
sys.path.insert(0, {source!r})
from sqlalchemy import text
from tests.support.queue import QUICK, no_stripe
from tidegate.store.engine import open_engine
from tidegate.workflows import tasks
from tidegate.workflows.worker import run_worker

def note(context, worker):
    with context.engine.begin() as db:
        db.execute(text("insert into public.seen (worker) values (:worker)"), {{"worker": worker}})

def hold(context, connection):
    note(context, {name!r})
    context.stop.wait()
    if not {heeds_stop}:
        note(context, "asked")
        threading.Event().wait()
    context.doorbell.ring("drain", connection=connection)

tasks.TASKS["drain"] = hold
pipe = int(sys.argv[1]) if len(sys.argv) > 1 else None
context = tasks.TaskContext(open_engine({url!r}), no_stripe)
run_worker({url!r}, context, concurrency=2, parent_pipe=pipe, timing=QUICK)
context.engine.dispose()
"""


def no_stripe(account: Account) -> AbstractContextManager[StripeApi]:
    """For tasks that have no business with Stripe."""
    raise AssertionError(f"Stripe was opened for {account.name}")


def connect(engine: Engine, name: str, **values: Any) -> None:
    """A connection whose key is not a real one."""
    row = {"account": f"acct_{name}", "livemode": False, "rate": 0.0, "endpoint_rate": 0.0, "api_key": b"sealed"}
    with engine.begin() as db:
        db.execute(insert(connections).values(name=name, **(row | values)))
        db.execute(
            insert(permissions).values(connection=name, endpoint="GET /v1/events", allowed=True, checked_at=func.now())
        )


def wait_in_inbox(engine: Engine, connection: str, event_id: str) -> None:
    """An event that changes nothing waits to be handled."""
    body = f'{{"id": "{event_id}", "type": "x", "created": 1, "data": {{"object": {{"object": "nothing"}}}}}}'
    with engine.begin() as db:
        assert inbox.keep(db, [Entry(connection, event_id, "x", 1, "webhook", body)]) == 1


def jobs(engine: Engine, status: str | None = None) -> list[tuple[str, str, str]]:
    """The queue as (task, connection, status), oldest first, without those that run by the clock."""
    with engine.connect() as db:
        rows = db.execute(
            text("""
select task_name, args->>'connection', status::text from tidegate.procrastinate_jobs
where args ? 'connection' and (cast(:status as text) is null or status::text = :status) order by id"""),
            {"status": status},
        )
        return [tuple(row) for row in rows]


def empty(engine: Engine) -> None:
    """Forgets every job, worker and connection, and what belongs to them."""
    queue = "procrastinate_jobs, procrastinate_workers, procrastinate_periodic_defers"
    work = "connections, permissions, problems, runs, inbox, refetches, changed_customers, changed_objects"
    with engine.begin() as db:
        db.execute(text(f"truncate {queue}, {work} cascade"))


def empty_jobs(engine: Engine) -> None:
    """Forgets every job."""
    with engine.begin() as db:
        db.execute(text("truncate procrastinate_jobs cascade"))


@contextmanager
def working(url: str, context: TaskContext, *, concurrency: int = 2) -> Iterator[None]:
    """A worker in a thread, ended by the closing of its parent's pipe."""
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            run_worker(url, context, concurrency=concurrency, parent_pipe=reading, timing=QUICK)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        os.close(writing)
        thread.join(20)
        os.close(reading)
    assert not thread.is_alive(), "the worker did not end"
    assert not failed, failed


@contextmanager
def process(
    url: str, name: str, *, pipe: int | None = None, heeds_stop: bool = True
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process whose task `drain` notes the name in `public.seen` and holds on until it is stopped.

    With `heeds_stop` false it then notes "asked" and goes on for ever.
    """
    script = PROCESS.format(source=str(SOURCE), url=url, name=name, heeds_stop=heeds_stop)
    passed = [pipe] if pipe is not None else []
    started = subprocess.Popen([sys.executable, "-c", script, *map(str, passed)], pass_fds=passed, cwd=SOURCE.parent)
    try:
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        started.wait()


def seen(engine: Engine) -> list[str]:
    """Which workers ran the task of `process`, in order."""
    with engine.connect() as db:
        return list(db.execute(text("select worker from public.seen order by at")).scalars())


def prepare_seen(engine: Engine) -> None:
    """The table that `process` writes to, empty."""
    with engine.begin() as db:
        db.execute(
            text("create table if not exists public.seen (worker text, at timestamptz default clock_timestamp())")
        )
        db.execute(text("truncate public.seen"))


def workers_alive(engine: Engine) -> int:
    """How many lanes are registered."""
    with engine.connect() as db:
        return int(db.scalar(text("select count(*) from tidegate.procrastinate_workers")) or 0)


def wait_for_workers(engine: Engine, lanes: int) -> None:
    """Until that many lanes are registered."""
    until(lambda: workers_alive(engine) == lanes, f"{lanes} lanes registered", seconds=60)
