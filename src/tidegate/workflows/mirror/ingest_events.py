"""Handles the inbox: claims events, applies them, and queues a look at what they could not tell whole."""

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.mirror import forgotten, inbox, references, refetches
from tidegate.mirror.apply import apply
from tidegate.mirror.arrivals import Arrival, Counts
from tidegate.mirror.events import AccountsChanged, Broken, Skipped, Told, told
from tidegate.mirror.inbox import Waiting
from tidegate.store.trouble import connection_lost, of_the_data, worth_repeating
from tidegate.store.trouble import told as told_of
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources import RESOURCES
from tidegate.workflows.mirror.refetch import refetch

log = logging.getLogger(__name__)

BATCH = 200
REPEATS = 3
"""How often a batch is tried that came into a deadlock."""
PATIENCE = text("set local lock_timeout = '2s'")
"""For rows that somebody else holds: above PostgreSQL's deadlock_timeout of one second, so that a deadlock is told as
one, and short, because other events wait behind.
"""
MOST_PUT_OFF = 3
"""Events that the database's trouble may keep from being handled, one by one, before the drain gives up for now."""
PUT_OFF_SECONDS = 5


@dataclass(slots=True)
class Drained:
    """What handling the inbox did.

    `failed`: events that could not be applied, by id, with the reason. `put_off`: events that the database could not
    take now (a lock, a deadlock, a full disk); they are tried again soon, and none of their attempts is used up.
    `more`: it ended before everything that is due was handled.
    """

    handled: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    failed: dict[str, str] = field(default_factory=dict[str, str])
    put_off: dict[str, str] = field(default_factory=dict[str, str])
    more: bool = False
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
            "put_off": self.put_off,
            "resources": {name: self.counts[name].as_json() for name in RESOURCES if name in self.counts},
            "customers_changed": len(self.customers),
            "refetch_error": self.refetch_error,
        }

    @property
    def seen(self) -> int:
        """How many events were looked at."""
        return self.handled + self.skipped.total() + len(self.failed) + len(self.put_off)

    def add(self, other: "Drained") -> None:
        """Adds what another batch did."""
        self.handled += other.handled
        self.skipped.update(other.skipped)
        self.failed |= other.failed
        self.put_off |= other.put_off
        self.customers |= other.customers
        self.accounts_changed |= other.accounts_changed
        for name, counts in other.counts.items():
            self.counts.setdefault(name, Counts()).add(counts)


def drain(
    engine: Engine, account: Account, api: StripeApi, *, attempts: int = 8, stop: threading.Event | None = None
) -> Drained:
    """Handles every event that is due, then fetches every object that waits to be looked at; until nothing is left.

    Stripe out of reach does not stop the events: it is told in `refetch_error`.
    """
    drained = handle_events(engine, account.name, attempts=attempts, stop=stop)
    looked = refetch(engine, account.name, api, stop=stop)
    for name, counts in looked.settled.counts.items():
        drained.counts.setdefault(name, Counts()).add(counts)
    drained.customers |= looked.settled.customers
    drained.refetch_error = looked.problem
    return drained


def handle_events(
    engine: Engine,
    account: str,
    *,
    attempts: int = 8,
    seconds: float = math.inf,
    stop: threading.Event | None = None,
) -> Drained:
    """Handles the events of a connection that are due, for about so many seconds; asks nothing of Stripe.

    A failing event is tried again later and parked after `attempts`; the others go on. Several workers may handle one
    inbox. Raises SQLAlchemy's errors when the database is lost.
    """
    drained = Drained()
    end = time.monotonic() + seconds
    while time.monotonic() < end and not (stop and stop.is_set()):
        some = _drain_batch(engine, account, attempts)
        if some is None:
            return drained
        drained.add(some)
        if len(some.put_off) >= MOST_PUT_OFF:
            break
        if some.seen < BATCH:  # what came since then is rung for: many at once cost a fraction of one after the other
            return drained
    drained.more = True
    return drained


def _drain_batch(engine: Engine, account: str, attempts: int) -> Drained | None:
    """Up to 200 events in one transaction; when that fails, each in its own. None when nothing is due."""
    for _ in range(REPEATS):
        try:
            with engine.begin() as db:
                waiting = _claim(db, account, BATCH)
                return _handle(db, account, waiting, attempts) if waiting else None
        except Exception as error:
            if connection_lost(error):
                raise  # and no event is to blame
            log.warning("inbox_batch_failed", exc_info=True, extra={"connection": account})
            if not worth_repeating(error):
                break
    return _drain_singly(engine, account, attempts)


def _claim(db: Connection, account: str, limit: int) -> list[Waiting]:
    """Events that are due, for this transaction alone; none once the connection is purged."""
    db.execute(PATIENCE)
    return inbox.claim(db, account, limit) if accounts.hold(db, account) else []


def _drain_singly(engine: Engine, account: str, attempts: int) -> Drained | None:
    drained = Drained()
    for _ in range(BATCH):
        with engine.begin() as db:
            waiting = _claim(db, account, 1)
            if not waiting:
                break
            drained.add(_handle_alone(db, account, waiting[0], attempts))
        if len(drained.put_off) >= MOST_PUT_OFF:
            break
    return drained if drained.handled or drained.failed or drained.put_off or drained.skipped else None


def _handle_alone(db: Connection, account: str, one: Waiting, attempts: int) -> Drained:
    """Handles one event. What goes wrong is noted with it: as its failure, or as the database's, which costs it none
    of its attempts.
    """
    savepoint = db.begin_nested()
    try:
        drained = _handle(db, account, [one], attempts)
        savepoint.commit()
        return drained
    except Exception as error:  # whatever it is, the event is kept with it and tried again
        if connection_lost(error):
            raise
        savepoint.rollback()
        problem = f"{type(getattr(error, 'orig', error)).__name__}: {told_of(error)}"
        if not of_the_data(error):
            inbox.put_off(db, account, one.event_id, problem, PUT_OFF_SECONDS)
            return Drained(put_off={one.event_id: problem})
        inbox.fail(db, account, one.event_id, problem, attempts)
        return Drained(failed={one.event_id: problem})


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
    with refetches.at_the_end(db, account):
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
    forgotten.redact_inbox(db, account, [(one.event_id, one.body) for one in waiting])
    inbox.settle(db, account, handled, "handled")
    for reason, ids in skipped.items():
        inbox.settle(db, account, ids, "skipped", reason)
        drained.skipped[reason] += len(ids)
    drained.handled = len(handled)
    return drained
