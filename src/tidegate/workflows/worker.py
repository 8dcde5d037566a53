"""Runs a worker: takes jobs off the queue until it is asked to stop, and outlives the database's restarts."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.worker import Worker
from sqlalchemy.exc import DBAPIError

from tidegate.store.engine import KEPT_ALIVE, SESSION
from tidegate.workflows.doorbell import FETCH, IMPORT, PROMPT
from tidegate.workflows.operation.rescue import rescue
from tidegate.workflows.task_context import TaskContext
from tidegate.workflows.tasks import register

log = logging.getLogger(__name__)

OWN_CONNECTIONS = 2
"""Connections to the database for the queue's own statements; each lane listens on one more."""
BUDGET_CONNECTIONS = 1
"""Over it all tasks of the process draw from the rate budget (`wiring.Hub`)."""
SPARE_THREADS = 4


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds; with these a killed worker's job goes on elsewhere after 42 s at the latest."""

    heartbeat: float = 5.0
    """Between signs of life."""
    stalled: float = 25.0
    """Without a sign of life until a worker counts as dead."""
    rescue: float = 15.0
    """Between looks for jobs of dead workers."""
    poll: float = 2.0
    """Between looks for jobs; new ones are announced as well."""
    reopen: float = 5.0
    """Until the database is tried again after it went away."""


class Lane(NamedTuple):
    """A share of the places of a worker, kept for some queues; None: all."""

    queues: tuple[str, ...] | None
    places: int


def lanes(concurrency: int) -> list[Lane]:
    """A share of the places for each kind of work, so that long imports hold up no fetch, and neither of them the
    inbox.

    A worker with two places keeps one from imports; one with a single place takes what comes.
    """
    if concurrency == 1:
        return [Lane(None, 1)]
    if concurrency == 2:
        return [Lane((PROMPT, FETCH), 1), Lane((IMPORT,), 1)]
    fetch = concurrency // 4 or 1
    prompt = (concurrency - fetch + 1) // 2
    return [Lane((PROMPT,), prompt), Lane((FETCH,), fetch), Lane((IMPORT,), concurrency - fetch - prompt)]


def engine_connections(concurrency: int) -> int:
    """The size of the engine's pool that a worker's tasks share.

    An import or a catch-up holds one connection all the time and needs a second one now and then. With that of the
    rate budget, the queue's own and the listeners' a worker uses `concurrency` + 6.
    """
    return concurrency + 6 - BUDGET_CONNECTIONS - OWN_CONNECTIONS - len(lanes(concurrency))


def run_worker(
    url: str, context: TaskContext, *, concurrency: int, parent_pipe: int | None = None, timing: Timing | None = None
) -> None:
    """Works until SIGTERM or SIGINT (in the main thread), or until `parent_pipe` (a descriptor) closes.

    Then running tasks are told to stop, and what they leave is rung for again; a second signal ends the process at
    once, which costs nothing but the time until another worker notices. `url`: `postgresql://…`. When the database goes
    away the worker waits for it.
    """

    async def main() -> None:
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()
        if parent_pipe is not None:
            _end_with_parent(loop, parent_pipe, asked)
        if threading.current_thread() is threading.main_thread():
            _end_on_signals(loop, asked)
        loop.set_default_executor(ThreadPoolExecutor(concurrency + SPARE_THREADS, thread_name_prefix="task"))
        await _work(url, context, concurrency, timing or Timing(), asked)

    asyncio.run(main())


def _end_with_parent(loop: asyncio.AbstractEventLoop, pipe: int, asked: asyncio.Event) -> None:
    def read() -> None:
        if not os.read(pipe, 1024):
            loop.remove_reader(pipe)
            log.info("worker_parent_gone")
            asked.set()

    loop.add_reader(pipe, read)


def _end_on_signals(loop: asyncio.AbstractEventLoop, asked: asyncio.Event) -> None:
    def end(number: int) -> None:
        if asked.is_set():
            os._exit(128 + number)
        log.info("worker_stopping", extra={"signal": number})
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)


async def _work(url: str, context: TaskContext, concurrency: int, timing: Timing, asked: asyncio.Event) -> None:
    while not asked.is_set():
        try:
            await _until_ended(url, context, concurrency, timing, asked)
        except (ConnectorException, psycopg.Error, DBAPIError) as error:
            if not _database_lost(error):
                raise
            log.warning("worker_lost_database", extra={"problem": str(error.__cause__ or error)})
        with suppress(TimeoutError):
            await asyncio.wait_for(asked.wait(), timing.reopen)


def _database_lost(error: BaseException) -> bool:
    """Whether the trouble lies with the database's being away, and not with what was asked of it."""
    cause = error.orig if isinstance(error, DBAPIError) else error.__cause__ or error
    return isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)


async def _until_ended(url: str, context: TaskContext, concurrency: int, timing: Timing, asked: asyncio.Event) -> None:
    """Works until it is asked to end, or until a part of the worker fails; then everything ends, in order."""
    stop = threading.Event()
    parts: list[_Part] = []

    def end() -> None:
        if not stop.is_set():
            stop.set()
            for part in parts:
                part.stop()

    app = App(connector=_connector(url))
    register(app, replace(context, stop=stop))
    async with app.open_async():
        parts += [_Part(end, app, lane, timing) for lane in lanes(concurrency)]
        running = [asyncio.create_task(part.run()) for part in parts]
        beside: list[asyncio.Task[Any]] = [
            asyncio.create_task(asked.wait()),
            asyncio.create_task(_rescue_for_ever(context, timing)),
        ]
        try:
            await asyncio.wait([*running, *beside], return_when=asyncio.FIRST_COMPLETED)
        finally:
            end()
            for task in beside:
                task.cancel()
            await asyncio.wait([*running, *beside])
    problems = [problem for task in [*running, *beside] if not task.cancelled() and (problem := task.exception())]
    if problems:
        raise problems[0]


async def _rescue_for_ever(context: TaskContext, timing: Timing) -> None:
    while True:
        await asyncio.to_thread(rescue, context.engine, timing.stalled)
        await asyncio.sleep(timing.rescue)


class _Part(Worker):
    """Procrastinate's worker on one lane.

    When it ends by itself, as it does when its heartbeat fails, its running tasks are told to stop and the other lanes
    end: else tasks would go on for hours while their worker counts as dead.
    """

    def __init__(self, ending: Callable[[], None], app: App, lane: Lane, timing: Timing) -> None:
        super().__init__(
            app,
            queues=list(lane.queues) if lane.queues else None,
            name="worker",
            concurrency=lane.places,
            fetch_job_polling_interval=timing.poll,
            update_heartbeat_interval=timing.heartbeat,
            stalled_worker_timeout=timing.stalled,
            install_signal_handlers=False,
        )
        self._ending = ending

    def stop(self) -> None:
        """Takes no more jobs, and lets the other lanes do the same."""
        super().stop()
        self._ending()


def _connector(url: str) -> PsycopgConnector:
    async def prepare(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute(SESSION)
        await connection.commit()

    return PsycopgConnector(
        conninfo=url,
        min_size=1,
        max_size=OWN_CONNECTIONS,
        configure=prepare,
        kwargs={"application_name": "tidegate worker", **KEPT_ALIVE},
    )
