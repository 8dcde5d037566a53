"""Databases for tests: one server for the whole run, a template that is migrated once, and copies of it."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from tidegate.store.embedded import Embedded
from tidegate.store.embedded_locks import exclusive

RUN = "TIDEGATE_TEST_RUN"
"""Names the folder that the processes of one test run share: the embedded server's home, and who made the template."""

KEPT = {"TIDEGATE_RECORDED"}
"""Variables of ours that a test run may be given: where the recorded Stripe data lies."""

NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_wal_size": "256MB"}

MEMORY = Path("/dev/shm")
ROOM = 2 << 30
"""Bytes that have to be free there, and twice as many in all of the memory. A run needs a quarter of them."""


def begin_run() -> None:
    """Makes the run's folder; the processes started from here on find it in their environment, and no setting of ours.

    Else a test could reach the database or the Stripe account that somebody works with.
    """
    for name in [*os.environ]:
        if name in {"DATABASE_URL", "STRIPE_API_KEY"} or (name.startswith("TIDEGATE_") and name not in KEPT):
            del os.environ[name]
    folder = Path(tempfile.mkdtemp(prefix="tidegate-tests-", dir=memory()))
    folder.chmod(0o755)  # the embedded server of root runs under an account of its own
    os.environ[RUN] = str(folder)


def end_run() -> None:
    """Drops what the run left: the template on a foreign server, the embedded server with all its files."""
    folder = _folder()
    del os.environ[RUN]
    if given := os.environ.get("TEST_DATABASE_URL"):
        drop(given, _template(folder))
    elif _home(folder).exists():
        Embedded(_home(folder)).force_stop(force=True)
    shutil.rmtree(folder)


@contextmanager
def serve() -> Iterator[str]:
    """The URL of the server's maintenance database: TEST_DATABASE_URL's, else an embedded one's that the run shares."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    server = Embedded(_home(_folder()), NOT_DURABLE).start()
    try:
        yield server.url("postgres")
    finally:
        server.stop()


@contextmanager
def scratch(server_url: str, *, migrated: bool = True) -> Iterator[str]:
    """The URL of a new database, dropped afterwards: a copy of the migrated template, or an empty one."""
    name = f"tidegate_test_{uuid.uuid4().hex[:16]}"
    create(server_url, name, template=_migrated_template(server_url) if migrated else "template1")
    try:
        yield at(server_url, name)
    finally:
        drop(server_url, name)


def create(server_url: str, name: str, *, template: str = "template1") -> None:
    """Creates a database as a copy of another that nobody is connected to."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )


def drop(server_url: str, name: str) -> None:
    """Drops a database, whoever is connected to it."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def at(server_url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def named(url: str) -> str:
    """The name of the database at a URL."""
    name = make_url(url).database
    assert name
    return name


def _migrated_template(server_url: str) -> str:
    """The template's name; the first process of the run that asks makes it."""
    from tidegate.store.engine import open_engine
    from tidegate.workflows.operation.migrate import migrate

    folder = _folder()
    name = _template(folder)
    with exclusive(folder / "template.lock"):
        if not (folder / "template.made").exists():
            drop(server_url, name)
            create(server_url, name)
            engine = open_engine(at(server_url, name), pool_size=2)
            try:
                migrate(engine)
            finally:
                engine.dispose()
            (folder / "template.made").touch()
    return name


def memory() -> Path | None:
    """The file system in memory, where there is one with room. A database is a thousand files, which a disk makes in
    a fifth of a second and memory in a fiftieth, and nearly every test has one of its own.
    """
    try:
        there = os.statvfs(MEMORY)
        known = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    except OSError:  # not on Linux
        return None
    available = int(known["MemAvailable"].split()[0]) << 10
    usable = os.access(MEMORY, os.W_OK) and not there.f_flag & os.ST_NOEXEC  # the server's programs may be copied there
    return MEMORY if usable and there.f_bavail * there.f_frsize > ROOM and available > 2 * ROOM else None


def _folder() -> Path:
    return Path(os.environ[RUN])


def _home(folder: Path) -> Path:
    return folder / "home"


def _template(folder: Path) -> str:
    return folder.name.replace("-", "_").lower()
