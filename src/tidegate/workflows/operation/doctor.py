"""Examines an installation: settings, disk, database, keys; says of each what is wrong and how to mend it."""

import os
import platform
import stat
import time
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Engine, text

from tidegate import __version__
from tidegate.connections import accounts
from tidegate.errors import ConfigurationError, ReaderRefused, SecretKeyLost, TidegateError
from tidegate.secrets import KEY_FILE, Vault, open_vault
from tidegate.settings import Settings, variable
from tidegate.store import migrate as revisions
from tidegate.store import reader
from tidegate.workflows.operation.capacity import DISK_GONE, DISK_LOW, free_bytes, workers_alive
from tidegate.workflows.operation.read_store import HIDDEN

WEB_CONNECTIONS = 16
WORKER_EXTRA_CONNECTIONS = 6
"""What a web process and, beside its concurrency, a worker hold at most (docs/architecture.md, Processes)."""

CLOCKS_APART = 5.0
"""Seconds between this machine's clock and the database's worth a warning: signatures are judged by the former."""

State = Literal["ok", "warning", "wrong"]


class Finding(NamedTuple):
    """What one examination found; `remedy` is empty when all is well."""

    check: str
    state: State
    detail: str
    remedy: str = ""


def installation(config: Settings) -> list[Finding]:
    """What can be told without the database: program, settings, home, secret key, disk."""
    return [_program(), _stripe(), *_settings(config), _secret_key(config), _disk(config)]


def database(engine: Engine, config: Settings) -> list[Finding]:
    """What a database with the current schema tells: version, connections, compression, clock, workers.

    Raises the errors of the database.
    """
    with engine.connect() as db:
        before = time.time()
        now = float(db.scalar(text("select extract(epoch from clock_timestamp())")) or 0)
        apart = now - (before + time.time()) / 2
        schema = Finding("schema", "ok", f"at revision {revisions.revision(db)}")
        server = [_server(db, config), schema, _connections(db, config), _lz4(db, config), _clock(apart)]
        findings = [*server, _workers(db)]
    return [*findings, *reading(engine)]


def keys(engine: Engine, config: Settings) -> list[Finding]:
    """Whether the credential of every connection can be decrypted; to look makes no key. Raises the errors of the
    database.
    """
    given, path = config.secret_key.get_secret_value(), config.home / KEY_FILE
    with engine.connect() as db:
        names = [account.name for account in accounts.every(db, connected=True)]
        if not names:
            return [Finding("keys", "ok", "no account is connected")]
        if not given and not path.exists():
            detail = f"{path} is not there, and what is stored for {', '.join(names)} opens with that key alone"
            return [Finding("keys", "wrong", detail, _KEY_LOST)]
        try:
            vault = open_vault(given, config.home)
        except ConfigurationError as error:
            return [failed("keys", error)]
        return _keys(db, vault)


def failed(check: str, error: TidegateError) -> Finding:
    """An examination that an error ended; the error's own words say what to do."""
    return Finding(check, "wrong", str(error), "Mend this, then run `tidegate doctor` again.")


def _program() -> Finding:
    return Finding(
        "program", "ok", f"Tidegate {__version__} on Python {platform.python_version()}, {platform.system()}"
    )


def _stripe() -> Finding:
    import stripe

    return Finding("stripe", "ok", f"API version {stripe.api_version} is asked for; SDK {stripe.VERSION}")


def _settings(config: Settings) -> list[Finding]:
    """Every setting that is not at its default; secrets stay hidden."""
    given = {
        variable(name): getattr(config, name) for name in type(config).model_fields if name in config.model_fields_set
    }
    shown = [f"{name}={_shown(name, value)}" for name, value in given.items()]
    return [Finding("settings", "ok", ", ".join(shown) or "all at their defaults")]


def _shown(name: str, value: Any) -> str:
    from tidegate.store.engine import shown

    return shown(value) if name == "DATABASE_URL" and value else str(value)


def _secret_key(config: Settings) -> Finding:
    """Where the key is, and whether others may read it."""
    path = config.home / KEY_FILE
    if given := config.secret_key.get_secret_value():
        try:
            open_vault(given, config.home)
        except ConfigurationError as error:
            return failed("secret key", error)
        return Finding("secret key", "ok", "from TIDEGATE_SECRET_KEY")
    if not path.exists():
        return Finding("secret key", "ok", f"{path} is made when the first credential is stored")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Finding("secret key", "wrong", f"{path} can be read by others (mode {mode:o})", f"chmod 600 {path}")
    if not os.access(path, os.R_OK):
        return Finding(
            "secret key", "wrong", f"{path} cannot be read by this account", "Run as the account that owns it."
        )
    return Finding("secret key", "ok", f"{path}, readable by its owner only")


def _disk(config: Settings) -> Finding:
    place, free = free_bytes(config.home)
    detail = f"{free / 1e9:.1f} GB free under {place}"
    if not config.embedded:
        detail += "; how much the database's own disk has cannot be told from here"
    state: State = "wrong" if free < DISK_GONE else "warning" if free < DISK_LOW else "ok"
    remedy = (
        "" if state == "ok" else "Make room, or set TIDEGATE_HOME to a larger file system and move the folder there."
    )
    return Finding("disk", state, detail, remedy)


def _server(db: Connection, config: Settings) -> Finding:
    version = db.scalar(text("show server_version"))
    kind = f"embedded, under {config.home}" if config.embedded else "from DATABASE_URL"
    return Finding("database", "ok", f"PostgreSQL {version}, {kind}")


def _connections(db: Connection, config: Settings) -> Finding:
    """What one web process and one worker need, against what the server has and others hold."""
    most, reserved, used = db.execute(
        text("""
select current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int,
  (select count(*) from pg_stat_activity
   where backend_type = 'client backend' and application_name not like 'tidegate%')""")
    ).one()
    worker = config.worker_concurrency + WORKER_EXTRA_CONNECTIONS
    needed, free = worker + WEB_CONNECTIONS, most - reserved - used
    more = max(0, (free - needed) // worker)
    detail = (
        f"a web process needs {WEB_CONNECTIONS}, a worker {worker}: {needed} of {free} that are left "
        f"(max_connections {most}, {used} used by others); room for {more} more workers"
    )
    if needed > free:
        return Finding("connections", "wrong", detail, "Raise max_connections, or lower TIDEGATE_WORKER_CONCURRENCY.")
    return Finding("connections", "ok", detail)


def _lz4(db: Connection, config: Settings) -> Finding:
    known = db.scalar(text("select 'lz4' = any(enumvals) from pg_settings where name = 'default_toast_compression'"))
    if known:
        return Finding("lz4", "ok", "bodies are compressed with lz4")
    if config.embedded:
        return Finding("lz4", "ok", "the embedded PostgreSQL has none, so bodies are compressed with pglz")
    detail = "this server was built without lz4, so bodies are compressed with pglz, which is slower"
    return Finding("lz4", "warning", detail, "Use a server built with lz4, as distributions' packages are.")


def _clock(apart: float) -> Finding:
    if abs(apart) < CLOCKS_APART:
        return Finding("clock", "ok", "this machine and the database agree")
    detail = f"the database's clock is {apart:+.0f} s from this machine's"
    return Finding("clock", "warning", detail, "Let both keep time by NTP: webhook signatures are judged by the clock.")


def reading(engine: Engine) -> list[Finding]:
    """Whether `tidegate sql` gets a log-in of the role that only reads; it is tried, for rights alone do not tell."""
    try:
        reader.prepare(engine, HIDDEN)
        with reader.login(engine, 1):
            return [Finding("reader", "ok", f"`tidegate sql` asks with the rights of the role {reader.ROLE}")]
    except ReaderRefused as refused:
        detail = f"`tidegate sql` asks as this account, read-only and without the tables that hold secrets. {refused}"
        remedy = "Let an administrator give this account the right: alter role … createrole."
        return [Finding("reader", "warning", detail, remedy)]


def _workers(db: Connection) -> Finding:
    if alive := workers_alive(db):
        return Finding("workers", "ok", f"{alive} at work")
    return Finding(
        "workers", "warning", "none is at work", "Start one: `tidegate serve` brings its own, else `tidegate worker`."
    )


def _keys(db: Connection, vault: Vault) -> list[Finding]:
    findings: list[Finding] = []
    for account in accounts.every(db, connected=True):
        check = f"key of {account.name}"
        try:
            accounts.credentials(db, account.name, vault)
            findings.append(Finding(check, "ok", f"decrypts ({account.account})"))
        except SecretKeyLost as error:
            findings.append(failed(check, error))
    return findings


_KEY_LOST = "Put it back, or into TIDEGATE_SECRET_KEY; if it is lost: `tidegate connect --name NAME` for each account."
