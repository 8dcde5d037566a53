"""Recomputes what is derived of changed customers, left to right, in one transaction: links, grants, what is told,
revenue.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, text

from tidegate.catalog import mappings, snapshot
from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.contacts import following, linking
from tidegate.contacts.match import Queued
from tidegate.delivery.contacts_due import note_contacts
from tidegate.delivery.outbox import Told, as_history, tell
from tidegate.entitlements.grants import derive_grants
from tidegate.entitlements.telling import tell_changes, untold
from tidegate.lifecycle import due as lifecycle_due
from tidegate.mirror import changed
from tidegate.revenue.naming import customers_naming
from tidegate.store.driver import rows
from tidegate.store.planning import BY_INDEX, SETTLED, planned
from tidegate.workflows.revenue import revenue

log = logging.getLogger(__name__)
_T = TypeVar("_T")

BATCH = 1000
"""Customers, or contacts, of one transaction: a fifth of a second, in which others wait for `linking.lock`."""
ROWS = 10
"""Rows of the queue of changed customers, each of which holds up to a page of them, for one look."""
FEW, FEW_ROWS = 10, 300
"""Customers, and rows that they and whoever are the same contacts have in all, whose statements are planned by index:
what a webhook tells of. With many more, what is compared each with each would take longer than planning.
"""
READ = (
    "stripe.charges", "stripe.credit_notes", "stripe.customers", "stripe.discounts", "stripe.disputes",
    "stripe.invoice_lines", "stripe.invoice_payments", "stripe.invoices", "stripe.prices", "stripe.products",
    "stripe.refunds", "stripe.subscription_items", "stripe.subscriptions", "tidegate.billing_events",
    "tidegate.contact_emails", "tidegate.contacts", "tidegate.grants", "tidegate.links", "tidegate.matched_by",
    "tidegate.movements", "tidegate.spans", "tidegate.versions",
)  # fmt: skip
"""Tables that a refresh reads and an import fills: until PostgreSQL has counted their rows, no plan is kept."""


@dataclass(slots=True)
class Refreshed:
    """What a refresh did: customers looked at, links made, grants written or dropped, events told; who waits for a
    person; spans, rows of movements and billing events written or dropped.
    """

    customers: int = 0
    contacts: int = 0
    linked: int = 0
    created: int = 0
    queued: int = 0
    grants: int = 0
    told: int = 0
    spans: int = 0
    movements: int = 0
    events: int = 0
    more: bool = field(default=False)

    def add(self, other: "Refreshed") -> None:
        """Adds what another batch did."""
        for name in _COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def as_json(self) -> dict[str, Any]:
        """The summary as a JSON object."""
        return {name: getattr(self, name) for name in _COUNTED}


_COUNTED = ("customers", "contacts", "linked", "created", "queued", "grants", "told", "spans", "movements", "events")


def refresh_changed(
    engine: Engine,
    account: Account,
    *,
    seconds: float = float("inf"),
    stop: threading.Event | None = None,
    giving_way: Callable[[], bool] = lambda: False,
) -> Refreshed:
    """Refreshes the customers that wait in the queue: until none does, for about so many seconds, or until
    `giving_way()`, asked before each batch, says that others go first.
    """
    done = Refreshed()
    end = time.monotonic() + seconds
    with engine.begin() as db:
        if accounts.hold(db, account.name):
            _note_naming(db, account.name)
            changed.note_known(db, account.name)
    while not (stop and stop.is_set()):
        if time.monotonic() >= end or giving_way():
            done.more = True
            break
        with engine.begin() as db:
            customers = _take(db, account)
            if customers is None:
                break
            linking.lock(db, patient=True)
            for by_rules in (False, True):
                with lifecycle_due.by_other_rules(db, are=by_rules):
                    for some in _batches([one for one, alone in customers.items() if alone == by_rules]):
                        done.add(refresh(db, account, some, engine))
    return done


def _take(db: Connection, account: Account) -> dict[str, bool] | None:
    """Who is next (`changed.take`), and what is told of them history where they wait since the first import; those that
    wait for something else as well are none of it. None: nobody waits.
    """
    if not accounts.hold(db, account.name):
        return None
    if changed.is_history(db, account.name):
        as_history(db)
        return changed.take_history(db, account.name, ROWS)
    return changed.take(db, account.name, ROWS) or None


def _note_naming(db: Connection, connection: str) -> None:
    """Queues the customers that name what changed of the objects that they have in common."""
    objects = changed.take_objects(db, connection)
    if not objects:
        return
    linking.lock(db, patient=True)  # who refreshes just now may have read them as they were, and has no spans yet
    naming = customers_naming(db, connection, objects)
    for at in range(0, len(naming), BATCH // ROWS):
        changed.note(db, connection, naming[at : at + BATCH // ROWS])


def refresh_all(
    engine: Engine,
    account: Account,
    *,
    progress: Callable[[int, int], None] | None = None,
    stop: threading.Event | None = None,
) -> Refreshed:
    """Refreshes every customer of a connection, oldest first, and then the contacts that have none.

    `progress(done, total)` is called after each batch of customers.
    """
    done = Refreshed()
    with engine.begin() as db:
        tell_unmapped(db, account.name)
        customers = list(db.scalars(_EVERY, {"connection": account.name}))
    for some in _batches(customers):
        if stop and stop.is_set():
            done.more = True
            return done
        with engine.begin() as db:
            if accounts.hold(db, account.name):
                linking.lock(db, patient=True)
                with _ready(db, account.name, some) as now:
                    done.add(_derive(db, account, some, now, engine))
        if progress is not None:
            progress(done.customers, len(customers))
    with engine.connect() as db:
        alone = list(db.scalars(_UNLINKED, {"livemode": account.livemode}))
    for some in _batches(alone):
        with engine.begin() as db:
            linking.lock(db, patient=True)
            done.add(refresh_contacts(db, some))
    return done


def refresh_due(engine: Engine, *, stop: threading.Event | None = None) -> int:
    """Tells what changed by itself since it was told last: an override that expired, grace that is over. Returns how
    many contacts were looked at, in batches, each its own transaction, until none is due.
    """
    looked, last = 0, 0
    while not (stop and stop.is_set()):
        with engine.begin() as db:
            linking.lock(db, patient=True)
            due = list(db.scalars(_DUE, {"limit": BATCH, "last": last}))
            if due:
                tell_changes(db, due, snapshot.load(db), _now(db))
                lifecycle_due.note(db, due)
        looked += len(due)
        if len(due) < BATCH:
            break
        last = due[-1]
    return looked


def refresh(db: Connection, account: Account, customers: Sequence[str], beside: Engine | None = None) -> Refreshed:
    """Refreshes these customers (Stripe ids) of a connection, and the contacts that they are or were. `beside`: where
    many may have a second connection from, in a transaction that has written nothing to the mirror.
    """
    with _ready(db, account.name, customers) as now:
        done = _derive(db, account, customers, now, beside)
        tell_unmapped(db, account.name, customers)
    return done


@contextmanager
def _ready(db: Connection, connection: str, customers: Sequence[str]) -> Generator[datetime]:
    """Holds `linking.lock`, and lets statements be planned for as many rows as these customers have. Gives `_now`."""
    linking.lock(db)
    with _garbage_waits(), ExitStack() as planning:
        if len(customers) > FEW:
            yield _now(db)
            return
        planning.enter_context(planned(db, BY_INDEX))
        whose = {"connection": connection, "customers": list(customers), "most": FEW_ROWS, "tables": list(READ)}
        [found] = rows(db, _FEW, whose)
        if not found.few:
            planning.close()
        yield found.now.astimezone(UTC)


@contextmanager
def _garbage_waits() -> Generator[None]:
    """Lets no garbage be collected until the end: a batch makes hundreds of thousands of objects and next to none that
    refer to each other, and looking for those again and again was a fifth of its time in Python.
    """
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()


def _derive(
    db: Connection, account: Account, customers: Sequence[str], now: datetime, beside: Engine | None
) -> Refreshed:
    with revenue.histories(db, account, customers, now, beside if len(customers) > FEW else None) as histories:
        matched = linking.link(db, account.name, account.livemode, customers)
        following.follow(db, sorted(matched.contacts))
        tell(db, matched.told)
        done = _refresh_changed(db, sorted(matched.contacts))
        done.spans, done.movements, done.events = revenue.keep(db, histories, sorted(matched.contacts))
        lifecycle_due.note(db, sorted(matched.contacts))
        note_contacts(db, sorted(matched.contacts))  # also where only a field changed that somebody chose
    done.customers = len(customers)
    done.linked = sum(1 for one in matched.told if one.type == "contact.linked")
    done.created = sum(1 for one in matched.told if one.type == "contact.created")
    done.queued = sum(1 for one in matched.outcomes.values() if isinstance(one, Queued))
    return done


def tell_unmapped(db: Connection, connection: str, customers: Sequence[str] | None = None) -> None:
    """Tells once of every price of a live subscription that nothing maps; of these customers, or of all."""
    unmapped = mappings.note_unmapped(db, connection, customers)
    tell(
        db,
        [Told("mapping.unmapped", {"price": row.price, "product": row.product}, None, connection) for row in unmapped],
    )


def refresh_contacts(db: Connection, contacts: Sequence[int], *, silent: bool = False) -> Refreshed:
    """Derives the grants of these contacts (internal keys), tells what their entitlements became, and makes revenue
    follow their links. `silent`: how their stage, segments and alerts become others is told to nobody.
    """
    done = Refreshed(contacts=len(contacts))
    if contacts:
        revenue.follow(db, contacts)
        lifecycle_due.note(db, contacts, history=silent)
        done.grants = derive_grants(db, contacts).rows
        done.told = tell_changes(db, contacts, snapshot.load(db), _now(db))
    return done


def _refresh_changed(db: Connection, contacts: Sequence[int]) -> Refreshed:
    """As `refresh_contacts`, where nothing but the mirror, the catalog and the time can have changed: what those leave
    as it was is not looked at again.
    """
    done = Refreshed(contacts=len(contacts))
    if contacts:
        derived = derive_grants(db, contacts)
        done.grants = derived.rows
        concerned = sorted({*derived.contacts, *untold(db, contacts)})
        if concerned:
            done.told = tell_changes(db, concerned, snapshot.load(db), _now(db))
    return done


def _now(db: Connection) -> datetime:
    """The database's time, UTC: one clock for all machines."""
    [(now,)] = rows(db, _NOW, {})
    return now.astimezone(UTC)


def _batches(values: Sequence[_T]) -> list[Sequence[_T]]:
    return [values[at : at + BATCH] for at in range(0, len(values), BATCH)]


_FEW = text(f"""
with these as materialized (
  select unnest(cast(:customers as text[])) as customer
  union
  select theirs.customer from tidegate.links mine
  join tidegate.links theirs on theirs.contact = mine.contact and theirs.connection = mine.connection
  where mine.connection = :connection and mine.customer = any(cast(:customers as text[])))
select count(*) <= :most and {SETTLED} as few, clock_timestamp() as now from (
  select from these
  union all
  select from these t join stripe.subscriptions s on s.connection = :connection and s.customer = t.customer
  union all
  select from these t join stripe.invoices i on i.connection = :connection and i.customer = t.customer
  union all
  select from these t join stripe.charges c on c.connection = :connection and c.customer = t.customer
  union all
  select from these t join tidegate.spans s on s.connection = :connection and s.customer = t.customer
  limit :most + 1) theirs""")

_NOW = text("select clock_timestamp()")

_EVERY = text("""
select id from stripe.customers where connection = :connection order by created nulls last, id""")

_UNLINKED = text("""
select key from tidegate.contacts c
where livemode = :livemode and merged_into is null
  and not exists (select from tidegate.links l where l.contact = c.key)
order by key""")

_DUE = text("""
select contact from tidegate.entitlements_told where changes_at <= clock_timestamp() and contact > :last
order by contact limit :limit""")
