"""The role that reads the store and writes nothing: what it may see, and log-ins with its rights for one query each.

A log-in of its own, and no `set role`: whoever has set a role can set it back from within a query (`set_config`).
"""

import secrets
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from tidegate.errors import ReaderRefused
from tidegate.store.engine import open_engine

ROLE = "tidegate_reader"
"""Cluster-wide, as all roles are: databases of several installations share it, each with its own grants."""
LOGINS = "tidegate_sql_"
SPARE_SECONDS = 300
"""How much longer a log-in may be used than its query may take: until it has begun."""
LEFT_BEHIND = "1 hour"
"""A log-in that ran out so long ago was left by a process that was killed."""

Hidden = Mapping[str, Sequence[str]]
"""Columns of tables in schema `tidegate` that nobody reads, by table."""

# Every column whose right to be read differs from what it should be. Views in schema `tidegate` are none of ours, and
# read with their maker's rights.
_WRONG = text("""
select distinct n.nspname as schema, c.relname as name from pg_class c
join pg_namespace n on n.oid = c.relnamespace and n.nspname in ('stripe', 'tidegate')
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where (c.relkind in ('r', 'p') or c.relkind = 'v' and n.nspname = 'stripe')
  and has_column_privilege(:role, c.oid, a.attnum, 'select')
  = (n.nspname = 'tidegate' and c.relname || '.' || a.attname = any(:hidden))
order by 1, 2""")
_IS_THERE = text("select exists (select from pg_roles where rolname = :role)")


def is_ready(db: Connection, hidden: Hidden) -> bool:
    """Whether the role is there and reads what it should, and nothing else."""
    if not db.scalar(_IS_THERE, {"role": ROLE}):
        return False
    usable = (
        "select has_schema_privilege(:role, 'stripe', 'usage') and has_schema_privilege(:role, 'tidegate', 'usage')"
    )
    return bool(db.scalar(text(usable), {"role": ROLE})) and not _wrong(db, hidden)


def _wrong(db: Connection, hidden: Hidden) -> list[tuple[str, str]]:
    names = [f"{table}.{column}" for table, columns in hidden.items() for column in columns]
    return [(row.schema, row.name) for row in db.execute(_WRONG, {"role": ROLE, "hidden": names})]


def prepare(engine: Engine, hidden: Hidden) -> None:
    """Makes the role, and lets it read both schemas but for the hidden columns; nothing is done where all is so.

    Raises ReaderRefused when this database account may not.
    """
    try:
        with engine.begin() as db:
            if is_ready(db, hidden):
                return
            # Two that grant on one table at once would fail with "tuple concurrently updated".
            db.execute(text("select pg_advisory_xact_lock(hashtextextended(:role, 0))"), {"role": ROLE})
            if not db.scalar(_IS_THERE, {"role": ROLE}):
                with _unless_it_exists(), db.begin_nested():  # another database's installation made it
                    _run(db, sql.SQL("create role {} nologin").format(sql.Identifier(ROLE)))
            for statement in (
                "grant usage on schema stripe, tidegate to {}",
                "alter default privileges in schema stripe grant select on tables to {}",
            ):
                _run(db, sql.SQL(cast(LiteralString, statement)).format(sql.Identifier(ROLE)))
            _run(db, sql.SQL("grant connect on database {} to {}").format(_database(db), sql.Identifier(ROLE)))
            for schema, name in _wrong(db, hidden):
                _grant(db, schema, name, hidden.get(name, ()) if schema == "tidegate" else ())
            if wrong := _wrong(db, hidden):  # PostgreSQL only warns of what it cannot grant
                named = ", ".join(f"{schema}.{name}" for schema, name in wrong)
                raise ReaderRefused(problem=f"the rights on {named} are not this account's to give.")
    except DBAPIError as error:
        raise _refused(error) from error


@contextmanager
def _unless_it_exists() -> Generator[None]:
    try:
        yield
    except DBAPIError as error:
        if not isinstance(error.orig, psycopg.errors.DuplicateObject | psycopg.errors.UniqueViolation):
            raise


def _grant(db: Connection, schema: str, name: str, hidden: Sequence[str]) -> None:
    table, role = sql.Identifier(schema, name), sql.Identifier(ROLE)
    _run(db, sql.SQL("revoke all on {} from {}").format(table, role))
    columns = db.scalars(
        text("""
select attname from pg_attribute where attrelid = cast(:table as regclass) and attnum > 0 and not attisdropped
and attname <> all(:hidden) order by attnum"""),
        {"table": f'"{schema}"."{name}"', "hidden": list(hidden)},
    ).all()
    named = sql.SQL(", ").join(map(sql.Identifier, columns))
    what = sql.SQL("select ({})").format(named) if hidden else sql.SQL("select")
    _run(db, sql.SQL("grant {} on {} to {}").format(what, table, role))


@contextmanager
def login(engine: Engine, seconds: int) -> Generator[Engine]:
    """An engine that is logged in with the role's rights; its log-in ends with the block, else by itself.

    `seconds`: how long its one query may take. Raises ReaderRefused when no log-in can be made, or none gets in.
    """
    name, password = f"{LOGINS}{secrets.token_hex(8)}", secrets.token_urlsafe(32)
    try:
        with engine.begin() as db:
            _forget_left_behind(db)
            until = db.scalar(text("select now() + make_interval(secs => :s)"), {"s": seconds + SPARE_SECONDS})
            driver = cast("psycopg.Connection[Any]", db.connection.driver_connection)
            sealed = driver.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
            made = sql.SQL("create role {} login password {} valid until {} in role {}").format(
                sql.Identifier(name), sql.Literal(sealed), sql.Literal(until.isoformat()), sql.Identifier(ROLE)
            )
            _run(db, made)
    except DBAPIError as error:
        raise _refused(error) from error
    url = engine.url.set(username=name, password=password).render_as_string(hide_password=False)
    reading = open_engine(url, pool_size=1, application="tidegate sql")
    try:
        try:
            reading.connect().close()
        except DBAPIError as error:
            raise _refused(error) from error
        yield reading
    finally:
        reading.dispose()
        # A database that is away, or a process that is being ended: the log-in runs out by itself.
        with suppress(DBAPIError), engine.begin() as db:
            _run(db, sql.SQL("drop role if exists {}").format(sql.Identifier(name)))


def _forget_left_behind(db: Connection) -> None:
    old = db.scalars(
        text(f"""
select rolname from pg_roles where starts_with(rolname, :logins) and rolvaliduntil < now() - interval '{LEFT_BEHIND}'
and pg_has_role(current_user, (select oid from pg_roles where rolname = :role), 'member')"""),
        {"logins": LOGINS, "role": ROLE},
    ).all()
    for name in old:
        with suppress(DBAPIError), db.begin_nested():  # another installation's, or just dropped by another process
            _run(db, sql.SQL("drop role if exists {}").format(sql.Identifier(name)))


def _database(db: Connection) -> sql.Identifier:
    return sql.Identifier(str(db.scalar(text("select current_database()"))))


def _run(db: Connection, statement: sql.Composed) -> None:
    db.exec_driver_sql(statement.as_string())


def _refused(error: DBAPIError) -> ReaderRefused:
    return ReaderRefused(problem=f"{str(error.orig).strip().splitlines()[0].rstrip('.')}.")
