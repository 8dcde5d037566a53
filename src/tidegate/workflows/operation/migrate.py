"""Brings a database to this program's schema: our revisions, then the tables that the resource registry asks for."""

from contextlib import suppress
from dataclasses import dataclass

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Engine
from sqlalchemy.exc import ProgrammingError

from tidegate.connections import runs
from tidegate.errors import ConfigurationError, ReaderRefused
from tidegate.mirror import refill, schema
from tidegate.store import engine as store_engine
from tidegate.store import migrate as revisions
from tidegate.store import queue_schema, reader
from tidegate.store.trouble import told
from tidegate.stripe_api.resources import RESOURCES
from tidegate.workflows.operation.read_store import HIDDEN


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

    Raises DatabaseUnreachable, DatabaseTooOld, TransactionPooling, SchemaTooNew, and ConfigurationError where the
    database's user may not make schemas.
    """
    store_engine.check(engine)
    store_engine.refuse_transaction_pooling(engine)
    try:
        with revisions.alone(engine) as connection:
            before = revisions.revision(connection)
            connection.rollback()
            revisions.upgrade(connection)
            queue_schema.reconcile(connection)
            schema.reconcile(connection)
            connection.commit()
    except ProgrammingError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        raise ConfigurationError(problem=_not_permitted(engine, told(error))) from error
    with suppress(ReaderRefused):  # who asks for it is told then, and so is `tidegate doctor`
        reader.prepare(engine, HIDDEN)
    return Migrated(before, revisions.HEAD, _fill(engine))


def _not_permitted(engine: Engine, problem: str) -> str:
    at = store_engine.shown(str(engine.url))
    grant = f'grant create on database "{engine.url.database}" to "{engine.url.username}"'
    return (
        f"The schema of the database at {at} cannot be changed: {problem}. The schemas tidegate and stripe must belong "
        f"to the user that DATABASE_URL names; to let it make them, run `{grant}` as the database's owner."
    )


def _fill(engine: Engine) -> dict[str, int]:
    """Fills new columns, unless another process does; what one that was killed left is begun again.

    Outside of the schema's lock: with millions of rows it takes longer than others should wait.
    """
    refilled: dict[str, int] = {}
    with runs.exclusive(engine, "", "refill") as alone:
        if not alone:
            return {}
        with engine.connect() as db:
            names = schema.unfilled(db)
        for name in names:
            refilled[name] = refill.refill(engine, name) if name in RESOURCES else 0
            with engine.begin() as db:
                schema.filled(db, name)
    return refilled
