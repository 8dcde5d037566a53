"""What a task does when it cannot do its work now: it rings again, later or at once, or lets go."""

from contextlib import AbstractContextManager, closing
from typing import Any

import pytest
from procrastinate import App
from procrastinate.testing import InMemoryConnector
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from tests.support import queue
from tests.support.queue import no_stripe

from tidegate.connections.accounts import Account
from tidegate.errors import ImportRunning, StripeKeyInvalid, StripeUnreachable, WorkStopped
from tidegate.mirror import changed
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.limits import LocalBudget
from tidegate.workflows import clock_tasks, connection_tasks, tasks
from tidegate.workflows import refresh as refreshing
from tidegate.workflows.connection_tasks import CROWD, FLOOD, LULL, PATIENCE
from tidegate.workflows.mirror.ingest_events import Drained
from tidegate.workflows.mirror.refetch import Refetched
from tidegate.workflows.task_context import TaskContext

UNREACHABLE = StripeUnreachable(endpoint="GET /v1/account", problem="refused", tries=5)
DATABASE_AWAY = OperationalError("select 1", {}, Exception("terminating connection"))
KEY_INVALID = StripeKeyInvalid(endpoint="GET /v1/account", status=401, code="", message="no", request_id="-")


INCOMPLETE = {"state": "incomplete", "run": 1}


@pytest.fixture
def context(engine: Engine) -> TaskContext:
    queue.empty(engine)
    queue.connect(engine, "acme")
    return TaskContext(engine, _some_stripe)


def _some_stripe(account: Account) -> AbstractContextManager[StripeApi]:
    return closing(StripeApi("sk_test_1", base="http://127.0.0.1:9", budget=LocalBudget()))


def ending(result: Any) -> Any:
    """A workflow that ends like this, whatever it is given."""

    def run(*given: Any, **options: Any) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    return run


@pytest.mark.parametrize(
    ("result", "attempt", "state", "again"),
    [
        pytest.param({"state": "done", "run": 1}, 0, "done", None, id="done"),
        pytest.param(INCOMPLETE | {"passing": False}, 0, "incomplete", None, id="a part is refused: told by the run"),
        pytest.param(INCOMPLETE | {"passing": True}, 2, "incomplete", (60, 3), id="a part failed and may not again"),
        pytest.param(INCOMPLETE | {"passing": True}, 20, "incomplete", None, id="a part fails for hours"),
        pytest.param(ImportRunning(connection="acme"), 2, "busy", (60, 2), id="another process imports"),
        pytest.param(UNREACHABLE, 0, "put_off", (15, 1), id="Stripe is away"),
        pytest.param(UNREACHABLE, 3, "put_off", (120, 4), id="Stripe is away for longer"),
        pytest.param(UNREACHABLE, 50, "put_off", (600, 51), id="Stripe is away for days"),
        pytest.param(DATABASE_AWAY, 0, "put_off", (15, 1), id="the database was away"),
    ],
)
def test_an_import_is_tried_again_when_its_trouble_passes(
    context: TaskContext,
    monkeypatch: pytest.MonkeyPatch,
    result: Any,
    attempt: int,
    state: str,
    again: tuple[int, int] | None,
) -> None:
    monkeypatch.setattr(connection_tasks.importing, "import_account", ending(result))
    assert connection_tasks.import_account(context, "acme", ["customers"], full=True, attempt=attempt)["state"] == state
    with context.engine.connect() as db:
        found = db.execute(
            text("""
select task_name, args, round(extract(epoch from scheduled_at - clock_timestamp()))::int as seconds
from procrastinate_jobs""")
        ).all()
    if again is None:
        assert found == []
        return
    seconds, attempts = again
    [job] = found
    full = state != "incomplete"  # an import that has begun goes on from where it stopped, and knows that it is full
    assert job.task_name == "import_again"
    assert job.args == {"connection": "acme", "resources": ["customers"], "full": full, "attempt": attempts}
    assert seconds - 5 <= job.seconds <= seconds


def test_an_import_that_was_stopped_is_rung_for_at_once(context: TaskContext, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted = ending({"state": "interrupted", "run": 1})
    monkeypatch.setattr(connection_tasks.importing, "import_account", interrupted)
    connection_tasks.import_account(context, "acme")
    assert queue.jobs(context.engine) == [], "somebody else interrupted it"
    context.stop.set()
    connection_tasks.import_account(context, "acme")
    assert queue.jobs(context.engine) == [("import_again", "acme", "todo")]


def test_a_refused_key_ends_the_import(context: TaskContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_tasks.importing, "import_account", ending(KEY_INVALID))
    with pytest.raises(StripeKeyInvalid):
        connection_tasks.import_account(context, "acme")
    assert queue.jobs(context.engine) == []


@pytest.mark.parametrize("task", ["catch_up", "sweep", "probe", "import_account"])
def test_what_waits_for_stripe_when_the_worker_ends_is_rung_for(
    context: TaskContext, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise WorkStopped(endpoint="GET /v1/events")

    monkeypatch.setattr(StripeApi, "_send", stopped)
    app = App(connector=InMemoryConnector())
    tasks.register(app, context)
    told = app.tasks[task](connection="acme")
    assert told["state"] == "stopped"
    assert queue.jobs(context.engine) == [(task, "acme", "todo")]
    with context.engine.connect() as db:
        assert db.scalar(text("select count(*) from tidegate.problems")) == 0


@pytest.mark.parametrize(
    ("drained", "stopped", "rung"),
    [
        pytest.param(Drained(handled=3), False, None, id="everything is handled"),
        pytest.param(Drained(handled=3), True, 0, id="stopped"),
        pytest.param(Drained(handled=3, more=True), False, 0, id="its time was over"),
        pytest.param(Drained(handled=3, put_off={"evt_1": "a lock"}), False, 5, id="the database could not take one"),
        pytest.param(Drained(failed={"evt_1": "no"}), False, None, id="one failed: the clock rings for it"),
    ],
)
def test_what_a_drain_leaves_is_rung_for(
    context: TaskContext, monkeypatch: pytest.MonkeyPatch, drained: Drained, stopped: bool, rung: int | None
) -> None:
    monkeypatch.setattr(connection_tasks.ingest_events, "handle_events", ending(drained))
    if stopped:
        context.stop.set()
    told = connection_tasks.drain(context, "acme")
    assert (told["handled"], told["failed"], told["put_off"]) == (
        drained.handled, len(drained.failed), len(drained.put_off),
    )  # fmt: skip
    with context.engine.connect() as db:
        found = db.execute(
            text("""
select task_name, coalesce(round(extract(epoch from scheduled_at - clock_timestamp()))::int, 0) as seconds
from procrastinate_jobs""")
        ).all()
    assert [one.task_name for one in found] == ([] if rung is None else ["drain"])
    if rung is not None:
        assert rung - 2 <= found[0].seconds <= rung


@pytest.mark.parametrize(("handled", "seconds"), [(FLOOD - 1, 0), (FLOOD, LULL)])
def test_customers_are_refreshed_at_once_and_behind_a_flood_a_moment_later(
    context: TaskContext, monkeypatch: pytest.MonkeyPatch, handled: int, seconds: int
) -> None:
    monkeypatch.setattr(connection_tasks.ingest_events, "handle_events", ending(Drained(handled=handled)))
    with context.engine.begin() as db:
        changed.note(db, "acme", ["cus_1"])
    connection_tasks.drain(context, "acme")
    with context.engine.connect() as db:
        waits = db.execute(
            text("""
select task_name, coalesce(ceil(extract(epoch from scheduled_at - clock_timestamp()))::int, 0) as seconds
from procrastinate_jobs""")
        ).all()
    assert [tuple(one) for one in waits] == [("refresh", seconds)]


@pytest.mark.parametrize(
    ("events", "changed_ago", "state"),
    [
        (CROWD + 1, 0, "put_off"),
        (CROWD, 0, None),
        (CROWD + 1, PATIENCE + 1, None),
    ],
)
def test_a_refresh_lets_many_events_go_first_for_a_while(
    context: TaskContext, events: int, changed_ago: int, state: str | None
) -> None:
    with context.engine.begin() as db:
        changed.note(db, "acme", ["cus_1"])
        db.execute(text("update changed_customers set at = at - make_interval(secs => :ago)"), {"ago": changed_ago})
    flood(context, events)
    assert connection_tasks.refresh(context, "acme").get("state") == state
    assert queue.jobs(context.engine) == ([("refresh", "acme", "todo")] if state else [])


def flood(context: TaskContext, events: int) -> None:
    with context.engine.begin() as db:
        db.execute(
            text("""
insert into inbox (connection, event_id, type, created, source, body)
select 'acme', 'evt_' || n, 'x', now(), 'webhook', '' from generate_series(1, :events) n"""),
            {"events": events},
        )


def test_a_refresh_under_way_gives_way_to_many_events(context: TaskContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_a_flood(*given: Any) -> refreshing.Refreshed:
        flood(context, CROWD + 1)
        return refreshing.Refreshed()

    monkeypatch.setattr(refreshing, "refresh", with_a_flood)
    with context.engine.begin() as db:
        for n in range(refreshing.ROWS + 1):
            changed.note(db, "acme", [f"cus_{n}"])
    connection_tasks.refresh(context, "acme")
    with context.engine.begin() as db:
        assert len(changed.take(db, "acme", 100)) == 1
    assert queue.jobs(context.engine) == [("refresh", "acme", "todo")]


@pytest.mark.parametrize("due", ["now()", "now() + interval '1 hour'"])
@pytest.mark.parametrize("task", ["drain", "refetch"])
def test_objects_to_look_at_are_rung_for(
    context: TaskContext, monkeypatch: pytest.MonkeyPatch, task: str, due: str
) -> None:
    monkeypatch.setattr(connection_tasks.refetching, "refetch", ending(Refetched()))
    with context.engine.begin() as db:
        db.execute(
            text(
                "insert into refetches (connection, resource, object_id, reason, next_try_at) "
                f"values ('acme', 'prices', 'price_1', 'event', {due})"
            )
        )
    tasks.TASKS[task](context, "acme")
    assert queue.jobs(context.engine) == ([("refetch", "acme", "todo")] if due == "now()" else [])


def test_stripe_out_of_reach_is_left_alone_until_the_clock_rings(
    context: TaskContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_tasks.refetching, "refetch", ending(Refetched(error=str(UNREACHABLE))))
    with context.engine.begin() as db:
        db.execute(
            text(
                "insert into refetches (connection, resource, object_id, reason) "
                "values ('acme', 'prices', 'price_1', 'event')"
            )
        )
    assert connection_tasks.refetch(context, "acme")["error"] == str(UNREACHABLE)
    assert queue.jobs(context.engine) == []
    assert "refetch:acme" in clock_tasks.tick(context, 60)


def test_catching_up_leaves_it_to_the_process_that_does(context: TaskContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_tasks.catching_up, "catch_up", ending(ImportRunning(connection="acme")))
    assert connection_tasks.catch_up(context, "acme") == {"connection": "acme", "state": "busy"}


@pytest.mark.parametrize(
    "task",
    [connection_tasks.import_account, connection_tasks.drain, connection_tasks.refetch, connection_tasks.catch_up],
)
@pytest.mark.parametrize("name", ["gone", "never"])
def test_nothing_is_done_for_a_connection_that_was_let_go(engine: Engine, task: Any, name: str) -> None:
    queue.empty(engine)
    queue.connect(engine, "gone", disconnected_at="2026-01-01T00:00:00Z")
    assert task(TaskContext(engine, no_stripe), name) == {"connection": name, "state": "disconnected"}


@pytest.mark.parametrize("code", ["key_invalid", "oauth_revoked"])
@pytest.mark.parametrize(("minute", "tried"), [(0, True), (1, False), (59, False)])
def test_a_connection_whose_key_is_refused_is_tried_on_the_full_hour(
    context: TaskContext, code: str, minute: int, tried: bool
) -> None:
    with context.engine.begin() as db:
        db.execute(text("insert into problems (connection, code) values ('acme', :code)"), {"code": code})
    due_at = 1_767_225_600 + 60 * minute  # 2026-01-01T00:00:00Z and later
    assert clock_tasks.tick(context, due_at) == (["catch_up:acme"] if tried else [])
