"""The thin list of background tasks: each opens what it needs, calls one workflow and may run twice."""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.errors import ImportRunning, StripeBodyUnreadable, StripeRateLimited, Unreachable
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows import catch_up as catching_up
from tidegate.workflows import due, ingest_events, retention
from tidegate.workflows import fan_out as fanning_out
from tidegate.workflows import import_account as importing
from tidegate.workflows.doorbell import PROMPT, Doorbell
from tidegate.workflows.import_account import ImportOptions

if TYPE_CHECKING:
    from procrastinate import App

log = logging.getLogger(__name__)

PASSING = (Unreachable, StripeRateLimited, StripeBodyUnreadable, OperationalError, PoolExhausted)
"""Troubles that end by themselves: the import is tried again."""
LONGEST_WAIT = 600  # seconds


@dataclass(frozen=True, slots=True)
class TaskContext:
    """What tasks work with, given when a worker is built.

    `open_api` opens Stripe as a connection sees it. Set `stop` to let running tasks end early: what they leave is rung
    for again. `poll_seconds`: how often Stripe's events are read; `attempts`: failures after which an event is parked;
    `readers`: pages of lists that an import reads at a time.
    """

    engine: Engine
    open_api: Callable[[Account], AbstractContextManager[StripeApi]]
    poll_seconds: int = 300
    attempts: int = 8
    readers: int = 24
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def doorbell(self) -> Doorbell:
        """Rings on the same database."""
        return Doorbell(self.engine)


def import_account(
    context: TaskContext, connection: str, resources: Sequence[str] = (), full: bool = False, attempt: int = 0
) -> dict[str, Any]:
    """Imports a connection, or goes on with its import. `attempt` counts the failures so far.

    Interrupted by a stop, it is rung for at once; kept off by another import or by trouble that passes (`PASSING`),
    after a while.
    """
    account = _connected(context, connection)
    if account is None:
        return {"connection": connection, "state": "disconnected"}

    def again(delay: int, *, full: bool = False, attempt: int = attempt) -> None:
        context.doorbell.ring(
            "import_again", connection=connection, delay=delay, resources=list(resources), full=full, attempt=attempt
        )

    options = ImportOptions(resources=tuple(resources), full=full, readers=context.readers)
    try:
        with context.open_api(account) as api:
            summary = importing.import_account(context.engine, account, api, options, stop=context.stop)
    except ImportRunning:
        again(60, full=full)
        return {"connection": connection, "state": "busy"}
    except PASSING as trouble:
        wait = min(LONGEST_WAIT, 15 * 2**attempt)
        log.warning("import_put_off", extra={"connection": connection, "seconds": wait, "problem": str(trouble)})
        again(wait, attempt=attempt + 1)
        return {"connection": connection, "state": "put_off", "error": str(trouble)}
    if summary["state"] == "interrupted" and context.stop.is_set():
        again(0)
    return {"connection": connection, "run": summary["run"], "state": summary["state"]}


def drain(context: TaskContext, connection: str) -> dict[str, Any]:
    """Handles what is due in a connection's inbox. What a stop leaves is rung for; what fails is due again later."""
    account = _connected(context, connection)
    if account is None:
        return {"connection": connection, "state": "disconnected"}
    with context.open_api(account) as api:
        drained = ingest_events.drain(context.engine, account, api, attempts=context.attempts, stop=context.stop)
    if context.stop.is_set():
        context.doorbell.ring("drain", connection=connection)
    if drained.accounts_changed:
        context.doorbell.ring("fan_out", connection=connection)
    return {"connection": connection, "handled": drained.handled, "failed": len(drained.failed)}


def catch_up(context: TaskContext, connection: str) -> dict[str, Any]:
    """Reads Stripe's events since the last time; nothing to do where another process does.

    Events that Stripe no longer had are made good by an import of everything.
    """
    account = _connected(context, connection)
    if account is None:
        return {"connection": connection, "state": "disconnected"}
    try:
        with context.open_api(account) as api:
            caught = catching_up.catch_up(context.engine, account, api, attempts=context.attempts, stop=context.stop)
    except ImportRunning:
        return {"connection": connection, "state": "busy"}
    if caught["gap"]:
        context.doorbell.ring("import_account", connection=connection, full=True)
    if context.stop.is_set():
        context.doorbell.ring("catch_up", connection=connection)
    return caught


def fan_out(context: TaskContext, connection: str) -> dict[str, Any]:
    """Looks for new and vanished accounts of a platform."""
    account = _connected(context, connection)
    if account is None or account.fan_out_at is None:
        return {"connection": connection, "state": "no platform"}
    with context.open_api(account) as api:
        return fanning_out.fan_out(context.engine, account, api).as_json()


def tick(context: TaskContext, timestamp: int) -> list[str]:
    """Rings for everything whose time has come, so that a lost ring costs a minute; returns what it rang for.

    `timestamp`: the minute it was due, in epoch seconds. A connection whose key is refused is tried on the full hour.
    """
    full_hour = timestamp % 3600 < 60
    with context.engine.connect() as db:
        wanted = [("catch_up", name) for name in due.behind(db, context.poll_seconds, refused=full_hour)]
        wanted += [("drain", name) for name in due.undrained(db)]
        wanted += [("fan_out", name) for name in due.fanning_out(db, refused=full_hour)]
    return [f"{task}:{name}" for task, name in wanted if context.doorbell.ring(task, connection=name)]


def forget_old(context: TaskContext, timestamp: int) -> dict[str, int]:
    """Deletes what retention does not keep; returns how many rows per table. When it was due makes no difference."""
    return retention.forget_old(context.engine, stop=context.stop)


TASKS: dict[str, Callable[..., Any]] = {
    "import_account": import_account,
    "import_again": import_account,
    "drain": drain,
    "catch_up": catch_up,
    "fan_out": fan_out,
    "tick": tick,
    "forget_old": forget_old,
}
"""Every task by the name that jobs carry; the first argument is the context."""

PERIODIC = {"tick": "* * * * *", "forget_old": "23 * * * *"}
"""When tasks start by themselves, as cron lines in UTC; several workers start each once. They are given the `timestamp`
(epoch seconds) of their time."""


def register(app: "App", context: TaskContext) -> None:
    """Makes a worker's app know the tasks, each bound to the context."""
    for name, run in TASKS.items():
        task = app.task(name=name, queue=PROMPT)(_bound(run, context))
        if name in PERIODIC:
            app.periodic(cron=PERIODIC[name], queueing_lock=name)(task)


def _bound(run: Callable[..., Any], context: TaskContext) -> Callable[..., Any]:
    def task(**arguments: Any) -> Any:
        return run(context, **arguments)

    return task


def _connected(context: TaskContext, connection: str) -> Account | None:
    """The connection, unless it was disconnected since the ring."""
    with context.engine.connect() as db:
        return next((one for one in accounts.every(db, connected=True) if one.name == connection), None)
