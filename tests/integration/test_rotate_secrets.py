"""`tidegate secrets rotate`: every stored secret under a new key, whoever reads or stores one meanwhile."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, text
from tests.support.sealed import CREDENTIALS, readable, store
from tests.support.waiting import until
from typer.testing import CliRunner

from tidegate.cli import app
from tidegate.connections import sealing
from tidegate.errors import ConfigurationError, SecretKeyLost
from tidegate.secrets import KeyFile, open_vault
from tidegate.settings import settings
from tidegate.workflows.operation.rotate_secrets import rotate_secrets
from tidegate.workflows.outbound import sources


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


def sealed(engine: Engine) -> set[bytes]:
    """Every secret as it stands in the database."""
    with engine.connect() as db:
        rows = db.execute(text("select api_key, write_key, webhook_secrets from tidegate.connections"))
        return {bytes(one) for row in rows for one in row if one is not None}


def noted(engine: Engine) -> list[Any]:
    """What the audit log says."""
    with engine.connect() as db:
        rows = db.execute(text("select actor, action, subject, detail from tidegate.audit_log")).all()
        return [tuple(row) for row in rows]


def test_a_key_file_gets_a_new_key_that_opens_everything_and_the_old_one_nothing(
    engine: Engine, tmp_path: Path
) -> None:
    store(engine, open_vault("", tmp_path))
    before, [old_key] = sealed(engine), KeyFile(tmp_path).keys()
    rotated = rotate_secrets(engine, "", tmp_path, "cli:test")
    assert (rotated.key, rotated.secrets, rotated.connections) == ("file", 4, {"one": 1, "two": 3})
    [new_key] = KeyFile(tmp_path).keys()
    assert new_key != old_key
    assert KeyFile(tmp_path).path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["secret.key"]
    assert sealed(engine).isdisjoint(before)
    assert readable(engine, open_vault(new_key, tmp_path)) == CREDENTIALS
    with pytest.raises(SecretKeyLost):
        readable(engine, open_vault(old_key, tmp_path))
    assert noted(engine) == [("cli:test", "secrets.rotated", "the key file", {"secrets": 4})]


def test_the_urls_of_sources_get_the_new_key_too(engine: Engine, tmp_path: Path) -> None:
    vault, url = open_vault("", tmp_path), "postgresql://me:geheim@warehouse/db"
    store(engine, vault)
    with engine.begin() as db:
        sources.define(db, "warehouse", url, "", lambda: vault)
        sources.define(db, "files", "duckdb:///data.duckdb", "", lambda: vault)
    rotated = rotate_secrets(engine, "", tmp_path, "cli:test")
    with engine.begin() as db:
        stored = [bytes(one) for one in db.scalars(text("select url from tidegate.sources where url is not null"))]
        db.execute(text("truncate tidegate.sources"))
    assert (rotated.secrets, rotated.sources) == (5, {"warehouse": 1})
    [new_key] = KeyFile(tmp_path).keys()
    assert [open_vault(new_key, tmp_path).open(one, "it") for one in stored] == [url]


def test_a_process_at_work_takes_the_new_key_up(engine: Engine, tmp_path: Path) -> None:
    at_work = open_vault("", tmp_path)
    store(engine, at_work)
    read_before = at_work.seal("read before the rotation")
    rotate_secrets(engine, "", tmp_path, "cli:test")
    [new_key] = KeyFile(tmp_path).keys()
    assert readable(engine, at_work) == CREDENTIALS
    assert open_vault(new_key, tmp_path).open(at_work.seal("stored after it"), "it") == "stored after it"
    assert at_work.open(read_before, "it") == "read before the rotation"


def test_what_is_stored_while_the_key_changes_is_sealed_with_the_new_one(engine: Engine, tmp_path: Path) -> None:
    at_work = open_vault("", tmp_path)
    store(engine, at_work)
    waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted and database = "
    waiting += "(select oid from pg_database where datname = current_database())"
    with engine.begin() as saving:
        sealing.hold_key(saving)
        late = at_work.seal("sealed just before")
        rotation = threading.Thread(target=rotate_secrets, args=(engine, "", tmp_path, "cli:test"))
        rotation.start()
        with engine.connect() as db:
            until(lambda: db.scalar(text(waiting)), "the rotation waits for who is storing")
        saving.execute(text("update tidegate.connections set write_key = :late where name = 'one'"), {"late": late})
    rotation.join(20)
    [new_key] = KeyFile(tmp_path).keys()
    wanted = CREDENTIALS | {"one": ("sk_test_one", "sealed just before", ())}
    assert readable(engine, open_vault(new_key, tmp_path)) == wanted


def test_a_secret_that_no_key_opens_is_named_and_nothing_changes(engine: Engine, tmp_path: Path) -> None:
    store(engine, open_vault("", tmp_path))
    before = sealed(engine)
    KeyFile(tmp_path).replace([Fernet.generate_key().decode()])
    keys = KeyFile(tmp_path).keys()
    with pytest.raises(SecretKeyLost, match="credential of one cannot be decrypted"):
        rotate_secrets(engine, "", tmp_path, "cli:test")
    assert (sealed(engine), KeyFile(tmp_path).keys()) == (before, keys)


def test_a_key_of_the_environment_is_rotated_by_putting_a_new_one_before_it(engine: Engine, tmp_path: Path) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    store(engine, open_vault(old, tmp_path))
    with pytest.raises(ConfigurationError, match="set TIDEGATE_SECRET_KEY to the new and the old key"):
        rotate_secrets(engine, old, tmp_path, "cli:test")
    assert readable(engine, open_vault(f"{new},{old}", tmp_path)) == CREDENTIALS
    rotated = rotate_secrets(engine, f"{new}, {old}", tmp_path, "cli:test")
    assert (rotated.key, rotated.source, rotated.secrets) == ("environment", "TIDEGATE_SECRET_KEY", 4)
    assert readable(engine, open_vault(new, tmp_path)) == CREDENTIALS
    with pytest.raises(SecretKeyLost):
        readable(engine, open_vault(old, tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert noted(engine) == [("cli:test", "secrets.rotated", "TIDEGATE_SECRET_KEY", {"secrets": 4})]


@pytest.fixture
def environment(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path))
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.usefixtures("environment")
def test_the_command_says_what_it_did_and_no_key(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(engine, open_vault("", tmp_path))
    old_keys = KeyFile(tmp_path).keys()
    first, second = (CliRunner().invoke(app, ["secrets", "rotate", *more]) for more in ([], ["--json"]))
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert "4 secrets of 2 connections are encrypted with the new key." in first.output
    assert json.loads(second.stdout)["connections"] == {"one": 1, "two": 3}
    for key in [*old_keys, *KeyFile(tmp_path).keys()]:
        assert key not in first.output + second.output
    monkeypatch.setenv("TIDEGATE_SECRET_KEY", old_keys[0])
    settings.cache_clear()
    refused = CliRunner().invoke(app, ["secrets", "rotate", "--json"])
    assert refused.exit_code == 2
    assert "Nothing was changed." in json.loads(refused.stdout)["error"]["message"]
    assert old_keys[0] not in refused.output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave a file to another account: run the tests as root")
def test_root_leaves_the_key_file_to_the_account_that_had_it(engine: Engine, tmp_path: Path) -> None:
    store(engine, open_vault("", tmp_path))
    os.chown(KeyFile(tmp_path).path, 65534, 65534)
    rotate_secrets(engine, "", tmp_path, "cli:test")
    assert KeyFile(tmp_path).path.stat().st_uid == 65534
