"""Brings the database schema to this program's revision, once, whoever comes first."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from packaging.version import Version
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from tidegate import __version__
from tidegate.errors import DatabaseUnreachable, MigrationNeeded, SchemaTooNew
from tidegate.store.engine import shown

HEAD = "0011"
"""The newest revision under migrations/versions (a test holds them equal, so that Alembic need not be imported to
know).
"""

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 0x7469_6465  # one advisory lock for every schema change
WAIT_SECONDS = 600


def revision(connection: Connection) -> str:
    """The revision the database is at; empty for a database without our schema."""
    try:
        with connection.begin_nested():
            return connection.scalar(text("select version_num from tidegate.alembic_version")) or ""
    except ProgrammingError:
        return ""


def is_current(engine: Engine) -> bool:
    """Whether the database is at this program's revision.

    A newer database counts when its schema says that code as old as this may still run on it, so that deploys roll.
    Raises SchemaTooNew when it says otherwise.
    """
    with engine.connect() as connection:
        found = revision(connection)
        if found <= HEAD:
            return found == HEAD
        oldest_code = fact(connection, "oldest_code")
        if Version(oldest_code) > Version(__version__.split("+")[0]):
            raise SchemaTooNew(oldest_code=oldest_code, version=__version__)
        return True


def require_current(engine: Engine) -> None:
    """Raises MigrationNeeded when the schema is behind this program."""
    if not is_current(engine):
        with engine.connect() as connection:
            raise MigrationNeeded(found=revision(connection) or "nothing", wanted=HEAD)


def fact(connection: Connection, name: str) -> str:
    """What the schema says of itself under `name`; empty when it says nothing."""
    return connection.scalar(text("select value from tidegate.schema_facts where name = :name"), {"name": name}) or ""


def set_fact(connection: Connection, name: str, value: str) -> None:
    """Lets the schema say `value` under `name`."""
    connection.execute(
        text(
            "insert into tidegate.schema_facts (name, value) values (:name, :value) "
            "on conflict (name) do update set value = excluded.value"
        ),
        {"name": name, "value": value},
    )


@contextmanager
def alone(engine: Engine, *, wait: Callable[[float], None] = time.sleep) -> Generator[Connection]:
    """A connection that holds the schema lock.

    The lock is polled: a waiter blocked in `pg_advisory_lock` holds a snapshot, on which CREATE INDEX CONCURRENTLY of
    the holder would wait for ever. Raises DatabaseUnreachable after ten minutes.
    """
    with engine.connect() as connection:
        for _ in range(WAIT_SECONDS * 10):
            if connection.scalar(text("select pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
                break
            connection.commit()
            wait(0.1)
        else:
            raise DatabaseUnreachable(
                url=shown(str(engine.url)), problem="another process has been changing the schema for ten minutes"
            )
        connection.commit()
        try:
            yield connection
        finally:
            connection.rollback()
            connection.execute(text("select pg_advisory_unlock(:lock)"), {"lock": LOCK})
            connection.commit()


def upgrade(connection: Connection, to: str = "head") -> None:
    """Runs the revisions that are missing, up to `to`. The caller holds the schema lock (`alone`)."""
    if revision(connection) >= HEAD:
        connection.rollback()
        return
    connection.rollback()
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
    connection.commit()
