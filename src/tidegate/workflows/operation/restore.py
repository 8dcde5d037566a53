"""Puts a backup in place of what the database holds, and leaves the hub such that nothing is done twice by it."""

import zipfile
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, text

from tidegate.catalog import journal
from tidegate.errors import BackupUnreadable, RestoreFailed, RestoreRefused
from tidegate.outbound import pausing
from tidegate.secrets import KEY_FILE, KeyFile, keys_of
from tidegate.security import sessions
from tidegate.settings import Settings
from tidegate.store import dumps
from tidegate.store import engine as store_engine
from tidegate.store import migrate as revisions
from tidegate.workflows.operation import migrate
from tidegate.workflows.operation.backup import PIECE, SQL, Manifest, Tell, database_url, known_by, manifest


class Holding(NamedTuple):
    """What a database holds before a restore; `revision` empty: nothing of ours."""

    revision: str
    connections: list[str]
    contacts: int


def holding(engine: Engine) -> Holding:
    """What would be replaced. Raises the errors of the database."""
    store_engine.check(engine)
    with engine.connect() as db:
        revision = revisions.revision(db)
        if not revision:
            return Holding("", [], 0)
        connections = list(db.scalars(text("select name from tidegate.connections order by name")))
        return Holding(revision, connections, db.scalar(text("select count(*) from tidegate.contacts")) or 0)


def restore(
    engine: Engine, config: Settings, file: Path, by: str, *, replace: bool = False, tell: Tell
) -> dict[str, Any]:
    """Restores the backup in one transaction and brings its schema to this program's; outbound is paused where there
    are syncs, and everybody is signed out.

    Returns the manifest with `outbound_paused`, `key`: `there`, `restored` or `missing`. Raises BackupUnreadable,
    RestoreRefused, RestoreFailed, and the errors of the database.
    """
    found = manifest(file)
    _check_whole(file)
    server = store_engine.check(engine)
    with revisions.alone(engine) as db:
        _check_free(db, engine, replace)
        db.rollback()
        key = _key(config, file, found)
        try:
            dumps.load(database_url(engine), server, _sql(file, found, tell))
        except dumps.DumpFailed as error:
            raise RestoreFailed(file=file, problem=str(error).rstrip(".")) from error
    migrate.migrate(engine)
    with engine.begin() as db:
        paused = bool(db.scalar(text("select exists (select from tidegate.syncs)")))
        if paused:
            pausing.pause(db, by)
        sessions.end_everybodys(db)
        journal.note(db, by, "hub.restored", file.name, taken_at=found.taken_at, version=found.version)
    return found.as_json() | {"outbound_paused": paused, "key": key}


def _check_whole(file: Path) -> None:
    """Reads it once: what is damaged would else be told by PostgreSQL, as an error of its SQL."""
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise BackupUnreadable(file=file, problem=f"it is damaged ({error}). Nothing was changed.") from error
    if damaged is not None:
        raise BackupUnreadable(file=file, problem=f"{damaged} in it is damaged. Nothing was changed.")


def _check_free(db: Connection, engine: Engine, replace: bool) -> None:
    """Nothing of ours may work in the database, and unless it is to be replaced nothing may be there."""
    others = db.scalars(_OTHERS).all()
    if others:
        problem = f"{', '.join(others)} still use the database. Stop them (`tidegate stop` ends the embedded server)."
        raise RestoreRefused(problem=problem)
    if not replace and (there := holding(engine)).revision:
        named = ", ".join(there.connections) or "none"
        problem = (
            f"the database already holds a hub (connections: {named}; {there.contacts:,} contacts). Restore into an "
            "empty one, or replace it with `--replace`; `tidegate backup` keeps it."
        )
        raise RestoreRefused(problem=problem)


def _key(config: Settings, file: Path, found: Manifest) -> str:
    """Takes the secret key out of the backup, where this installation has another; keys that are there stay."""
    given = keys_of(config.secret_key.get_secret_value())
    kept = KeyFile(config.home)
    if {known_by(one) for one in given or kept.keys()} >= set(found.keys):
        return "there"
    if not found.key or given:
        return "missing"
    with zipfile.ZipFile(file) as archive:
        brought = archive.read(KEY_FILE).decode().split()
    kept.make()
    kept.replace(list(dict.fromkeys([*kept.keys(), *brought])))
    return "restored"


def _sql(file: Path, found: Manifest, tell: Tell) -> Generator[bytes]:
    read = 0
    with zipfile.ZipFile(file) as archive, archive.open(SQL) as sql:
        while piece := sql.read(PIECE):
            read += len(piece)
            yield piece
            tell(read)
    if read != found.sql_bytes:
        problem = f"it has {read:,} bytes of SQL instead of {found.sql_bytes:,}. Nothing was changed."
        raise BackupUnreadable(file=file, problem=problem)


_OTHERS = text("""
select application_name || ' (' || count(*) || ' connections)' from pg_stat_activity
where datname = current_database() and application_name like 'tidegate%'
  and pid <> pg_backend_pid() and application_name <> current_setting('application_name')
group by application_name order by 1""")
