"""Usage on its way to Stripe's meters by commands and routes, in tidegate.yaml, and as the howto shows it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.desk import Desk, opened
from tests.support.forwarding import Counting
from tests.support.howto import Reader, blocks
from tests.support.serving import serving
from tests.support.usage import counted, now
from typer.testing import CliRunner

from tidegate.api.app import create_app
from tidegate.cli import app
from tidegate.security import tokens
from tidegate.settings import settings

pytestmark = pytest.mark.further


@pytest.fixture
def desk(fresh_database_url: str, secret_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Commands work on the same database."""
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    monkeypatch.setenv("TIDEGATE_SECRET_KEY", secret_key)
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    with opened(fresh_database_url, secret_key, tmp_path, as_of=now()) as desk:
        yield desk
    settings.cache_clear()


def typed(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == code, (words, done.output, done.exception)
    return done.stdout or done.stderr


def test_commands_and_routes_show_what_is_not_told_and_let_it_be_tried_again(desk: Desk) -> None:
    counting = Counting(desk)
    counting.consume(3)
    assert "calls" in typed("usage", "list")
    assert "usage not told to Stripe: 1 waiting" in typed("status")
    assert "1 sent; 0 wait" in typed("usage", "send")
    assert counted(desk.sandbox) == {counting.ada: 3}
    assert "nothing is due" in typed("usage", "send")
    counting.consume(4)
    with counting.engine.begin() as db:
        db.execute(text("update tidegate.meter_forwards set state = 'failed', error = 'no' where value = 4"))
        _, token = tokens.create(db, "boss", ["operate"])
    [shown] = json.loads(typed("usage", "list", "--state", "failed", "--json"))["usage"]
    assert (shown["value"], shown["error"], shown["meter"]) == (4, "no", "calls")
    assert "There is no state lost" in typed("usage", "list", "--state", "lost", code=2)
    with (
        serving(create_app(desk.hub, ring_drain=lambda _db, _connection: None)) as url,
        Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client,
    ):
        page = client.get("/api/usage").json()
        assert [(one["id"], one["contact"], one["state"]) for one in page["usage"]] == [
            (shown["id"], f"account:{counting.who}", "failed")
        ]
        assert client.get("/api/usage?state=sent&limit=1").json()["next"] is None
        assert client.post("/api/usage/retry", json={}).json() == {"changed": 1}
        assert client.post("/api/usage/retry", json={"ids": [0]}).json() == {"changed": 0}
        assert client.post("/api/usage/discard", json={"ids": [shown["id"]]}).json() == {"changed": 1}
        assert client.post("/api/usage/discard", json={}).status_code == 422
    assert "0 debits wait again" in typed("usage", "retry")
    assert "1 debits wait again" in typed("usage", "retry", str(shown["id"]))
    assert "1 debits discarded" in typed("usage", "discard", str(shown["id"]))
    assert counting.states() == {"discarded": 1, "sent": 1}


def test_a_feature_s_meter_in_the_file_and_over_http(desk: Desk, tmp_path: Path) -> None:
    desk.learn()
    file = tmp_path / "tidegate.yaml"
    file.write_text("features:\n  - {key: calls, type: metered, meter: api_calls}\n")
    typed("config", "apply", str(file), "--yes")
    assert "api_calls" in typed("features", "list")
    out = tmp_path / "out.yaml"
    typed("config", "export", str(out))
    assert "meter: api_calls" in out.read_text()
    typed("config", "plan", str(out))
    file.write_text("features:\n  - {key: sso, type: boolean, meter: api_calls}\n")
    assert "only what is metered can name a meter" in typed("config", "plan", str(file), code=2)
    with desk.hub.engine.begin() as db:
        _, token = tokens.create(db, "boss", ["admin"])
    with (
        serving(create_app(desk.hub, ring_drain=lambda _db, _connection: None)) as url,
        Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client,
    ):
        made = client.post("/api/features", json={"key": "bytes", "type": "metered", "meter": "gb"})
        assert (made.status_code, made.json()["meter"]) == (201, "gb")
        assert client.patch("/api/features/bytes", json={"meter": ""}).status_code == 200
        assert client.get("/api/features/bytes").json()["meter"] == ""


def test_what_the_howto_shows_works(desk: Desk, tmp_path: Path) -> None:
    counting = Counting(desk)
    row = f"1 as id, '{counting.who}' as owner, 3 as calls, {now() - 600} as used_at, 'eu' as region"
    with duckdb.connect(tmp_path / "warehouse.duckdb") as db:
        db.execute(f"create table usage as select {row}")
    typed("sources", "add", "warehouse", "duckdb:///warehouse.duckdb")
    typed("contacts", "rename", counting.who, "acme")
    reader, told = Reader({"RUN": "1", "NUMBER": "1"}), dict[str, str]()
    for block in blocks("usage-to-stripe.md"):
        if block.language == "yaml":
            (tmp_path / "tidegate.yaml").write_text(block.text)
        for command in block.commands:
            codes: tuple[int, ...] = (0, 1) if command[:2] == ["sync", "revert"] or command[0] == "status" else (0,)
            if command[:2] == ["sync", "revert"]:
                reader.instead["RUN"] = str(_last_run(desk))
            told.setdefault(" ".join(command), reader.types(command, codes))
    assert counted(desk.sandbox, "api_calls") == {counting.ada: 6}
    assert "1 changes done" in told["sync run usage --plan 1"]
    assert "api_calls" in told["features list"]
    assert "1 sent" in told["usage send"]


def _last_run(desk: Desk) -> Any:
    with desk.hub.engine.connect() as db:
        return db.scalar(text("select max(id) from tidegate.runs where kind = 'sync'"))
