"""Lets go of a Stripe account: forgets its keys, and with a purge all that was mirrored and derived of it."""

from collections.abc import Sequence
from contextlib import ExitStack

from sqlalchemy import Connection, Engine, text

from tidegate.connections import accounts, permissions, problems, runs
from tidegate.connections.accounts import Account
from tidegate.errors import ImportRunning
from tidegate.mirror import forgotten
from tidegate.mirror.tables import STRIPE_TABLES
from tidegate.outbound import forgetting
from tidegate.revenue import editions, kept, partitions
from tidegate.revenue.facts import keep_facts
from tidegate.security import audit_log

OWNED = (
    "problems",
    "versions",
    "unreadable",
    "refetches",
    "inbox",
    "comparisons",
    "runs",
    "permissions",
    "listings",
    "changed_customers",
    "changed_objects",
    "awaited",
    "forgotten",
    "links",
    "reviews",
    "matched_by",
    "contact_settings",
    "grants",
    "holdings",
    "kept_mappings",
    "mappings",
    "unmapped_prices",
    "ignored_prices",
    "outbox",
    "spans",
    "movements",
    "mrr_days",
    "price_days",
    "ledgers",
    "revenue_due",
    "missing_tax_rates",
    "exclusions",
    "closings",
    "closed_rows",
    "billing_events",
    "billing_tellings",
    "requests",
    "meter_forwards",
)
"""Tables of schema `tidegate` whose rows belong to a connection; what others refer to comes after them."""


def disconnect(engine: Engine, name: str, actor: str) -> Account:
    """Forgets the connection's keys and what was wrong with them, and keeps its data. Raises ConnectionUnknown.

    A platform takes its accounts along: they have no key but the platform's. One of them alone is left out of the
    fan-out from now on. `actor`: who does it, as the audit log says it.
    """
    with engine.begin() as db:
        account = accounts.named(db, name)
        gone = [name, *(one.name for one in accounts.connected_to(db, name))]
        accounts.forget_credentials(db, name)
        if account.platform:
            accounts.note(db, name, left_out=True)
        for one in gone:
            permissions.outdate(db, one)
            problems.clear(db, one, [*problems.OF_ACCESS, "permission_missing", "account_gone"])
        audit_log.record(db, actor, "connection.disconnected", name, account=account.account, accounts=gone[1:] or None)
        return accounts.named(db, name)


def concerned(engine: Engine, name: str) -> list[str]:
    """The connection and, of a platform, those of its accounts: whom `disconnect` and `purge` act on.

    Raises ConnectionUnknown.
    """
    with engine.connect() as db:
        return with_accounts(db, name)


def with_accounts(db: Connection, name: str) -> list[str]:
    """The same as `concerned`, in the caller's transaction."""
    return [accounts.named(db, name).name, *(one.name for one in accounts.connected_to(db, name))]


def count_for_purge(engine: Engine, name: str) -> dict[str, int]:
    """How many rows `purge` would delete, per table that has any. Raises ConnectionUnknown."""
    with engine.connect() as db:
        owners = _owners(db, with_accounts(db, name))
        counts = {
            table: int(db.scalar(text(f"select count(*) from {table} where {mine}"), owners) or 0)
            for table, mine in _owned().items()
        }
    return {table: count for table, count in counts.items() if count}


def purge(engine: Engine, name: str, actor: str) -> dict[str, int]:
    """Deletes a connection and everything of it, in one transaction; returns the rows deleted per table.

    Which customers were forgotten is kept, as ids of Stripe's, for when the account is connected again. A platform
    takes its accounts along. Whoever handles their events at the moment ends first and finds nothing afterwards.
    `actor`: who does it, as the audit log says it, which stays.

    Raises ConnectionUnknown, and ImportRunning or SyncRunning while one is imported, swept or caught up, or synced to:
    stop that first.
    """
    with engine.connect() as locking, ExitStack() as held, engine.begin() as db:
        lock = text("select from tidegate.connections where name = any(:names) for update")
        db.execute(lock, {"names": [name]})  # from here on a platform gets no further account
        account, names = accounts.named(db, name).account, with_accounts(db, name)
        for one in names:
            if not held.enter_context(runs.alone(locking, one, "import", "sweep", "catch_up")):
                raise ImportRunning(connection=one)
            forgetting.refuse_while_running(db, one)
        db.execute(lock, {"names": names})
        owners = _owners(db, names)
        forgotten.outlast(db, names)
        linked = list(db.scalars(_LINKED, {"names": names}))
        ledgers = [(name, one["edition"]) for name in names for one in editions.every(db, name)]
        counts = {
            table: db.execute(text(f"delete from {table} where {mine}"), owners).rowcount
            for table, mine in _owned().items()
        }
        keep_facts(db, linked)
        db.execute(text("delete from tidegate.connections where name = any(:names)"), {"names": names})
        kept.drop(db)
        told = {"account": account, "rows": sum(counts.values()), "accounts": names[1:] or None}
        audit_log.record(db, actor, "connection.purged", name, **told)
        for one, edition in ledgers:
            partitions.drop(db, one, edition)  # last: reports wait for it
    return {table: count for table, count in counts.items() if count}


_LINKED = text("""
select distinct contact from tidegate.links where connection = any(:names) and contact is not null""")


def _owners(db: Connection, names: Sequence[str]) -> dict[str, list[str]]:
    """What the rows of these connections are found by: their names, and the rate budgets that no other one uses."""
    every = accounts.every(db)
    shared = {one.budget for one in every if one.name not in names}
    budgets = {one.budget for one in every if one.name in names} - shared
    return {"names": list(names), "budgets": sorted(budgets)}


def _owned() -> dict[str, str]:
    """Every table with rows of some connections, and the condition that finds them."""
    mirrored = [f"stripe.{table.name}" for table in STRIPE_TABLES.values()]
    syncs = "select key from tidegate.syncs where connection = any(:names)"
    told = "outbox in (select id from tidegate.outbox where connection = any(:names))"
    due = {"tidegate.deliveries": told, "tidegate.destination_seconds": told}  # before what is found by them
    return (
        due
        | dict.fromkeys([*mirrored, *(f"tidegate.{table}" for table in OWNED)], "connection = any(:names)")
        | {
            "tidegate.runs": f"connection = any(:names) or connection in (select 'sync:' || key from ({syncs}) s)",
            "tidegate.rate_budget": "connection = any(:budgets)",
            # A job that a worker has taken up is the worker's to end.
            "tidegate.procrastinate_jobs": "args ->> 'connection' = any(:names) and status <> 'doing'",
            "tidegate.sync_rows": f"sync in ({syncs})",
            "tidegate.sync_associations": f"sync in ({syncs})",
            "tidegate.sync_plans": f"sync in ({syncs})",
            "tidegate.syncs": "connection = any(:names)",  # after what is found by it
        }
    )
