"""Keeps revenue in step: of customers that changed, of contacts that got or lost one, of what changes by itself."""

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text

from tidegate.catalog import journal
from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.contacts import linking
from tidegate.lifecycle import due as lifecycle_due
from tidegate.mirror import changed
from tidegate.revenue import editions, ledger, movements, rebuild
from tidegate.revenue.events import keep_events
from tidegate.revenue.facts import keep_facts
from tidegate.revenue.spans import Whose, derived

BATCH = 500
"""Customers of one transaction."""
PAGE = 50
"""Customers of one row of the queue."""


class Kept(NamedTuple):
    """What was written: spans, rows of movements added or superseded, billing events."""

    spans: int
    movements: int
    events: int


class Histories(NamedTuple):
    """What customers (Stripe ids) were worth up to an instant (epoch seconds). `spans` waits until it is worked out."""

    ledger: editions.Ledger
    customers: Sequence[str]
    as_of: int
    spans: Callable[[], tuple[list[Whose], dict[str, int]]]


@contextmanager
def histories(
    db: Connection, account: Account, customers: Sequence[str], as_of: datetime, beside: Engine | None = None
) -> Generator[Histories]:
    """Works out the histories of these customers of a connection. `beside`: in a thread with a connection of its own,
    so that PostgreSQL and Python have something to do at a time. It sees what is committed: what the transaction
    itself wrote to the mirror it does not. Whoever holds `linking.lock` keeps others from what comes of it.
    """
    ledger, at = _begun(db, account), int(as_of.timestamp())
    if beside is None:
        yield Histories(ledger, customers, at, lambda: derived(db, ledger, customers, at))
        return

    def apart(engine: Engine) -> tuple[list[Whose], dict[str, int]]:
        with engine.connect() as reading:
            return derived(reading, ledger, customers, at)

    with ThreadPoolExecutor(1, "histories") as thread:
        yield Histories(ledger, customers, at, thread.submit(apart, beside).result)


def keep(db: Connection, known: Histories, contacts: Sequence[int]) -> Kept:
    """Keeps spans, movements and billing events of customers, and the facts of these contacts (internal keys), those
    that a link of theirs reaches or left.
    """
    kept = ledger.keep_derived(db, known.ledger, known.customers, *known.spans())
    follow(db, contacts)
    events = keep_events(db, known.ledger, known.customers, known.as_of)
    return Kept(kept.spans, kept.added + kept.superseded, sum(events))


def _begun(db: Connection, account: Account) -> editions.Ledger:
    """The connection's ledger. One that was begun before the account was mirrored has the account's time zone from now
    on: as an edition of its own where days change by that.
    """
    found = editions.begin(db, account.name)
    zone = found.known_zone
    if not zone:
        return found
    if not editions.settle_zone(db, found, zone):
        wanted = editions.terms(db, account.name).otherwise(time_zone=zone)
        drafted = editions.draft(db, account.name, wanted)
        with rebuild.opened() as work:
            work.rebuild(db, drafted)
        editions.adopt(db, drafted)
        journal.note(db, "tidegate", "revenue.policy", account.name, time_zone=zone, edition=drafted.edition)
        if found.policy.netting_seconds is None:  # what is netted goes by days, so movements may be others
            changed.note_all(db, account.name, PAGE, by_rules=True)
    return editions.begin(db, account.name)


def follow(db: Connection, contacts: Sequence[int]) -> None:
    """Makes movements those of the contact that each customer belongs to now, where these contacts (internal keys) got
    or lost one, with the billing events of all whose movements may be others by that; and brings the contacts' facts up
    to it.
    """
    for connection, customers in movements.left(db, contacts).items():
        found = editions.current(db, connection)
        if found is not None and found.policy.unit == "contact":
            whole = movements.together(db, found, customers)
            movements.keep_movements(db, found, whole)
            keep_events(db, found, whole, int(db.execute(_NOW).scalar_one()))
    keep_facts(db, contacts)


def keep_due(engine: Engine, *, stop: threading.Event | None = None) -> int:
    """Derives what changed by itself since it was derived last: a discount that ended, days of past due that are over.

    Returns how many customers were looked at, in batches, each its own transaction, until none is due.
    """
    looked = 0
    with engine.connect() as db:
        known = accounts.every(db)
    for account in known:
        last = ""
        while not (stop and stop.is_set()):
            with engine.begin() as db:
                linking.lock(db)
                due = list(db.scalars(_DUE, {"connection": account.name, "last": last, "limit": BATCH}))
                if due:
                    now = db.execute(text("select clock_timestamp()")).scalar_one()
                    linked = list(db.scalars(_LINKED, {"connection": account.name, "customers": due}))
                    with histories(db, account, due, now) as known:
                        keep(db, known, linked)
                    lifecycle_due.note(db, linked)
            looked += len(due)
            if len(due) < BATCH:
                break
            last = due[-1]
    return looked


_NOW = text("select extract(epoch from clock_timestamp())::bigint")

_DUE = text("""
select customer from tidegate.revenue_due
where connection = :connection and changes_at <= clock_timestamp() and customer > :last
order by customer limit :limit""")

_LINKED = text("""
select distinct contact from tidegate.links
where connection = :connection and customer = any(cast(:customers as text[])) and contact is not null""")
