"""Handles the inbox: claims events, applies them, fetches what they could not tell whole."""

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from tidegate.connections import accounts, problems
from tidegate.connections.accounts import Account
from tidegate.errors import TidegateError
from tidegate.mirror import inbox, references, refetches
from tidegate.mirror.apply import apply
from tidegate.mirror.arrivals import Arrival, Counts
from tidegate.mirror.events import AccountsChanged, Broken, Skipped, Told, told
from tidegate.mirror.inbox import Waiting
from tidegate.mirror.settle import settle
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources import RESOURCES

log = logging.getLogger(__name__)

BATCH = 200


@dataclass(slots=True)
class Drained:
    """What handling the inbox did."""

    handled: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    failed: dict[str, str] = field(default_factory=dict[str, str])
    counts: dict[str, Counts] = field(default_factory=dict[str, Counts])
    customers: set[str] = field(default_factory=set[str])
    refetch_error: str = ""
    accounts_changed: bool = False
    """A platform's accounts are to be listed again; noted with the connection, too."""

    def as_json(self) -> dict[str, Any]:
        """The summary as a JSON object."""
        return {
            "handled": self.handled,
            "skipped": dict(self.skipped),
            "failed": self.failed,
            "resources": {name: self.counts[name].as_json() for name in RESOURCES if name in self.counts},
            "customers_changed": len(self.customers),
            "refetch_error": self.refetch_error,
        }

    def add(self, other: "Drained") -> None:
        """Adds what another batch did."""
        self.handled += other.handled
        self.skipped.update(other.skipped)
        self.failed |= other.failed
        self.customers |= other.customers
        self.accounts_changed |= other.accounts_changed
        for name, counts in other.counts.items():
            self.counts.setdefault(name, Counts()).add(counts)


def drain(
    engine: Engine, account: Account, api: StripeApi, *, attempts: int = 8, stop: threading.Event | None = None
) -> Drained:
    """Handles every event that is due, then fetches every object that waits to be looked at; until nothing is left.

    A failing event is tried again later and parked after `attempts`; the others go on. Several workers may drain one
    inbox. Stripe out of reach does not stop the events: it is told in `refetch_error`.
    """
    drained = Drained()
    while not (stop and stop.is_set()):
        some = _drain_batch(engine, account.name, attempts)
        if some is None:
            break
        drained.add(some)
    try:
        settled = settle(engine, account.name, api, stop=stop)
    except TidegateError as error:
        drained.refetch_error = str(error)
        problems.note_error(engine, account.name, error)
        return drained
    for name, counts in settled.counts.items():
        drained.counts.setdefault(name, Counts()).add(counts)
    drained.customers |= settled.customers
    drained.refetch_error = "; ".join(settled.failed.values())
    return drained


def _drain_batch(engine: Engine, account: str, attempts: int) -> Drained | None:
    """Up to 200 events in one transaction; when that fails, each in its own. None when nothing is due."""
    try:
        with engine.begin() as db:
            waiting = _claim(db, account, BATCH)
            return _handle(db, account, waiting, attempts) if waiting else None
    except Exception as error:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise  # the database is lost, and no event is to blame
        log.warning("inbox_batch_failed", exc_info=True, extra={"connection": account})
    return _drain_singly(engine, account, attempts)


def _claim(db: Connection, account: str, limit: int) -> list[Waiting]:
    """Events that are due, for this transaction alone; none once the connection is purged."""
    return inbox.claim(db, account, limit) if accounts.hold(db, account) else []


def _drain_singly(engine: Engine, account: str, attempts: int) -> Drained | None:
    drained = Drained()
    for _ in range(BATCH):
        problem = ""
        with engine.begin() as db:
            waiting = _claim(db, account, 1)
            if not waiting:
                break
            savepoint = db.begin_nested()
            try:
                drained.add(_handle(db, account, waiting, attempts))
                savepoint.commit()
            except Exception as error:  # whatever it is, the event is kept with it and tried again
                savepoint.rollback()
                problem = f"{type(error).__name__}: {error}"
                drained.failed[waiting[0].event_id] = problem
                inbox.fail(db, account, waiting[0].event_id, problem, attempts)
    return drained if drained.handled or drained.failed or drained.skipped else None


def _handle(db: Connection, account: str, waiting: Sequence[Waiting], attempts: int) -> Drained:
    drained = Drained()
    versions: dict[str, list[Arrival]] = {}
    asks: dict[str, list[refetches.Ask]] = {}
    handled: list[str] = []
    skipped: dict[str, list[str]] = {}
    stripe_id = accounts.stripe_id(db, account)
    for one in waiting:
        match told(one.body, stripe_id):
            case Told(resource, arrival, ask):
                versions.setdefault(resource.name, []).append(arrival)
                if ask:
                    asks.setdefault(resource.name, []).append(ask)
                handled.append(one.event_id)
            case AccountsChanged():
                drained.accounts_changed = True
                handled.append(one.event_id)
            case Skipped(reason):
                skipped.setdefault(reason, []).append(one.event_id)
            case Broken(reason):
                drained.failed[one.event_id] = reason
                inbox.fail(db, account, one.event_id, reason, attempts=1)  # it will not read better later: parked
    for name, resource in RESOURCES.items():
        if name in versions:
            applied = apply(db, account, resource, versions[name])
            drained.counts[name] = applied.counts
            drained.customers |= applied.customers
            refetches.ask(db, account, resource, refetches.unanswered(db, account, resource, asks.get(name, [])))
            references.ask_for_named(db, account, resource, [arrival.id for arrival in versions[name]])
    references.ask_for_billed(db, account, [arrival.id for arrival in versions.get("invoiceitems", [])])
    if drained.accounts_changed:
        drained.accounts_changed = accounts.ask_for_fan_out(db, account)
    inbox.settle(db, account, handled, "handled")
    for reason, ids in skipped.items():
        inbox.settle(db, account, ids, "skipped", reason)
        drained.skipped[reason] += len(ids)
    drained.handled = len(handled)
    return drained
