"""Decides about rows of which many differ in processes beside this one."""

import tempfile
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Engine

from tidegate.errors import HubBusy
from tidegate.outbound import deciding, staging
from tidegate.outbound.asking import Asking
from tidegate.outbound.deciding import Decided, Deciding
from tidegate.outbound.fields.shapes import checked
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
DIFFER_AT_HAND = 3_000
"""Those that are worth it where the processes are there already."""
READ = 200_000
"""Rows that are read before processes come up beside the reading, where many are expected to differ."""


class Beside:
    """The processes of one plan: they come up as its rows are read, where many are expected to differ since many did
    before, or else when many do. `differed`: how many that were; None: nobody knows.
    """

    def __init__(self, engine: Engine, sync: Sync, connection: str, differed: int | None) -> None:
        self._url = engine.url.render_as_string(hide_password=False)
        self._sync, self._connection = sync, connection
        self._may = sync.resource not in INSERT_ONLY | OWN and processes.processors() > 1
        self._expected = self._may and (differed is None or differed >= DIFFER_AT_HAND)
        self._pool: ProcessPoolExecutor | None = None
        self._up: list[Future[None]] = []

    def read(self, rows: int) -> None:
        """So many rows were read."""
        if self._expected and self._pool is None and rows >= READ:
            self._up = [self._start().submit(_ready) for _ in range(_many())]

    def deciding(self, staged: Staging, counts: Counts) -> Deciding | None:
        """Decides as `deciding.here` does. None: so few rows differ that this process does it sooner. The function
        raises HubBusy where a process dies.
        """
        differing = counts.new + counts.changed + counts.again
        at_hand = bool(self._up) and all(one.done() and one.exception() is None for one in self._up)
        if not self._may or differing < (DIFFER_AT_HAND if at_hand else DIFFER):
            return None
        return partial(_decide, self._start(), staged)

    def end(self) -> None:
        """Ends them; those that are coming up are not waited for."""
        if self._pool is not None:
            self._pool.shutdown(wait=all(one.done() for one in self._up), cancel_futures=True)

    def _start(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = processes.pool(_many(), _begin, self._url, self._sync, self._connection)
        return self._pool


@contextmanager
def beside(engine: Engine, sync: Sync, connection: str, differed: int | None) -> Generator[Beside]:
    """The processes, until the block ends."""
    found = Beside(engine, sync, connection, differed)
    try:
        yield found
    finally:
        found.end()


def _many() -> int:
    """As many as there are processors, within bounds."""
    return min(MOST, processes.processors())


def _decide(pool: ProcessPoolExecutor, staged: Staging, terms: Terms, batches: Iterator[Any]) -> Generator[Decided]:
    waiting: deque[Future[Decided]] = deque()
    with tempfile.TemporaryDirectory(prefix="tidegate-deciding-") as folder:
        gone = Path(folder) / "gone.parquet"
        staged.keep_gone(gone)
        try:
            for batch in batches:
                waiting.append(pool.submit(_decided, terms, batch, gone))
                if len(waiting) > 2 * _many():  # each has one that it works at and one that waits
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise HubBusy(problem="a process that planned died, perhaps for lack of memory") from error


class _Mine(NamedTuple):
    """What one of the processes has."""

    engine: Engine
    sync: Sync
    connection: str


_mine: list[_Mine] = []


def _begin(url: str, sync: Sync, connection: str) -> None:
    _mine.append(_Mine(open_engine(url, pool_size=1, application="tidegate plan"), sync, connection))


def _ready() -> None:
    """Makes what the first batch would wait for: the connection, and what checks the fields."""
    [mine] = _mine
    with mine.engine.connect() as db:
        Asking(db, mine.sync, mine.connection, own_ids(db, mine.connection))
    for operation in ("create", "update"):
        checked(mine.sync.resource, operation, (), mine.sync.zone)


def _decided(terms: Terms, batch: Any, gone: Path) -> Decided:
    [mine] = _mine
    with mine.engine.connect() as db:
        asking = Asking(db, mine.sync, mine.connection, own_ids(db, mine.connection))
        return deciding.at_once(asking, terms, batch, partial(staging.gone_of, gone))
