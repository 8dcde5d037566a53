"""Syncs end to end: a warehouse's rows planned and sent to the sandbox over HTTP, each once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import text
from tests.support.importing import connected, imported

from tidegate.connections.accounts import Account
from tidegate.errors import SyncStopped
from tidegate.outbound import specs, syncs
from tidegate.sandbox import Sandbox
from tidegate.wiring import Hub
from tidegate.workflows import run_sync, sync_plan
from tidegate.workflows.run_sync import Wanted
from tidegate.workflows.sync_plan import Part

Make = Callable[..., Sandbox]


class Warehouse:
    """A DuckDB file with accounts, and a sync of customers over it."""

    def __init__(self, hub: Hub, account: Account, folder: Path) -> None:
        self.hub, self.account, self.path = hub, account, folder / "warehouse.duckdb"

    def write(self, sql: str) -> None:
        with duckdb.connect(self.path) as db:
            db.execute(sql)

    def define(self, **said: Any) -> None:
        spec = {
            "key": "customers",
            "model": "accounts",
            "resource": "customers",
            "match": {"email": "email"},
            "fields": {"name": "company", "email": "email", "metadata": {"tier": "tier"}},
        } | said
        with self.hub.engine.begin() as db:
            syncs.define_source(db, "warehouse", sealed=None, env="", shown=str(self.path))
            syncs.define_model(
                db, specs.model({"key": "accounts", "source": "warehouse", "table": "accounts", "primary_key": "id"})
            )
            syncs.define_sync(db, specs.sync(spec), self.account.name)

    def url(self, source: Any) -> str:
        return f"duckdb://{source.shown}"

    def plan(self, part: Part = sync_plan.ALL) -> dict[str, Any]:
        with sync_plan.planned(self.hub.engine, "customers", self.url, part) as made:
            with self.hub.engine.begin() as db:
                number = sync_plan.keep(db, made.plan, "me")
            return sync_plan.answer(made, number)

    def run(self, **wanted: Any) -> dict[str, Any]:
        return run_sync.run(self.hub.engine, "customers", self.url, self.hub.stripe_writing, Wanted(**wanted))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.hub.engine.connect() as db:
            return [tuple(row) for row in db.execute(text(sql))]


@pytest.fixture
def sandbox(make_sandbox: Make) -> Sandbox:
    return make_sandbox(customers=5, months=2)


@pytest.fixture
def warehouse(hub: Hub, sandbox: Sandbox, tmp_path: Path) -> Iterator[Warehouse]:
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.connections, tidegate.syncs, tidegate.sync_rows, tidegate.requests cascade"))
    account = connected(hub, sandbox, write_key=sandbox.key)
    imported(hub, account)
    warehouse = Warehouse(hub, account, tmp_path)
    warehouse.write("""
create table accounts as select * from (values
  (1, 'O''Brien', 'pat@new.example', 'pro'), (2, 'Ünïcode 🎉', 'uni@new.example', 'free'),
  (3, 'Ada', 'ada@new.example', null)) t(id, company, email, tier)""")
    warehouse.define()
    yield warehouse


def customers(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    every = [sandbox.state.full("customers", id_) for id_ in list(sandbox.state["customers"].ids)]
    return {one["email"]: one for one in every if (one.get("email") or "").endswith("@new.example")}


def test_rows_are_planned_sent_once_and_changed_field_by_field(warehouse: Warehouse, sandbox: Sandbox) -> None:
    plan = warehouse.plan()
    assert {kind: count for kind, count in plan["counts"].items() if count} == {"create": 3}
    assert customers(sandbox) == {}
    with pytest.raises(SyncStopped, match="wants a plan"):
        warehouse.run()
    done = warehouse.run(plan=plan["plan"])
    assert (done["state"], done["sent"], done["failed"]) == ("done", {"create": 3}, 0)
    made = customers(sandbox)
    assert {one["name"] for one in made.values()} == {"O'Brien", "Ünïcode 🎉", "Ada"}
    assert made["pat@new.example"]["metadata"] == {"tier": "pro"}
    again = warehouse.run()
    assert (again["sent"], sum(again["counts"].values())) == ({}, 0)
    warehouse.write("update accounts set tier = 'max' where id = 1")
    plan = warehouse.plan()
    [update] = plan["sample"]["update"]
    assert update["changes"] == [{"field": "metadata.tier", "before": "pro", "after": "max", "edited": False}]
    done = warehouse.run(despite_stops=True)
    assert done["sent"] == {"update": 1}
    assert customers(sandbox)["pat@new.example"]["metadata"] == {"tier": "max"}
    assert warehouse.rows("select count(*) from tidegate.requests where state = 'done'") == [(4,)]
