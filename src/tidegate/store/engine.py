"""Connections to PostgreSQL: one engine per process, checked, with time-outs and a fixed search path."""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from tidegate.errors import ConfigurationError, DatabaseTooOld, DatabaseUnreachable, TransactionPooling
from tidegate.store.bulk import STAGED
from tidegate.store.planning import BY_INDEX

OLDEST_POSTGRESQL = 15
SESSION = """
set search_path = tidegate; set timezone = 'UTC'; set lock_timeout = '5s';
set idle_in_transaction_session_timeout = '60s';
set plan_cache_mode = force_custom_plan; set jit = off;
select set_config(name, 'lz4', false) from pg_settings
where name = 'default_toast_compression' and 'lz4' = any(enumvals)"""
"""What every connection begins with. A plan kept from when a table was empty scans it whole after an import filled
it. Compiling a statement costs a tenth of a second and more, many times what those of a refresh take. Bodies are
compressed by LZ4 where the server has it, at a fraction of the time that PostgreSQL's own way takes.
"""

KEPT_ALIVE: dict[str, int] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""Seconds (the last in milliseconds) until a connection whose other end vanished without a word counts as lost, instead
of the quarter of an hour that the system would wait (postgresql.org/docs/current/libpq-connect.html).
"""


POINT_QUERIES = "; ".join(f"set {name} = {to}" for name, to in (*BY_INDEX.items(), ("statement_timeout", "'10s'")))
"""For connections that only look up and write single rows, thousands of times a second."""


def open_engine(url: str, *, pool_size: int = 8, application: str = "tidegate", point_queries: bool = False) -> Engine:
    """An engine for `postgresql://…`; nothing is connected yet. At most `pool_size` connections are ever open.

    Raises ConfigurationError when the URL is not one of PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except Exception as error:
        raise ConfigurationError(
            problem="DATABASE_URL is not a database URL. Write it like postgresql://user:password@host:5432/database."
        ) from error
    if "@" in (parsed.host or ""):  # the rest of a password, which no error may show
        raise ConfigurationError(
            problem="DATABASE_URL has an @ too many: write one that belongs to the password as %40. (Other signs that "
            "mean something in a URL are written so as well: / as %2F, : as %3A, % as %25.)"
        )
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise ConfigurationError(
            problem=f"DATABASE_URL names {parsed.get_backend_name()!r}; only postgresql://… is supported."
        )
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=60,
        hide_parameters=True,  # they are customers' data, and errors are stored and shown
        connect_args={"application_name": application, **KEPT_ALIVE},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.execute(SESSION)
        if point_queries:
            connection.execute(POINT_QUERIES)
        connection.commit()

    @event.listens_for(engine, "rollback")
    @event.listens_for(engine, "rollback_savepoint")
    def forget_what_was_staged(connection: Connection, *_savepoint: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        if not connection.invalidated:
            connection.info.pop(STAGED, None)

    return engine


def shown(url: str) -> str:
    """A database URL without its password, for messages; of what is none nothing, for it may be all password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        return "(no database URL)"
    if "@" in (parsed.host or ""):
        return "(no database URL)"
    told = {name: "hidden" if "password" in name else value for name, value in parsed.query.items()}
    return parsed.set(drivername="postgresql", query=told).render_as_string(hide_password=True)


def check(engine: Engine) -> int:
    """The server's major version.

    Raises DatabaseUnreachable, or DatabaseTooOld below 15.
    """
    try:
        with engine.connect() as connection:
            version = int(connection.scalar(text("show server_version_num"))) // 10_000  # pyright: ignore[reportArgumentType]
    except OperationalError as error:
        raise unreachable(engine, error) from error
    if version < OLDEST_POSTGRESQL:
        raise DatabaseTooOld(version=version)
    return version


def unreachable(engine: Engine, error: OperationalError) -> DatabaseUnreachable:
    """The error for a lost or refused connection, without the password."""
    return DatabaseUnreachable(url=shown(str(engine.url)), problem=str(error.orig).strip().splitlines()[0])


def refuse_transaction_pooling(engine: Engine) -> None:
    """Raises TransactionPooling when two transactions of one connection can land on different server processes.

    One connection notes its server process, a second one then holds a transaction (a pooler gives it the process that
    was just released), and the first asks again.
    """
    with engine.connect() as first, engine.connect() as second:
        before = first.scalar(text("select pg_backend_pid()"))
        first.commit()
        second.scalar(text("select pg_backend_pid()"))
        after = first.scalar(text("select pg_backend_pid()"))
    if before != after:
        raise TransactionPooling(url=shown(str(engine.url)))
