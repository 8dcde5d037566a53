"""Writes the whole hub into one file: both schemas as SQL, what they are of, and the secret key if wanted."""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Engine, text

from tidegate import __version__
from tidegate.errors import BackupFailed, BackupUnreadable, UsageError
from tidegate.secrets import KEY_FILE, KEY_SETTING, KeyFile, keys_of
from tidegate.settings import Settings
from tidegate.store import dumps
from tidegate.store import engine as store_engine
from tidegate.store import migrate as revisions

FORMAT = 1
MANIFEST, SQL = "manifest.json", "database.sql"
PIECE = 1 << 18
"""Bytes that are handed on at once."""
LEVEL = 3
"""Of compression: twice as fast as the usual 6, for a tenth more."""

Tell = Callable[[int], None]
"""Takes how many bytes of SQL were written, or read, so far."""


class Manifest(NamedTuple):
    """What a backup says of itself. `key`: whether the secret key is in it; `keys`: what the keys that its secrets
    are sealed with are known by; `sql_bytes`: of the SQL, uncompressed; `taken_at`: ISO 8601, UTC.
    """

    format: int
    version: str
    revision: str
    postgresql: int
    taken_at: str
    connections: list[str]
    key: bool
    keys: list[str]
    sql_bytes: int

    def as_json(self) -> dict[str, Any]:
        """For files and commands."""
        return self._asdict()


def known_by(key: str) -> str:
    """What a secret key is recognised by, without telling it."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def database_url(engine: Engine) -> str:
    """The address as libpq takes it, with its password."""
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def backup(
    engine: Engine, config: Settings, file: Path, *, with_key: bool = False, overwrite: bool = False, tell: Tell
) -> dict[str, Any]:
    """Writes the backup, readable by its owner only; returns its manifest, with `file` and `bytes`. Work may go on
    meanwhile: it shows one instant. A file of that name is replaced only by a whole backup.

    Raises UsageError, BackupFailed, and the errors of the database.
    """
    keys = keys_of(config.secret_key.get_secret_value())
    if with_key and keys:
        raise UsageError(problem=f"The key is in {KEY_SETTING}, not in a file: keep it where you keep that setting.")
    if file.exists() and not overwrite:
        raise UsageError(problem=f"{file} is there already: give another name, or `--overwrite`.")
    keys = keys or KeyFile(config.home).keys()
    server = store_engine.check(engine)
    with engine.connect() as db:
        connections = list(db.scalars(text("select name from tidegate.connections order by name")))
        revision = revisions.revision(db)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw:
            with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
                taken_at = datetime.now(UTC).isoformat(timespec="seconds")
                size = _write_sql(archive, database_url(engine), server, tell)
                known = [known_by(one) for one in keys]
                made = Manifest(
                    FORMAT, __version__, revision, server, taken_at, connections, with_key, known, size
                )  # fmt: skip
                if with_key:
                    archive.writestr(KEY_FILE, "".join(f"{key}\n" for key in keys))
                archive.writestr(MANIFEST, json.dumps(made.as_json(), indent=2))
            raw.flush()
            os.fsync(raw.fileno())
        draft.replace(file)
    except (OSError, dumps.DumpFailed) as error:
        raise BackupFailed(file=file, problem=f"{error}".rstrip(".")) from error
    finally:
        draft.unlink(missing_ok=True)
    return made.as_json() | {"file": str(file), "bytes": file.stat().st_size}


def _write_sql(archive: zipfile.ZipFile, url: str, server: int, tell: Tell) -> int:
    written, tail = 0, b""
    with archive.open(SQL, "w", force_zip64=True) as target, dumps.dumped(url, server) as sql:
        while piece := sql.read(PIECE):
            target.write(piece)
            written += len(piece)
            tail = (tail + piece)[-400:]
            tell(written)
    if dumps.COMPLETE not in tail:
        raise dumps.DumpFailed("the dump ended before it was complete")
    return written


def manifest(file: Path) -> Manifest:
    """What a backup says of itself. Raises BackupUnreadable."""
    try:
        with zipfile.ZipFile(file) as archive:
            said = json.loads(archive.read(MANIFEST))
            archive.getinfo(SQL)
    except FileNotFoundError as error:
        raise BackupUnreadable(file=file, problem="there is no such file.") from error
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        problem = f"it is no backup made by `tidegate backup`, or not a whole one ({error})."
        raise BackupUnreadable(file=file, problem=problem) from error
    if said.get("format") != FORMAT or said["revision"] > revisions.HEAD:
        problem = f"it was made by Tidegate {said.get('version')}, which is newer than this one. Install that first."
        raise BackupUnreadable(file=file, problem=problem)
    return Manifest(**said)
