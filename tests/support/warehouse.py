"""A small warehouse, and a sync of customers over it."""

from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import text
from tests.support.importing import connected, imported

from tidegate.connections.accounts import Account
from tidegate.outbound import specs, syncs
from tidegate.sandbox import Sandbox
from tidegate.wiring import Hub
from tidegate.workflows.outbound import run_sync, sync_plan
from tidegate.workflows.outbound.run_sync import Wanted
from tidegate.workflows.outbound.sync_plan import Part

ACCOUNTS = """
create table accounts as select * from (values
  (1, 'O''Brien', 'pat@new.example', 'pro'), (2, 'Ünïcode 🎉', 'uni@new.example', 'free'),
  (3, 'Ada', 'ada@new.example', null)) t(id, company, email, tier)"""
SPEC: dict[str, Any] = {
    "key": "customers",
    "model": "accounts",
    "resource": "customers",
    "match": {"email": "email"},
    "fields": {"name": "company", "email": "email", "metadata": {"tier": "tier"}},
}


class Warehouse:
    """A DuckDB file with accounts, and a sync of customers over it."""

    def __init__(self, hub: Hub, account: Account, folder: Path) -> None:
        self.hub, self.account, self.path = hub, account, folder / "warehouse.duckdb"

    def write(self, sql: str) -> None:
        with duckdb.connect(self.path) as db:
            db.execute(sql)

    def define(self, **said: Any) -> None:
        with self.hub.engine.begin() as db:
            syncs.define_source(db, "warehouse", sealed=None, env="", shown=f"duckdb://{self.path}")
            syncs.define_model(
                db, specs.model({"key": "accounts", "source": "warehouse", "table": "accounts", "primary_key": "id"})
            )
            syncs.define_sync(db, specs.sync(SPEC | said), self.account.name)

    def plan(self, part: Part = sync_plan.ALL, sync: str = "customers") -> dict[str, Any]:
        with sync_plan.planned(self.hub.engine, sync, self.hub.source_url, part) as made:
            with self.hub.engine.begin() as db:
                number = sync_plan.keep(db, made.plan, "me")
            return sync_plan.answer(made, number)

    def run(self, sync: str = "customers", **wanted: Any) -> dict[str, Any]:
        return run_sync.run(self.hub.engine, sync, self.hub.source_url, self.hub.stripe_writing, Wanted(**wanted))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.hub.engine.connect() as db:
            return [tuple(row) for row in db.execute(text(sql))]


def ready(hub: Hub, sandbox: Sandbox, folder: Path) -> Warehouse:
    """A warehouse with `ACCOUNTS` and a sync of customers, for an account that was imported."""
    account = connected(hub, sandbox, write_key=sandbox.key)
    imported(hub, account)
    warehouse = Warehouse(hub, account, folder)
    warehouse.write(ACCOUNTS)
    warehouse.define()
    return warehouse


def customers(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    """The customers that rows of `ACCOUNTS` are in the sandbox, by their e-mail address."""
    every = [sandbox.state.full("customers", id_) for id_ in list(sandbox.state["customers"].ids)]
    return {one["email"]: one for one in every if (one.get("email") or "").endswith("@new.example")}
