"""Plans a sync in a process of its own: a plan burns CPU for as long as it takes, which no web process has to spare."""

import threading
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.errors import HubBusy
from tidegate.workflows.outbound import processes
from tidegate.workflows.outbound.sync_plan import Part

MOST = 2
"""Plans that one process lets be made at a time."""
_PLACES = threading.BoundedSemaphore(MOST)


@dataclass(frozen=True, slots=True)
class Where:
    """What the process needs: the database's URL, and where the secret key is."""

    database_url: str
    secret_key: str
    home: Path


def plan(where: Where, key: str, part: Part, by: str, file: Path | None = None, kind: str = "") -> dict[str, Any]:
    """The answer of a plan (`sync_plan.answer`), which is kept when it is of all rows. `file`: every decision, or every
    one of a `kind`, is written to it (`sync_plan.export`), and nothing is kept. Raises what `sync_plan.planned` raises,
    and HubBusy where as many are made as may be.
    """
    if not _PLACES.acquire(blocking=False):
        raise HubBusy(problem=f"{MOST} plans are being made already")
    try:
        with processes.pool(1) as process:
            return process.submit(_made, where, key, part, by, file, kind).result()
    except BrokenProcessPool as error:
        raise HubBusy(problem="the process that planned died, perhaps for lack of memory") from error
    finally:
        _PLACES.release()


def _made(where: Where, key: str, part: Part, by: str, file: Path | None, kind: str) -> dict[str, Any]:
    from tidegate.secrets import open_vault
    from tidegate.settings import environment
    from tidegate.store.engine import open_engine
    from tidegate.workflows.outbound import source_reading, sync_plan

    engine = open_engine(where.database_url, pool_size=4, application="tidegate plan")
    try:

        def url_of(source: Any) -> str:
            return source_reading.url_of(source, lambda: open_vault(where.secret_key, where.home), environment())

        with sync_plan.planned(engine, key, url_of, part) as made:
            if file is not None:
                sync_plan.export(made, file, kind)
            number = None
            if part.whole and file is None:
                with engine.begin() as db:
                    number = sync_plan.keep(db, made.plan, by)
            return sync_plan.answer(made, number)
    finally:
        engine.dispose()
