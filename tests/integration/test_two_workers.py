"""Two worker processes import two accounts and drain one inbox: no budget is exceeded, and every copy is whole."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import text
from tests.support import queue
from tests.support.importing import connected
from tests.support.serving import serving
from tests.support.waiting import until

from tidegate.api.app import create_app
from tidegate.connections import runs
from tidegate.wiring import Hub
from tidegate.workflows.doorbell import Doorbell
from tidegate.workflows.mirror.audit import audit
from tidegate.workflows.operation.doctor import WORKER_EXTRA_CONNECTIONS

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

pytestmark = pytest.mark.further

SOURCE = Path(__file__).parents[2] / "src"
SECRET = "whsec_storm"
RATE, ENDPOINT_RATE = 40, 20
BURST = RATE // 2
"""How many requests of a second may be late from the one before: slots are kept by threads that share two cores."""
CONCURRENCY = 2
DAY = 86_400


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """A database of its own: the workers take every job there is."""
    return fresh_database_url


@pytest.mark.wide
@pytest.mark.timeout(300)
def test_two_workers_keep_to_both_budgets(hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> None:
    limits: dict[str, Any] = {"rate": RATE, "endpoint_rate": ENDPOINT_RATE}
    stripes = {
        name: make_sandbox(customers=90, months=3, seed=seed, **limits)
        for seed, name in enumerate(("acme", "globex"), 1)
    }
    for name, sandbox in stripes.items():
        connected(hub, sandbox, name, webhook_secrets=(SECRET,), **limits)
    watch = Watch(hub)
    with serving(create_app(hub)) as url, ExitStack() as processes:
        # In an old version every event asks for a look at its object: the drain needs as many requests as the import.
        hook = {"url": f"{url}/api/webhooks/stripe/acme", "secret": SECRET, "api_version": "2020-08-27"}
        assert httpx.post(f"{stripes['acme'].url}/__webhooks", json=hook).status_code == 200
        for _ in range(2):
            processes.enter_context(_worker(hub))
        queue.wait_for_workers(hub.engine, 4)
        for name in stripes:
            Doorbell(hub.engine).ring("import_account", connection=name)
        until(lambda: watch.states() == {"acme": "running", "globex": "running"}, "both import at the same time")
        for _ in range(25):
            stripes["acme"].advance(DAY)
        until(lambda: watch.states() == {"acme": "done", "globex": "done"}, "both are imported", seconds=120)
        until(watch.quiet, "the storm is handled", seconds=120)
        Doorbell(hub.engine).ring("import_account", connection="acme", full=True)  # some changes have no event
        until(lambda: watch.imports("acme") == ["done", "done"], "what changed without an event is read", seconds=120)
        until(watch.quiet, "nothing is left", seconds=60)
    assert watch.events > 200, "it was a storm"
    assert watch.most <= 2 * (CONCURRENCY + WORKER_EXTRA_CONNECTIONS)
    for name, sandbox in stripes.items():
        stats = sandbox.stats()
        assert stats["limited"] == {"global-rate": 0, "endpoint-rate": 0}, name
        assert stats["statuses"].get("429") is None, name
        assert stats["busiest_second"] <= RATE + BURST, name
        account = hub.account(name)
        with hub.stripe(account) as api:
            verdicts = audit(hub.engine, account, api)
        assert verdicts["clean"], [one for one in verdicts["resources"] if one["verdict"] != "equal"]


class Watch:
    """Looks at the database while the workers work; `most` is how many connections they were seen to hold."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.most = 0
        self.events = 0

    def states(self) -> dict[str, str]:
        """The newest import's state, by connection."""
        self._count()
        with self.hub.engine.connect() as db:
            found = {name: runs.last(db, name, "import") for name in ("acme", "globex")}
        return {name: run["state"] for name, run in found.items() if run}

    def imports(self, name: str) -> list[str]:
        """The states of a connection's imports, oldest first."""
        self._count()
        with self.hub.engine.connect() as db:
            query = text("select state from runs where connection = :c and kind = 'import' order by id")
            return list(db.execute(query, {"c": name}).scalars())

    def quiet(self) -> bool:
        """Whether no event waits, no object is to be looked at, and no job is under way or due."""
        self._count()
        with self.hub.engine.connect() as db:
            self.events = db.scalar(text("select count(*) from inbox")) or 0
            waiting = db.scalar(
                text("""
select (select count(*) from inbox where state <> 'handled' and state <> 'skipped')
  + (select count(*) from refetches where next_try_at < 'infinity')
  + (select count(*) from procrastinate_jobs where status in ('todo', 'doing'))""")
            )
        return not waiting

    def _count(self) -> None:
        with self.hub.engine.connect() as db:
            held = db.scalar(
                text("""
select count(*) from pg_stat_activity where datname = current_database()
  and application_name in ('tidegate cli', 'tidegate budget', 'tidegate worker')""")
            )
        self.most = max(self.most, held or 0)


@contextmanager
def _worker(hub: Hub) -> Iterator[None]:
    environment = os.environ | {
        "TIDEGATE_HOME": str(hub.settings.home),
        "DATABASE_URL": hub.settings.database_url,
        "TIDEGATE_SECRET_KEY": hub.settings.secret_key.get_secret_value(),
        "PYTHONPATH": str(SOURCE),
    }
    command = [sys.executable, "-m", "tidegate", "worker", "--concurrency", str(CONCURRENCY)]
    started = subprocess.Popen(command, env=environment)
    try:
        yield
    finally:
        started.terminate()
        try:
            started.wait(20)
        finally:
            started.kill()
