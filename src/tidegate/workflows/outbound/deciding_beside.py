"""Decides about rows of which many differ in processes beside this one."""

import tempfile
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Engine

from tidegate.errors import HubBusy
from tidegate.outbound import deciding, staging
from tidegate.outbound.asking import Asking
from tidegate.outbound.deciding import Decided, Deciding
from tidegate.outbound.plan.decide import Terms
from tidegate.outbound.resources import INSERT_ONLY, OWN
from tidegate.outbound.specs import Sync
from tidegate.outbound.staging import Counts, Staging
from tidegate.store.engine import open_engine
from tidegate.workflows.outbound import processes
from tidegate.workflows.outbound.own_ids import own_ids

MOST = 4
"""Processes of one plan, each about 130 MB with a connection to the database of its own."""
DIFFER = 30_000
"""Differing rows that are worth it: one process decides about ten thousand a second, and another takes a second or two
to come up.
"""


def worth_it(sync: Sync, counts: Counts) -> bool:
    """Whether so many rows of a sync differ, and there are processors for it."""
    differing = counts.new + counts.changed + counts.again
    return differing >= DIFFER and sync.resource not in INSERT_ONLY | OWN and processes.processors() > 1


def beside(engine: Engine, staged: Staging, sync: Sync, connection: str) -> Deciding:
    """Decides as `deciding.here` does, in as many processes as there are processors. Raises HubBusy where one dies."""
    many = min(MOST, processes.processors())
    url = engine.url.render_as_string(hide_password=False)

    def deciding(terms: Terms, batches: Iterator[Any]) -> Generator[Decided]:
        with (
            tempfile.TemporaryDirectory(prefix="tidegate-deciding-") as folder,
            processes.pool(many, _begin, url, sync, connection) as pool,
        ):
            gone = Path(folder) / "gone.parquet"
            staged.keep_gone(gone)
            waiting: deque[Future[Decided]] = deque()
            try:
                for batch in batches:
                    waiting.append(pool.submit(_decided, terms, batch, gone))
                    if len(waiting) > 2 * many:  # each has one that it works at and one that waits
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            except BrokenProcessPool as error:
                raise HubBusy(problem="a process that planned died, perhaps for lack of memory") from error
            finally:
                pool.shutdown(cancel_futures=True)

    return deciding


class _Mine(NamedTuple):
    """What one of the processes has."""

    engine: Engine
    sync: Sync
    connection: str


_mine: list[_Mine] = []


def _begin(url: str, sync: Sync, connection: str) -> None:
    _mine.append(_Mine(open_engine(url, pool_size=1, application="tidegate plan"), sync, connection))


def _decided(terms: Terms, batch: Any, gone: Path) -> Decided:
    [mine] = _mine
    with mine.engine.connect() as db:
        asking = Asking(db, mine.sync, mine.connection, own_ids(db, mine.connection))
        return deciding.at_once(asking, terms, batch, partial(staging.gone_of, gone))
