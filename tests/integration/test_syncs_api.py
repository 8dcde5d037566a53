"""Sources, models and syncs over HTTP: made, previewed, planned, run by a worker, and what was sent by pages."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.importing import connected, imported
from tests.support.serving import serving
from tests.support.warehouse import ACCOUNTS, SPEC
from tests.support.working import jobs_open

from tidegate.api.app import create_app
from tidegate.cli.worker import task_context
from tidegate.sandbox import Sandbox
from tidegate.security import tokens
from tidegate.wiring import Hub
from tidegate.workflows.outbound import revert_task, sync_asking, sync_task

MODEL = {"key": "accounts", "source": "warehouse", "table": "accounts", "primary_key": "id"}


class Desk:
    """A client with every right, a warehouse, and a worker that does what is rung for."""

    def __init__(self, hub: Hub, client: Client, folder: Path) -> None:
        self.hub, self.client, self.path = hub, client, folder / "warehouse.duckdb"
        with duckdb.connect(self.path) as db:
            db.execute(ACCOUNTS)

    def __call__(self, method: str, path: str, status: int = 200, **said: Any) -> Any:
        answer = self.client.request(method, path, **said)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def define(self) -> None:
        self("POST", "/api/sources", 201, json={"key": "warehouse", "url": f"duckdb://{self.path}"})
        self("POST", "/api/models", 201, json=MODEL)
        self("POST", "/api/syncs", 201, json=SPEC)

    def work(self) -> dict[str, Any]:
        return sync_task.run_sync(task_context(self.hub), "acme", "customers")


@pytest.fixture
def desk(
    hub: Hub, make_sandbox: Callable[..., Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    monkeypatch.setattr(sync_asking, "START_SECONDS", 0.0)
    monkeypatch.setattr(revert_task, "START_SECONDS", 0.0)
    sandbox = make_sandbox(customers=3, months=1)
    with hub.engine.begin() as db:
        db.execute(
            text("""
truncate tidegate.connections, tidegate.sources, tidegate.models, tidegate.syncs, tidegate.sync_rows,
  tidegate.requests, tidegate.runs, tidegate.pauses, tidegate.catalog_changes cascade""")
        )
        _, token = tokens.create(db, "boss", ["admin"])
    imported(hub, connected(hub, sandbox, write_key=sandbox.key))
    with (
        serving(create_app(hub, ring_drain=lambda _db, _connection: None)) as url,
        Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client,
    ):
        yield Desk(hub, client, tmp_path)


def test_a_sync_is_made_planned_run_and_looked_at(desk: Desk) -> None:
    desk.define()
    [source] = desk("GET", "/api/sources")["sources"]
    assert (source["key"], source["url"]) == ("warehouse", f"duckdb://{desk.path}")
    assert desk("POST", "/api/sources/warehouse/test")["asked"] == "the model accounts"
    preview = desk("GET", "/api/models/accounts/preview?limit=1")
    assert [column["name"] for column in preview["columns"]] == ["id", "company", "email", "tier"]
    assert len(preview["rows"]) == 1
    plan = desk("POST", "/api/syncs/customers/plan")
    assert plan["counts"]["create"] == 3
    assert {one["field"] for one in plan["sample"]["create"][0]["changes"]} == {"name", "email", "metadata"}
    part = desk("POST", "/api/syncs/customers/plan", json={"only": ["2"]})
    assert (part["counts"]["create"], part["plan"]) == (1, None)
    started = desk("POST", "/api/syncs/customers/run", 202, json={"plan": plan["plan"]})
    assert started == {"sync": "customers", "run": None}  # no worker is there yet
    done = desk.work()
    assert done["state"] == "done"
    run = desk("GET", f"/api/runs/{done['run']}")
    assert (run["state"], run["summary"]["sent"]) == ("done", {"create": 3})
    first = desk("GET", f"/api/runs/{done['run']}/requests?limit=2")
    rest = desk("GET", f"/api/runs/{done['run']}/requests?limit=2&after={first['next']}")
    told = [*first["requests"], *rest["requests"]]
    assert ([one["key"] for one in told], rest["next"]) == (["1", "2", "3"], None)
    assert {one["params"]["name"] for one in told} == {"[redacted]"}
    assert told[0]["response"]["metadata"] == {"tier": "pro"}
    assert desk("GET", f"/api/runs/{done['run']}/requests?status=failed")["requests"] == []
    assert len(desk("GET", f"/api/runs/{done['run']}/requests?key=2&status=done")["requests"]) == 1
    assert desk("GET", "/api/syncs/customers")["rows"] == {"sent": 3}
    assert [one["run"] for one in desk("GET", "/api/syncs/customers/runs")["runs"]] == [done["run"]]
    assert desk("GET", "/api/syncs")["syncs"][0]["last"]["state"] == "done"
    way = desk("POST", f"/api/runs/{done['run']}/revert", json={})
    assert (way["counts"]["revert"], len(way["sample"]["revert"]), way["begun"]) == (3, 3, None)
    assert jobs_open(desk.hub, "revert_sync") == 0, "it was only told"
    assert desk("POST", f"/api/runs/{done['run']}/revert", json={"preview": False})["begun"] is None
    assert jobs_open(desk.hub, "revert_sync") == 1
    desk("POST", "/api/runs/999999/revert", 404, json={})


@pytest.mark.wide
def test_what_is_wrong_is_a_problem_document(desk: Desk) -> None:
    desk.define()
    for method, path, said, status, kind in [
        ("POST", "/api/syncs", SPEC | {"resource": "charges"}, 422, "sync-invalid"),
        ("POST", "/api/syncs", SPEC | {"model": "nothing"}, 404, "sync-unknown"),
        ("POST", "/api/syncs", SPEC | {"fields": {"nmae": "company"}}, 422, "sync-invalid"),
        ("POST", "/api/models", MODEL | {"sql": "select 1"}, 422, "sync-invalid"),
        ("POST", "/api/sources", {"key": "x", "url": "excel://x"}, 422, "sync-invalid"),
        ("POST", "/api/sources", {"key": "x"}, 422, "sync-invalid"),
        ("POST", "/api/syncs/nothing/plan", None, 404, "sync-unknown"),
        ("POST", "/api/syncs/nothing/run", None, 404, "sync-unknown"),
        ("POST", "/api/syncs/customers/cancel", None, 422, "usage-error"),
        ("DELETE", "/api/sources/warehouse", None, 409, "outbound-in-use"),
        ("GET", "/api/runs/999999/requests", None, 404, "run-unknown"),
    ]:
        answer = desk(method, path, status, **({"json": said} if said is not None else {}))
        assert kind in answer["type"], answer
    desk.path.unlink()
    assert "source-unreachable" in desk("POST", "/api/syncs/customers/plan", 503)["type"]
    assert "source-unreachable" in desk("GET", "/api/models/accounts/preview", 503)["type"]


@pytest.mark.wide
def test_secrets_stay_inside_and_changes_are_written_down(desk: Desk) -> None:
    desk.define()
    desk("POST", "/api/sources", 201, json={"key": "pg", "url": "postgresql://me:geheim@127.0.0.1:1/db"})
    told = desk.client.get("/api/sources").text + desk.client.post("/api/sources/pg/test").text
    assert "geheim" not in told
    assert "me:…@127.0.0.1" in told
    for path in ("syncs/customers", "models/accounts", "sources/pg", "sources/warehouse"):
        desk("DELETE", f"/api/{path}", 204)
    with desk.hub.engine.connect() as db:
        changes = text("select action, subject, by, detail::text from tidegate.catalog_changes order by id")
        rows = db.execute(changes).all()
    assert [(row.action, row.subject) for row in rows] == [
        ("source.defined", "warehouse"),
        ("model.defined", "accounts"),
        ("sync.defined", "customers"),
        ("source.defined", "pg"),
        ("sync.removed", "customers"),
        ("model.removed", "accounts"),
        ("source.removed", "pg"),
        ("source.removed", "warehouse"),
    ]
    assert {row.by for row in rows} == {"token:boss"}
    assert "geheim" not in str(rows)


@pytest.mark.wide
def test_nothing_is_run_while_outbound_is_paused(desk: Desk) -> None:
    desk.define()
    assert desk("GET", "/api/outbound") == {"paused": False, "by": None, "at": None}
    assert desk("POST", "/api/outbound/pause")["by"] == "token:boss"
    assert desk("GET", "/api/outbound")["paused"] is True
    assert "outbound-paused" in desk("POST", "/api/syncs/customers/run", 409)["type"]
    assert desk("GET", "/api/syncs")["paused"]["by"] == "token:boss"
    assert desk("POST", "/api/outbound/resume")["paused"] is False
    desk("POST", "/api/syncs/customers/run", 202, json={"limit": 1})
    assert desk.work()["state"] == "done"
