"""Makes schema `stripe` fit the resource registry: a resource or a column more is a row there, not a migration."""

import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection, Engine, Table, inspect, text
from sqlalchemy.schema import CreateColumn

from tidegate.mirror.tables import STRIPE_TABLES, stripe_metadata
from tidegate.store import migrate
from tidegate.stripe_api.resources import RESOURCES

FACT = "mirror_registry"
UNFILLED = "mirror_unfilled"
"""The fact that names the resources, by commas, whose columns are still to be filled."""
READING = "mirror_reading "
"""With a resource's name: the fact that tells by which reading its columns were filled (`Resource.reading`)."""


def fingerprint() -> str:
    """A digest of the tables and columns that the registry asks for, and of how they are read."""
    shape = [
        f"{table.name}:" + ",".join(f"{c.name} {c.type!r}" for c in table.columns) + ":" + ",".join(_index_names(table))
        for table in stripe_metadata.sorted_tables
    ]
    shape += [f"{name} {resource.reading}" for name, resource in RESOURCES.items()]
    return hashlib.sha256("\n".join(shape).encode()).hexdigest()


def _index_names(table: Table) -> Iterable[str]:
    return sorted(str(index.name) for index in table.indexes)


def is_current(engine: Engine) -> bool:
    """Whether schema `stripe` fits the registry of this program, and its new columns are filled."""
    with engine.connect() as connection:
        return migrate.fact(connection, FACT) == fingerprint() and not unfilled(connection)


def unfilled(connection: Connection) -> list[str]:
    """The resources whose columns came into being and were not filled to the end, whoever began it."""
    return [name for name in migrate.fact(connection, UNFILLED).split(",") if name]


def filled(connection: Connection, resource: str) -> None:
    """Notes that a resource's new columns are filled."""
    left = [name for name in unfilled(connection) if name != resource]
    migrate.set_fact(connection, UNFILLED, ",".join(left))


def reconcile(connection: Connection) -> None:
    """Creates the tables, columns and indexes that are missing, and notes whose columns need filling: where one is new,
    or is read differently now.

    Nothing is ever dropped: older code may still run. The caller holds the schema lock and commits.
    """
    found = inspect(connection)
    existing = set(found.get_table_names(schema="stripe"))
    stripe_metadata.create_all(connection)
    widened: list[str] = []
    for name, table in STRIPE_TABLES.items():
        if table.name not in existing:
            _settings(connection, table)
            continue
        have = {column["name"] for column in found.get_columns(table.name, schema="stripe")}
        missing = [column for column in table.columns if column.name not in have]
        for column in missing:
            definition = CreateColumn(column).compile(dialect=connection.dialect)
            connection.execute(text(f"alter table stripe.{table.name} add column if not exists {definition}"))
        for index in table.indexes:
            index.create(connection, checkfirst=True)
        if missing or migrate.fact(connection, READING + name) not in {"", str(RESOURCES[name].reading)}:
            widened.append(name)
    migrate.set_fact(connection, UNFILLED, ",".join(sorted({*unfilled(connection), *widened})))
    for name, resource in RESOURCES.items():
        migrate.set_fact(connection, READING + name, str(resource.reading))
    migrate.set_fact(connection, FACT, fingerprint())


def _settings(connection: Connection, table: Table) -> None:
    """Compresses big bodies with lz4 where the server has it, else not at all.

    PostgreSQL's own pglz costs an import about a quarter of the server's CPU and saves about half of the disk; the
    embedded server is built without lz4.
    """
    lz4 = connection.scalar(
        text("select 'lz4' = any(enumvals) from pg_settings where name = 'default_toast_compression'")
    )
    how = "compression lz4" if lz4 else "storage external"
    connection.execute(text(f"alter table stripe.{table.name} alter column data set {how}"))
