"""An import that a worker does: rung for, cut off by SIGKILL, gone on with by another worker, equal in the end."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from tests.support import queue
from tests.support.importing import connected, differences
from tests.support.waiting import until
from tests.support.working import worker

from tidegate.connections import runs
from tidegate.wiring import Hub
from tidegate.workflows.doorbell import Doorbell

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox


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
