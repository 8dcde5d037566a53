"""`tidegate backup` and `tidegate restore`: all of it or nothing, and nothing is done twice by it."""

import json
import os
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.support import forking
from tests.support.command_line import Cli
from tests.support.importing import connected, imported
from tests.support.waiting import until

from tidegate.contacts import policy
from tidegate.errors import BackupFailed, BackupUnreadable, PostgresProgramsMissing, RestoreFailed, RestoreRefused
from tidegate.outbound.specs import Model, Sync
from tidegate.secrets import KeyFile, open_vault
from tidegate.security import tokens
from tidegate.settings import Settings
from tidegate.store import dumps
from tidegate.store.engine import check, open_engine
from tidegate.wiring import Hub
from tidegate.workflows import refresh
from tidegate.workflows.operation import backup, restore
from tidegate.workflows.outbound import outbound_changes

pytestmark = pytest.mark.further

MODEL = {"key": "rows", "source": "files", "sql": "select 1 as id", "primary_key": "id"}
SYNC = {"key": "rows", "model": "rows", "resource": "customers", "match": {"email": "id"}, "fields": {"email": "id"}}


def told(_bytes: int) -> None:
    """Nobody watches."""


def content(engine: Engine) -> dict[str, tuple[int, str]]:
    """Every table's number of rows and what they come to, whatever their order."""
    with engine.connect() as db:
        names = db.execute(
            text("""
select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('tidegate', 'stripe') and c.relkind in ('r', 'p') order by 1""")
        ).scalars()
        sums = "select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text from {} t"
        return {name: tuple(db.execute(text(sums.format(name))).one()) for name in names}  # pyright: ignore


@pytest.fixture
def filled(hub: Hub, make_sandbox: Callable[..., Any]) -> Hub:
    """A hub that knows an account, with contacts and a ledger."""
    with hub.engine.connect() as db:
        if db.scalar(text("select exists (select from tidegate.connections)")):
            return hub
    account = connected(hub, make_sandbox(customers=12, months=3))
    with hub.engine.begin() as db:
        policy.store(db, account.name, policy.checked({"create_missing": True}))
    imported(hub, account)
    refresh.refresh_all(hub.engine, account)
    return hub


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Engine]:
    """A database without any schema of ours."""
    engine = open_engine(empty_database_url)
    yield engine
    engine.dispose()


def settings(home: Path, key: str = "") -> Settings:
    """The settings of an installation."""
    return Settings(home=home, secret_key=key)  # pyright: ignore[reportArgumentType]


def written(hub: Hub, folder: Path) -> Path:
    """A backup of the hub."""
    file = folder / "hub.zip"
    backup.backup(hub.engine, hub.settings, file, tell=told)
    return file


def test_everything_comes_back_in_an_empty_database(
    filled: Hub, empty: Engine, tmp_path: Path, secret_key: str
) -> None:
    file = written(filled, tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.glob("*.zip*")] == ["hub.zip"]
    before = content(filled.engine)
    assert sum(rows for rows, _ in before.values()) > 500
    done = restore.restore(empty, settings(tmp_path, secret_key), file, "cli:ada", tell=told)
    assert (done["connections"], done["key"], done["outbound_paused"]) == (["acme"], "there", False)
    after = content(empty)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed == {"tidegate.catalog_changes"}, "only that it was restored is written down"


def test_one_that_is_there_already_is_refused_unless_it_is_to_be_replaced(
    filled: Hub, fresh_database_url: str, tmp_path: Path
) -> None:
    file = written(filled, tmp_path)
    there = open_engine(fresh_database_url)
    try:
        with pytest.raises(RestoreRefused, match="already holds a hub"):
            restore.restore(there, filled.settings, file, "cli:ada", tell=told)
        restore.restore(there, filled.settings, file, "cli:ada", replace=True, tell=told)
        with there.connect() as db:
            assert db.scalar(text("select count(*) from stripe.customers")) > 0
    finally:
        there.dispose()


def test_nothing_is_restored_under_a_hub_that_works(filled: Hub, empty_database_url: str, tmp_path: Path) -> None:
    file = written(filled, tmp_path)
    mine, others = open_engine(empty_database_url), open_engine(empty_database_url, application="tidegate worker")
    try:
        with others.connect() as db:
            db.execute(text("select 1"))
            with pytest.raises(RestoreRefused, match=r"tidegate worker \(1 connections\) still use"):
                restore.restore(mine, filled.settings, file, "cli:ada", tell=told)
    finally:
        mine.dispose()
        others.dispose()


def test_outbound_waits_and_everybody_is_signed_out(filled: Hub, empty: Engine, tmp_path: Path) -> None:
    with filled.engine.begin() as db:
        outbound_changes.define_source(
            db, "files", "duckdb:///rows.duckdb", "", lambda: open_vault("", tmp_path), "ada"
        )
        outbound_changes.define_model(db, Model.model_validate(MODEL), "ada")
        outbound_changes.define_sync(db, Sync.model_validate(SYNC), "ada")
        number, _ = tokens.create(db, "desk", ["operate"])
        session = (
            "insert into tidegate.sessions (digest, token, expires_at) values ('x', :token, now() + interval '1 h')"
        )
        db.execute(text(session), {"token": number})
    file = written(filled, tmp_path)
    done = restore.restore(empty, filled.settings, file, "cli:ada", tell=told)
    assert done["outbound_paused"]
    with empty.connect() as db:
        assert db.scalar(text("select by from tidegate.pauses where what = 'outbound'")) == "cli:ada"
        assert db.scalar(text("select count(*) from tidegate.sessions")) == 0


@pytest.mark.parametrize("harm", ["short", "flipped", "other file", "newer"])
def test_a_backup_that_is_not_whole_changes_nothing(filled: Hub, empty: Engine, tmp_path: Path, harm: str) -> None:
    file = written(filled, tmp_path)
    whole = file.read_bytes()
    if harm == "short":
        file.write_bytes(whole[: len(whole) // 2])
    elif harm == "flipped":
        file.write_bytes(whole[:20_000] + bytes([whole[20_000] ^ 1]) + whole[20_001:])
    elif harm == "other file":
        file.write_bytes(b"-- PostgreSQL database dump")
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("database.sql", "")
            archive.writestr("manifest.json", json.dumps({"format": 1, "version": "9.9", "revision": "9999"}))
    with pytest.raises(BackupUnreadable, match="newer than this one" if harm == "newer" else "hub.zip"):
        restore.restore(empty, filled.settings, file, "cli:ada", tell=told)
    assert content(empty) == {}


def test_sql_that_fails_in_its_midst_changes_nothing(filled: Hub, fresh_database_url: str, tmp_path: Path) -> None:
    file = written(filled, tmp_path)
    with zipfile.ZipFile(file) as archive:
        sql, said = archive.read("database.sql"), json.loads(archive.read("manifest.json"))
    middle = sql.index(b"\nALTER TABLE ONLY")
    broken = sql[:middle] + b"\nselect no_such_function();" + sql[middle:]
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("database.sql", broken)
        archive.writestr("manifest.json", json.dumps(said | {"sql_bytes": len(broken)}))
    there = open_engine(fresh_database_url)
    try:
        before = content(there)
        with pytest.raises(RestoreFailed, match="no_such_function"):
            restore.restore(there, filled.settings, file, "cli:ada", replace=True, tell=told)
        assert content(there) == before
    finally:
        there.dispose()


KILLED = """
import os, signal, sys, zipfile
from tidegate.store import dumps

def half():
    with zipfile.ZipFile(sys.argv[2]) as archive:
        sql = archive.read("database.sql")
    yield sql[: sql.index(b"\\nCOPY stripe.invoices") + 1]
    os.kill(os.getpid(), signal.SIGKILL)

dumps.load(sys.argv[1], int(sys.argv[3]), half())
"""


def test_one_that_is_killed_in_its_midst_changes_nothing(filled: Hub, fresh_database_url: str, tmp_path: Path) -> None:
    file = written(filled, tmp_path)
    there = open_engine(fresh_database_url)
    try:
        before = content(there)
        environment = {"PATH": os.environ["PATH"], **forking.FIXED}
        code, _, _ = forking.run(["-c", KILLED, fresh_database_url, str(file), str(check(there))], environment)
        assert code == -signal.SIGKILL
        until(lambda: _restoring(there) == 0, "psql has ended")
        assert content(there) == before
    finally:
        there.dispose()


def _restoring(engine: Engine) -> int:
    """How many psql are connected to the database."""
    with engine.connect() as db:
        ours = "select count(*) from pg_stat_activity where datname = current_database() and application_name = :name"
        return db.scalar(text(ours), {"name": "tidegate backup"}) or 0


def test_the_key_goes_along_only_where_one_says_so(filled: Hub, empty: Engine, tmp_path: Path) -> None:
    home = tmp_path / "first"
    KeyFile(home).make()
    with_key, without = tmp_path / "with.zip", tmp_path / "without.zip"
    backup.backup(filled.engine, settings(home), with_key, with_key=True, tell=told)
    backup.backup(filled.engine, settings(home), without, tell=told)
    [key] = KeyFile(home).keys()
    with zipfile.ZipFile(without) as archive:
        assert all(key.encode() not in archive.read(name) for name in archive.namelist())
    assert restore.restore(empty, settings(tmp_path / "second"), without, "a", tell=told)["key"] == "missing"
    done = restore.restore(empty, settings(tmp_path / "third"), with_key, "a", replace=True, tell=told)
    assert done["key"] == "restored"
    assert set(KeyFile(tmp_path / "third").keys()) >= {key}
    done = restore.restore(empty, settings(tmp_path / "third"), with_key, "a", replace=True, tell=told)
    assert done["key"] == "there"


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(filled: Hub, tmp_path: Path) -> None:
    file = tmp_path / "hub.zip"
    file.write_text("precious")
    cli = Cli(tmp_path, filled.settings.database_url)
    assert "--overwrite" in cli("backup", str(file), code=2).stderr
    assert file.read_text() == "precious"
    cli("backup", str(file), "--overwrite")
    assert backup.manifest(file).connections == ["acme"]


def test_a_folder_that_is_not_there_is_named_and_nothing_is_left(filled: Hub, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="No such file or directory"):
        backup.backup(filled.engine, filled.settings, tmp_path / "gone" / "hub.zip", tell=told)


def test_a_server_newer_than_every_pg_dump_says_what_to_install() -> None:
    with pytest.raises(PostgresProgramsMissing, match="postgresql-client-99"), dumps.dumped("postgresql:///x", 99):
        pass


def test_the_commands_say_what_was_done_and_what_comes_next(
    filled: Hub, empty_database_url: str, tmp_path: Path
) -> None:
    file, cli = str(tmp_path / "hub.zip"), Cli(tmp_path, filled.settings.database_url)
    assert "The secret key with it is NOT in it" in cli("backup", file).stdout
    there = {"DATABASE_URL": empty_database_url}
    assert "Next: `tidegate catch-up`" in cli("restore", file, **there).stdout
    assert "needs a person to ask" in cli("restore", file, "--replace", code=2, **there).stderr
    assert cli.json("restore", file, "--replace", "--yes", **there)["connections"] == ["acme"]
