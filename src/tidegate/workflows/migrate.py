"""Brings a database to this program's schema: our revisions, then the tables that the resource registry asks for."""

from dataclasses import dataclass

from sqlalchemy import Engine

from tidegate.mirror import refill, schema
from tidegate.store import engine as store_engine
from tidegate.store import migrate as revisions
from tidegate.store import queue_schema


@dataclass(frozen=True, slots=True)
class Migrated:
    """What was done: the revisions before and after, and the rows whose new columns were filled, per resource."""

    before: str
    after: str
    refilled: dict[str, int]


def is_current(engine: Engine) -> bool:
    """Whether nothing is to be done."""
    return revisions.is_current(engine) and queue_schema.is_current(engine) and schema.is_current(engine)


def migrate(engine: Engine) -> Migrated:
    """Changes the schema where it is behind; safe to run by several processes at once.

    Raises DatabaseUnreachable, DatabaseTooOld, TransactionPooling, SchemaTooNew.
    """
    store_engine.check(engine)
    store_engine.refuse_transaction_pooling(engine)
    with revisions.alone(engine) as connection:
        before = revisions.revision(connection)
        connection.rollback()
        revisions.upgrade(connection)
        queue_schema.reconcile(connection)
        widened = schema.reconcile(connection)
        connection.commit()
    refilled = {name: refill.refill(engine, name) for name in widened}
    return Migrated(before, revisions.HEAD, refilled)
