"""Customers that count for nothing in revenue (tests, staff, fraud), each with the reason: no movement is theirs, and
no billing event.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.catalog import journal
from tidegate.connections.accounts import Account
from tidegate.contacts import linking
from tidegate.errors import CustomerUnknown, ExclusionInvalid
from tidegate.lifecycle import due
from tidegate.revenue import editions, movements, price_days
from tidegate.revenue.events import keep_events
from tidegate.revenue.facts import keep_facts


def exclude(engine: Engine, account: Account, customer: str, reason: str, by: str) -> dict[str, Any]:
    """Leaves a customer (Stripe id) out of revenue, its past included; said again, the reason is the new one.

    Its billing events of money, and those that others have heard of, are reversed. Returns {connection, customer,
    reason, movements, events}: how many rows of either changed. Raises CustomerUnknown, and ExclusionInvalid for
    a reason that says nothing.
    """
    reason = reason.strip()
    if not reason:
        raise ExclusionInvalid(problem="Say why the customer is left out: a test, staff, fraud, ….")
    values = {"connection": account.name, "customer": customer, "reason": reason, "by": by}
    with engine.begin() as db:
        linking.lock(db)
        if not db.scalar(_KNOWN, values):
            raise CustomerUnknown(connection=account.name, customer=customer)
        counted = db.execute(_EXCLUDE, values).scalar_one()
        rows = _derive(db, account.name, customer, -1 if counted else 0)
        journal.note(db, by, "revenue.exclude", customer, connection=account.name, reason=reason)
    return {"connection": account.name, "customer": customer, "reason": reason, **rows}


def include(engine: Engine, account: Account, customer: str, by: str) -> dict[str, Any]:
    """Counts a customer again, its past included; answers as `exclude` does.

    Raises ExclusionInvalid for one that was not left out.
    """
    with engine.begin() as db:
        linking.lock(db)
        if not db.execute(_INCLUDE, {"connection": account.name, "customer": customer}).rowcount:
            raise ExclusionInvalid(problem=f"{customer} counts already: {account.name} does not leave it out.")
        rows = _derive(db, account.name, customer, 1)
        journal.note(db, by, "revenue.include", customer, connection=account.name)
    return {"connection": account.name, "customer": customer, "reason": None, **rows}


def excluded(engine: Engine, account: Account) -> list[dict[str, Any]]:
    """Who is left out: [{customer, reason, by, at}]."""
    with engine.connect() as db:
        return [dict(row) for row in db.execute(_EVERY, {"connection": account.name}).mappings()]


def forget_reasons(db: Connection, connection: str, customers: Sequence[str]) -> Counter[str]:
    """Erases why these customers (Stripe ids) are or were left out, which they stay; returns how many rows changed, by
    table. In the caller's transaction.
    """
    exclusions = db.execute(_FORGET, {"connection": connection, "customers": list(customers)}).rowcount
    changes = journal.forget_reasons(db, connection, customers)
    return Counter({"tidegate.exclusions": exclusions, "tidegate.catalog_changes": changes})


def _derive(db: Connection, connection: str, customer: str, sign: int) -> dict[str, int]:
    """`sign`: its spans count from now on (1), no longer (-1), or as before (0)."""
    ledger = editions.begin(db, connection)
    if sign:
        price_days.add_customer(db, ledger, customer, sign)
    moved = movements.keep_movements(db, ledger, [customer])
    contacts = list(db.scalars(_CONTACT, {"connection": connection, "customer": customer}))
    keep_facts(db, contacts)
    with due.by_other_rules(db):
        due.note(db, contacts)
    events = keep_events(db, ledger, [customer], int(db.execute(_NOW).scalar_one()))
    return {"movements": moved.added + moved.superseded, "events": sum(events)}


_NOW = text("select extract(epoch from clock_timestamp())::bigint")

_KNOWN = text("select exists (select from stripe.customers where connection = :connection and id = :customer)")

_EXCLUDE = text("""
insert into tidegate.exclusions (connection, customer, reason, by) values (:connection, :customer, :reason, :by)
on conflict (connection, customer) do update set reason = excluded.reason, by = excluded.by, at = now()
returning xmax = 0""")

_INCLUDE = text("delete from tidegate.exclusions where connection = :connection and customer = :customer")

_FORGET = text("""
update tidegate.exclusions set reason = ''
where connection = :connection and customer = any(cast(:customers as text[])) and reason <> ''""")

_EVERY = text("""
select customer, reason, by, at from tidegate.exclusions where connection = :connection order by at, customer""")

_CONTACT = text("""
select contact from tidegate.links
where connection = :connection and customer = :customer and contact is not null""")
