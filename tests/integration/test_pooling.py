"""PgBouncer in front of the database: pooling by transaction is refused, by session it works."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url
from tests.support.command_line import Cli
from tests.support.ports import free_port
from tests.support.waiting import until

from tidegate.errors import TransactionPooling
from tidegate.settings import Settings
from tidegate.wiring import open_hub

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")

pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="pgbouncer is missing; get it with `apt-get install pgbouncer` or your system's package"
)


@contextlib.contextmanager
def pooled(database_url: str, mode: str) -> Iterator[str]:
    """The URL of the database through a PgBouncer of its own on loopback."""
    assert PROGRAM
    database = make_url(database_url)
    host = database.query.get("host") or database.host
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="tidegate-pooling-"))
    folder.chmod(0o755)
    told = f"host={host} port={database.query.get('port') or database.port or 5432} user={database.username}"
    if database.password:
        told += f" password='{database.password}'"
    (folder / "pgbouncer.ini").write_text(f"""
[databases]
{database.database} = {told}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 20
ignore_startup_parameters = extra_float_digits
""")
    # PgBouncer refuses to run as root, and the embedded server's socket is open to its own account alone.
    account = pwd.getpwuid(Path(str(host)).stat().st_uid).pw_name if str(host).startswith("/") else "nobody"
    switch = {"user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    bouncer = subprocess.Popen([PROGRAM, str(folder / "pgbouncer.ini")], stderr=subprocess.PIPE, text=True, **switch)
    url = f"postgresql://{database.username}@127.0.0.1:{port}/{database.database}"

    def answers() -> bool:
        assert bouncer.poll() is None, bouncer.stderr and bouncer.stderr.read()
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=5):
            return True
        return False

    try:
        until(answers, "PgBouncer")
        yield url
    finally:
        bouncer.kill()
        bouncer.communicate()
        shutil.rmtree(folder)


def settings(url: str, home: Path) -> Settings:
    return Settings(home=home, database_url=url)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("state", ["empty_database_url", "fresh_database_url"])
@pytest.mark.parametrize("may_migrate", [True, False])
def test_pooling_by_transaction_is_refused(
    request: pytest.FixtureRequest, tmp_path: Path, state: str, may_migrate: bool
) -> None:
    with pooled(request.getfixturevalue(state), "transaction") as url:
        with pytest.raises(TransactionPooling) as refused, open_hub(settings(url, tmp_path), may_migrate=may_migrate):
            raise AssertionError("it was taken")
        assert "session-pooled" in str(refused.value)


@pytest.mark.wide
def test_pooling_by_session_works(empty_database_url: str, tmp_path: Path) -> None:
    with pooled(empty_database_url, "session") as url:
        cli = Cli(tmp_path, url)
        for command in (["migrate"], ["status"], ["sql", "select count(*) from customers"], ["doctor"]):
            cli(*command)
