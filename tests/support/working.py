"""Workers that do the real tasks, in processes of their own that a test may kill."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text
from tests.support import forking
from tests.support.forking import Forked

from tidegate.wiring import Hub

PROGRAM = """
from tidegate.cli.worker import task_context
from tidegate.wiring import open_hub
from tidegate.workflows.worker import Timing, engine_connections, run_worker

with open_hub(pool_size=engine_connections(2)) as hub:
    url = hub.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    timing = Timing(heartbeat=0.5, stalled=3, rescue=0.5, poll=0.2, reopen=0.2)
    run_worker(url, task_context(hub), concurrency=2, timing=timing)
"""


@contextmanager
def worker(hub: Hub) -> Iterator[Forked]:
    """A worker on the hub's database; it notices within seconds that another one died. Killed at the end."""
    environment = forking.FIXED | {
        "PATH": os.environ["PATH"],
        "TIDEGATE_HOME": str(hub.settings.home),
        "DATABASE_URL": hub.settings.database_url,
        "TIDEGATE_SECRET_KEY": hub.settings.secret_key.get_secret_value(),
        "TIDEGATE_IMPORT_READERS": "4",
    }
    with open(os.devnull) as nothing:
        started = forking.start(["-c", PROGRAM], environment, stdin=nothing.fileno())
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def jobs_open(hub: Hub, task: str = "") -> int:
    """How many jobs of a task wait or are worked on; without a task: of any that belongs to a connection."""
    with hub.engine.connect() as db:
        return int(
            db.scalar(
                text("""
select count(*) from procrastinate_jobs
where status in ('todo', 'doing') and args ? 'connection' and (:task = '' or task_name = :task)"""),
                {"task": task},
            )
            or 0
        )
