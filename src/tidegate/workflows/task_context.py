"""What background tasks work with: the database, Stripe as a connection sees it, the doorbell and the worker's stop."""

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.delivery import queue
from tidegate.errors import (
    ConfigurationError,
    DatabaseBusy,
    StripeBodyUnreadable,
    StripeRateLimited,
    Unreachable,
)
from tidegate.mirror import changed, refetches
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows.doorbell import Doorbell
from tidegate.workflows.operation import retention

PASSING = (DatabaseBusy, Unreachable, StripeRateLimited, StripeBodyUnreadable, OperationalError, PoolExhausted)
"""Troubles that end by themselves: an import or a sync is tried again."""
LONGEST_WAIT = 600  # seconds
SLICE = 20.0
"""Seconds after which a task lets others have its place."""

OpenApi = Callable[[Account], AbstractContextManager[StripeApi]]


def _not_given(_: Any) -> Any:
    raise ConfigurationError(problem="This worker was not given what a sync needs.")


def _not_known(_db: Connection, key: str) -> Any:
    raise ConfigurationError(problem=f"This worker was not given what opens the destination {key}.")


@dataclass(frozen=True, slots=True)
class TaskContext:
    """What tasks work with, given when a worker is built.

    `open_api` opens Stripe as a connection sees it, `open_writing` with the key that may write; `url_of` is the URL of
    a stored source, `destination` opens one with its secrets. Set `stop` to let running tasks end early: what they
    leave is rung for again. `poll_seconds`: how often Stripe's events are read; `attempts`: failures after which an
    event is parked; `readers`: pages of lists that an import reads at a time; `sweep_hour`: the hour of the night, in
    the account's time zone, at which every list is read again; `retention`: days that things are kept, see
    `retention.DAYS`; `home`: where the embedded database is, whose disk is looked at (None: another one serves).
    """

    engine: Engine
    open_api: OpenApi
    open_writing: OpenApi = _not_given
    url_of: Callable[[Any], str] = _not_given
    destination: Callable[[Connection, str], Any] = _not_known
    poll_seconds: int = 300
    attempts: int = 8
    readers: int = 24
    sweep_hour: int = 3
    retention: Mapping[str, int] = field(default_factory=lambda: retention.DAYS)
    home: Path | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def doorbell(self) -> Doorbell:
        """Rings on the same database."""
        return Doorbell(self.engine)


@contextmanager
def stripe(context: TaskContext, account: Account) -> Generator[StripeApi]:
    """Stripe as the connection sees it; who waits for it is let go with WorkStopped when the worker is to end."""
    with context.open_api(account) as api, api.heeding(context.stop):
        yield api


def connected(context: TaskContext, connection: str) -> Account | None:
    """The connection, unless it was disconnected since the ring."""
    with context.engine.connect() as db:
        return next((one for one in accounts.every(db, connected=True) if one.name == connection), None)


def ring_for_looks(context: TaskContext, connection: str) -> None:
    """Rings where objects of the connection are due to be looked at."""
    with context.engine.connect() as db:
        looks = refetches.any_due(db, connection)
    if looks:
        context.doorbell.ring("refetch", connection=connection)


def ring_for_deliveries(context: TaskContext) -> bool:
    """Rings where something is due to a destination, or a contact was noted that one may be told of; whether it did."""
    with context.engine.connect() as db:
        waiting = queue.anything_due(db)
    return waiting and context.doorbell.ring("deliver", connection="")


def ring_for_refresh(context: TaskContext, connection: str, *, delay: int = 0) -> None:
    """Rings where customers of the connection wait for a refresh, which is to begin after `delay` seconds."""
    with context.engine.connect() as db:
        waiting = changed.waiting(db, connection)
    if waiting:
        context.doorbell.ring("refresh", connection=connection, delay=delay)
