"""Syncs on the command line, as a person runs them: a source added, a plan looked at, sent, shown, stopped, retried."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.support.command_line import Cli
from tests.support.waiting import until
from tests.support.warehouse import ACCOUNTS, SPEC, customers

from tidegate.outbound import specs, syncs
from tidegate.sandbox import Sandbox
from tidegate.store.engine import open_engine

pytestmark = pytest.mark.wide


class Desk:
    """The command line, with a warehouse beside it."""

    def __init__(self, home: Path, database_url: str, sandbox: Sandbox) -> None:
        self.cli, self.url, self.sandbox = Cli(home, database_url), database_url, sandbox
        self.warehouse = home / "warehouse.duckdb"

    def __call__(self, *arguments: str, **more: Any) -> str:
        return self.cli(*arguments, **more).stdout

    def json(self, *arguments: str, **more: Any) -> dict[str, Any]:
        return self.cli.json(*arguments, **more)

    def write(self, sql: str) -> None:
        with duckdb.connect(self.warehouse) as db:
            db.execute(sql)

    def define(self, **said: Any) -> None:
        engine = open_engine(self.url, pool_size=1)
        with engine.begin() as db:
            model = {"key": "accounts", "source": "warehouse", "table": "accounts", "primary_key": "id"}
            syncs.define_model(db, specs.model(model))
            syncs.define_sync(db, specs.sync(SPEC | said), "test")
        engine.dispose()

    def customers(self) -> dict[str, dict[str, Any]]:
        return customers(self.sandbox)


@pytest.fixture
def desk(tmp_path: Path, fresh_database_url: str, make_sandbox: Callable[..., Sandbox]) -> Desk:
    sandbox = make_sandbox(customers=5, months=1)
    desk = Desk(tmp_path, fresh_database_url, sandbox)
    asked = ("--api-key", "-", "--write-key", "-", "--api-base", sandbox.url, "--name", "test", "--rate", "0")
    desk("connect", *asked, stdin=f"{sandbox.key}\n{sandbox.key}\n")
    desk("import")
    desk.write(ACCOUNTS)
    return desk


def test_sources_are_added_tried_listed_and_removed(desk: Desk) -> None:
    added = desk.json("sources", "add", "warehouse", f"duckdb://{desk.warehouse}")
    assert added["url"] == f"duckdb://{desk.warehouse}"
    assert "answers" in desk("sources", "test", "warehouse")
    wrong = desk.json("sources", "add", "gone", "duckdb:///nowhere.duckdb", code=3)["error"]
    assert wrong["type"] == "SourceUnreachable"
    assert desk.json("sources", "add", "odd", "excel://x", code=2)["error"]["type"] == "SyncInvalid"
    assert desk.json("sources", "add", "odd", code=2)["error"]["type"] == "SyncInvalid"
    secret = desk("sources", "add", "pg", "-", "--no-test", stdin="postgresql://me:geheim@127.0.0.1:1/db\n")
    assert "geheim" not in secret
    named = desk.json("sources", "add", "env", "--env", "WAREHOUSE", WAREHOUSE=f"duckdb://{desk.warehouse}")
    assert named["url"] == "$WAREHOUSE"
    desk("sources", "add", "hub", "tidegate://")
    listed = desk("sources", "list") + json.dumps(desk.json("sources", "list"))
    assert "postgresql://me:…@127.0.0.1:1/db" in listed
    assert "geheim" not in listed + desk("sql", "select key, shown from sources")
    assert desk.json("sources", "test", "env", code=3)["error"]["message"].endswith("the environment has no WAREHOUSE")
    told = desk.json("sources", "test", "pg", code=3)["error"]["message"]
    assert "geheim" not in told
    assert desk.json("secrets", "rotate", TIDEGATE_SECRET_KEY="", code=2)["error"]["type"] == "SecretKeyLost"
    desk("sources", "remove", "pg")
    assert desk.json("sources", "test", "pg", code=2)["error"]["type"] == "SyncUnknown"
    desk.define()
    assert "the models accounts" in desk.json("sources", "remove", "warehouse", code=2)["error"]["message"]


def test_a_model_is_previewed_with_its_types_and_key_problems(desk: Desk) -> None:
    desk("sources", "add", "warehouse", f"duckdb://{desk.warehouse}")
    desk.define()
    assert "table accounts" in desk("models", "list")
    found = desk.json("models", "preview", "accounts", "--limit", "2")
    assert [one["name"] for one in found["columns"]] == ["id", "company", "email", "tier"]
    assert (found["count"], len(found["rows"]), found["problems"]) == (3, 2, [])
    assert "O'Brien" in desk("models", "preview", "accounts", "--no-keys")
    desk.write("insert into accounts values (null, 'x', 'x', 'x'), (2, 'y', 'y', 'y')")
    found = desk.json("models", "preview", "accounts", code=1)
    assert found["problems"][0].startswith("1 have no id, such as ")
    assert found["problems"][1] == "id is not unique: 2 (2 times)"
    assert desk.json("sync", "plan", "customers", code=1)["error"]["type"] == "ModelRowsInvalid"
    assert desk.json("models", "preview", "acounts", code=2)["error"]["message"] == (
        "There is no model acounts. Is it accounts? `tidegate models list` shows all."
    )


def test_a_sync_is_planned_run_and_shown(desk: Desk, tmp_path: Path) -> None:
    desk("sources", "add", "warehouse", f"duckdb://{desk.warehouse}")
    desk.define()
    said = desk("sync", "plan", "customers")
    assert "3 rows read" in said
    assert "--plan 1" in said
    assert "O'Brien" in said
    plan = desk.json("sync", "plan", "customers", "--output", str(tmp_path / "plan.parquet"))
    assert plan["counts"]["create"] == 3
    with duckdb.connect() as db:
        assert db.sql(f"select kind, count(*) from '{tmp_path}/plan.parquet' group by 1").fetchall() == [("create", 3)]
    assert desk.json("sync", "plan", "customers", "--output", "x.xlsx", code=2)["error"]["type"] == "UsageError"
    refused = desk.json("sync", "run", "customers", code=1)["error"]
    assert (refused["type"], "--plan ID" in refused["message"]) == ("SyncStopped", True)
    assert desk.json("sync", "run", "customers", "--plan", "99", code=2)["error"]["type"] == "PlanStale"
    done = desk.json("sync", "run", "customers", "--plan", str(plan["plan"]))
    assert (done["state"], done["sent"]) == ("done", {"create": 3})
    assert len(desk.customers()) == 3
    assert "nothing differs" in desk("sync", "run", "customers")
    assert "3 create" in desk("sync", "runs", "customers")
    shown = desk.json("sync", "show", str(done["run"]))
    told = [(one["operation"], one["state"], one["status"]) for one in shown["requests"]]
    assert told == [("create", "done", 200)] * 3
    everything = json.dumps(desk.json("sync", "show", str(done["run"]), "--row", "1")["requests"])
    assert "O'Brien" not in everything + json.dumps(shown)
    assert "[redacted]" in everything
    assert '"tier": "pro"' in everything
    number = str(shown["requests"][0]["id"])
    assert "idempotency key" in desk("sync", "show", "customers", "--request", number, "--row", "1")
    for ending in ("csv", "json", "parquet"):
        file = tmp_path / f"requests.{ending}"
        desk("sync", "show", str(done["run"]), "--output", str(file))
        with duckdb.connect() as db:
            assert db.sql(f"select count(*) from '{file}' where operation = 'create'").fetchall() == [(3,)]
    with (tmp_path / "requests.csv").open() as file:
        assert "O'Brien" not in str(list(csv.DictReader(file)))
    assert desk.json("sync", "tail", "customers")["requests"] == []
    assert "3" in desk("sync", "list")


def test_rows_that_fail_are_shown_and_tried_again(desk: Desk) -> None:
    desk("sources", "add", "warehouse", f"duckdb://{desk.warehouse}")
    desk.define(fields=SPEC["fields"] | {"invoice_settings": {"default_payment_method": "method"}})
    desk.write("""
alter table accounts add column method varchar;
insert into accounts values (4, 'Refused', 'refused@new.example', 'DE', 'pm_nobody_has')""")
    some = desk.json("sync", "run", "customers", "--only", "4", code=1)
    assert some["state"] == "incomplete"
    shown = desk.json("sync", "show", "customers")
    [failed] = shown["rows"]
    assert (failed["key"], failed["state"]) == ("4", "failed")
    assert "pm_nobody_has" in failed["why"]
    [request] = desk.json("sync", "show", "customers", "--status", "failed")["requests"]
    assert (request["state"], request["status"]) == ("refused", 400)
    assert "pm_nobody_has" in desk("sync", "show", "customers", "--status", "failed")
    assert desk.json("sync", "show", "customers", "--status", "done")["requests"] == []
    desk.write("update accounts set method = null where id = 4")
    again = desk.json("sync", "retry", "customers", "--row", "4")
    assert (again["state"], again["sent"]) == ("done", {"create": 1})
    assert desk.json("sync", "retry", "customers")["sent"] == {}
    desk.write("update accounts set method = null; update accounts set email = 'no address' where id = 4")
    assert desk.json("sync", "run", "customers", "--only", "4", code=1)["counts"]["invalid"] == 1
    desk.write("update accounts set email = 'refused@new.example', company = 'Valid' where id = 4")
    again = desk.json("sync", "retry", "customers")
    assert (again["sent"], sum(again["counts"].values())) == ({"update": 1}, 1)
    assert desk.customers()["refused@new.example"]["name"] == "Valid"
    refused = desk.json("sync", "reset", "customers", code=2)["error"]["message"]
    assert "--yes" in refused
    assert desk.json("sync", "reset", "customers", "--yes")["forgotten"] == 1
    plan = desk.json("sync", "plan", "customers")
    assert plan["counts"]["nothing"] == 1  # it is found again


def test_outbound_is_paused_and_resumed(desk: Desk) -> None:
    desk("sources", "add", "warehouse", f"duckdb://{desk.warehouse}")
    desk.define()
    assert desk.json("pause", "outbound")["paused"] is True
    assert "paused since" in desk("sync", "list")
    refused = desk.json("sync", "run", "customers", "--limit", "1", code=1)["error"]
    assert refused["type"] == "OutboundPaused"
    assert desk.json("sync", "plan", "customers")["counts"]["create"] == 3
    assert desk.customers() == {}
    assert desk.json("resume", "outbound") == {"paused": False, "was": True}
    assert desk.json("resume", "outbound")["was"] is False
    assert desk.json("sync", "run", "customers", "--limit", "1")["sent"] == {"create": 1}
    assert desk.json("sync", "cancel", "customers", code=2)["error"]["message"] == "No run of customers is under way."


def test_a_run_is_shown_as_it_would_be_taken_back_and_then_taken_back(desk: Desk) -> None:
    desk("sources", "add", "warehouse", f"duckdb://{desk.warehouse}")
    desk.define()
    plan = desk.json("sync", "plan", "customers")["plan"]
    run = desk.json("sync", "run", "customers", "--plan", str(plan))["run"]
    shown = desk("sync", "revert", str(run))
    assert "to be taken back" in shown
    assert f"`tidegate sync revert {run} --run` does it" in shown
    assert len(desk.customers()) == 3
    assert desk.json("sync", "revert", str(run), "--run")["sent"] == {"delete": 3}
    assert desk.customers() == {}
    assert "no run of a sync" in desk.cli("sync", "revert", "1", code=2).stderr


def test_a_run_is_followed_and_canceled_from_elsewhere(desk: Desk) -> None:
    desk("sources", "add", "warehouse", f"duckdb://{desk.warehouse}")
    desk.define()
    desk.write("insert into accounts select i, 'Co ' || i, 'c' || i || '@new.example', 'x' from range(10, 4000) t(i)")
    plan = desk.json("sync", "plan", "customers")["plan"]
    asked = ("--api-key", "-", "--write-key", "-", "--api-base", desk.sandbox.url, "--name", "test", "--rate", "40")
    desk("connect", *asked, "--endpoint-rate", "40", stdin=f"{desk.sandbox.key}\n{desk.sandbox.key}\n")
    running = desk.cli.start("sync", "run", "customers", "--plan", str(plan), "--json")
    try:
        until(lambda: len(desk.customers()) > 20, "customers made", seconds=60)
        following = desk.cli.start("sync", "tail", "customers", "--json")
        refused = desk.json("sync", "run", "customers", code=1)["error"]
        assert refused["type"] == "SyncRunning"
        assert "under way" in desk.json("sync", "reset", "customers", "--yes", code=2)["error"]["message"]
        canceled = desk.json("sync", "cancel", "customers")
        out, err = running.communicate(timeout=60)
        told, problem = following.communicate(timeout=60)
        assert (following.returncode, "Traceback" in err + problem) == (0, False), err + problem + out
    finally:
        running.kill()
    summary, followed = json.loads(out), json.loads(told)
    assert (running.returncode, summary["state"], summary["run"]) == (1, "interrupted", canceled["run"])
    made = len(desk.customers())
    assert 20 < made == summary["sent"]["create"] < 3000
    assert followed["state"] == "interrupted"
    assert sum(one["state"] == "done" for one in followed["requests"]) == made
    assert desk.json("sync", "runs", "customers")["runs"][0]["state"] == "interrupted"


def test_a_run_of_a_source_that_breaks_in_the_middle_sends_nothing(desk: Desk) -> None:
    desk("sources", "add", "warehouse", f"duckdb://{desk.warehouse}")
    desk.define()
    model = {
        "key": "accounts",
        "source": "warehouse",
        "sql": "select a.*, case when i > 20000 then error('broken off') end from accounts a, range(30000) t(i)",
        "primary_key": "id",
    }
    engine = open_engine(desk.url, pool_size=1)
    with engine.begin() as db:
        syncs.define_model(db, specs.model(model))
    engine.dispose()
    error = desk.json("sync", "run", "customers", "--limit", "5", code=2)["error"]
    assert error["type"] == "ModelInvalid"
    assert "broken off" in error["message"]
    desk.warehouse.unlink()
    assert desk.json("sync", "run", "customers", "--limit", "5", code=3)["error"]["type"] == "SourceUnreachable"
    assert desk.customers() == {}
    last = desk.json("sync", "show", "customers")
    assert (last["state"], last["requests"]) == ("interrupted", [])
    assert "is not there" in last["error"]


def test_the_hubs_own_tables_are_written_back_to_stripe(desk: Desk) -> None:
    """What the hub knows of each customer as their metadata: no other warehouse is needed."""
    desk("sources", "add", "hub", "tidegate://")
    sql = "select id, name, 'vip' as tier from customers where deleted_at is null order by id limit 2"
    spec = {
        "key": "back",
        "model": "known",
        "resource": "customers",
        "mode": "update",
        "match": {"id": "id"},
        "fields": {"metadata": {"tier": "tier"}},
    }
    engine = open_engine(desk.url, pool_size=1)
    with engine.begin() as db:
        syncs.define_model(db, specs.model({"key": "known", "source": "hub", "sql": sql, "primary_key": "id"}))
        syncs.define_sync(db, specs.sync(spec), "test")
    engine.dispose()
    assert [one["type"] for one in desk.json("models", "preview", "known")["columns"]] == ["string"] * 3
    plan = desk.json("sync", "plan", "back")
    assert plan["counts"]["update"] == 2
    done = desk.json("sync", "run", "back", "--plan", str(plan["plan"]))
    assert (done["state"], done["sent"]) == ("done", {"update": 2})
    state = desk.sandbox.state
    tiers = [state.full("customers", id_)["metadata"].get("tier") for id_ in list(state["customers"].ids)]
    assert sorted(tier for tier in tiers if tier) == ["vip", "vip"]
    assert desk.json("sync", "run", "back")["sent"] == {}
