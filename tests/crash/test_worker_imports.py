"""An import that a worker does: rung for, cut off by SIGKILL, gone on with by another worker, equal in the end."""

import itertools
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, text
from tests.support import queue
from tests.support.importing import connected, differences, imported
from tests.support.replies import changed, slow_down
from tests.support.waiting import until
from tests.support.working import worker

from tidegate.connections import runs
from tidegate.sandbox.answers import Request
from tidegate.sandbox.http import Reply
from tidegate.wiring import Hub
from tidegate.workflows.doorbell import Doorbell

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


def test_a_killed_workers_import_goes_on_elsewhere(hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> None:
    sandbox = make_sandbox(customers=60, latency=0.05)
    account = connected(hub, sandbox, rate=80, endpoint_rate=80)
    with ExitStack() as processes:
        workers = {str(one.pid): one for one in (processes.enter_context(worker(hub)) for _ in range(2))}
        queue.wait_for_workers(hub.engine, 4)
        Doorbell(hub.engine).ring("import_account", connection=account.name)
        before = until(lambda: _run(hub.engine, at_least=20), "some pages are read")
        workers[before["process"].split(":")[1]].kill()
        done = until(lambda: _run(hub.engine, state="done"), "the other worker ends the import", seconds=60)
    assert done["id"] == before["id"]
    assert done["process"] != before["process"]
    assert done["summary"]["resumed"]
    assert differences(hub, sandbox) == {}


def _run(engine: Engine, *, at_least: int = 0, state: str = "running") -> dict[str, Any] | None:
    """The import's run once it is in that state and has read that many objects."""
    with engine.connect() as db:
        run = runs.last(db, "acme", "import")
    if run is None or run["state"] != state:
        return None
    read = sum(counts["read"] for counts in run["summary"].get("resources", {}).values())
    return dict(run) if read >= at_least else None


@pytest.mark.parametrize("waiting_for", ["Retry-After", "the budget"])
def test_a_worker_that_waits_for_stripe_ends_when_asked_and_the_import_goes_on(
    hub: Hub, make_sandbox: Callable[..., "Sandbox"], waiting_for: str
) -> None:
    sandbox = make_sandbox(customers=60)
    account = connected(hub, sandbox, "acme", rate=60, endpoint_rate=0)
    asked = itertools.count(1)
    late = threading.Event()

    def too_fast(request: Request, reply: Reply) -> Reply | None:
        if next(asked) <= 10:
            return None
        late.set()
        return slow_down(100) if waiting_for == "Retry-After" else None

    restore = changed(sandbox, too_fast)
    with worker(hub) as one:
        queue.wait_for_workers(hub.engine, 2)
        Doorbell(hub.engine).ring("import_account", connection=account.name)
        assert late.wait(30)
        if waiting_for == "the budget":
            _pause(hub.engine, "10 minutes")
        until(lambda: _waits(hub.engine, sandbox), "nothing moves any more")
        began = time.monotonic()
        one.terminate()
        assert one.wait(20) == 0
        assert time.monotonic() - began < 5
    with hub.engine.connect() as db:
        run = runs.last(db, "acme", "import")
    assert run
    assert (run["state"], run["summary"]["problems"]) == ("interrupted", {})
    assert [job for job in queue.jobs(hub.engine, "todo") if job[0].startswith("import")]
    restore()
    _pause(hub.engine, "-1 second")
    again = imported(hub, account)
    assert (again["run"], again["resumed"], again["state"]) == (run["id"], True, "done")
    assert again["pages"] >= run["summary"]["pages"]
    assert differences(hub, sandbox) == {}


def _pause(engine: Engine, interval: str) -> None:
    """Lets everybody who draws from the budget wait for so long."""
    with engine.begin() as db:
        db.execute(
            text("update tidegate.rate_budget set paused_until = now() + cast(:i as interval), tat = now()"),
            {"i": interval},
        )


def _waits(engine: Engine, sandbox: "Sandbox") -> bool:
    """Whether the budget is paused, and no request has come since the look before."""
    with engine.connect() as db:
        paused = db.scalar(
            text("select bool_or(paused_until > now() + interval '30 seconds') from tidegate.rate_budget")
        )
    now, before = sum(sandbox.stats()["requests"].values()), _seen.get(sandbox.url)
    _seen[sandbox.url] = now
    return bool(paused) and now == before


_seen: dict[str, int] = {}
