"""A warehouse with a table for each sync, beside a sandbox whose log of writes is read request by request."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import stripe
from sqlalchemy import text
from tests.support.importing import connected, imported
from tests.support.live import Live
from tests.support.localstripe import LocalStripe

from tidegate.outbound import specs, syncs
from tidegate.sandbox import Sandbox
from tidegate.sandbox.config import SandboxConfig
from tidegate.settings import Settings
from tidegate.store.engine import open_engine
from tidegate.wiring import Hub
from tidegate.workflows.outbound import run_sync, sync_plan
from tidegate.workflows.outbound.run_sync import Wanted
from tidegate.workflows.outbound.sync_plan import Part

Asked = tuple[str, str, dict[str, Any]]
"""A request as a test tells it: method, path after /v1/, parameters."""
FEW = Part(limit=1_000)
"""A part, so that a first run wants no plan."""


class Desk:
    """A hub that writes to a sandbox from a DuckDB file; to localstripe, where no log of writes is asked for."""

    def __init__(self, hub: Hub, sandbox: Sandbox | LocalStripe, folder: Path) -> None:
        self.hub, self.path = hub, folder / "warehouse.duckdb"
        self.sandbox: Any = sandbox
        self.account = connected(hub, self.sandbox, write_key=sandbox.key)
        self.live = Live(hub, self.sandbox, account=self.account)
        self.client = stripe.StripeClient(sandbox.key, base_addresses={"api": sandbox.url}, max_network_retries=0)
        self._seen = 0

    @property
    def v1(self) -> Any:
        """The official SDK on the sandbox: what somebody else does in Stripe."""
        return self.client.v1

    def learn(self) -> None:
        """Has the mirror hold what the sandbox does."""
        imported(self.hub, self.account)

    def catch_up(self) -> None:
        """Has the mirror read the events of what was done in Stripe."""
        self.sandbox.advance(60)
        self.live.catch_up()

    def table(self, name: str, *rows: Mapping[str, Any]) -> None:
        """A table of the warehouse with these rows, in the place of the one that is there."""
        columns = list(rows[0]) if rows else []
        with duckdb.connect(self.path) as db:
            if not rows:
                db.execute(f"delete from {name}")
                return
            types = {column: _type([row[column] for row in rows]) for column in columns}
            told = ", ".join(f'"{one}" {types[one]}' for one in columns)
            db.execute(f"create or replace table {name} ({told})")
            marks = ", ".join("?" for _ in columns)
            db.executemany(f"insert into {name} values ({marks})", [[row[one] for one in columns] for row in rows])

    def sync(self, key: str, resource: str, match: Any, fields: Mapping[str, Any], **said: Any) -> None:
        """A sync over the table of its name, whose key is `id`."""
        spec = {"key": key, "model": key, "resource": resource, "match": match, "fields": fields} | said
        with self.hub.engine.begin() as db:
            syncs.define_source(db, "warehouse", sealed=None, env="", shown=f"duckdb://{self.path}")
            syncs.define_model(db, specs.model({"key": key, "source": "warehouse", "table": key, "primary_key": "id"}))
            syncs.define_sync(db, specs.sync(spec), self.account.name)

    def plan(self, key: str, part: Part = sync_plan.ALL) -> dict[str, Any]:
        """The answer of a plan."""
        with sync_plan.planned(self.hub.engine, key, lambda source: source.shown, part) as made:
            return sync_plan.answer(made, None)

    def run(self, key: str, **wanted: Any) -> dict[str, Any]:
        """A run, whatever its stops say; a first one of all rows with the plan that it wants."""
        asked: dict[str, Any] = {"despite_stops": True} | wanted
        if not {"part", "plan"} & set(wanted):
            asked["plan"] = self._looked_at(key)
        given = Wanted(**asked)
        return run_sync.run(self.hub.engine, key, lambda source: source.shown, self.hub.stripe_writing, given)

    def _looked_at(self, key: str) -> int | None:
        with self.hub.engine.connect() as db:
            if not syncs.is_first(db, syncs.sync(db, key)):
                return None
        planned = sync_plan.planned(self.hub.engine, key, lambda source: source.shown)
        with planned as made, self.hub.engine.begin() as db:
            return sync_plan.keep(db, made.plan, "me")

    def asked(self) -> list[Asked]:
        """The requests that changed, or were to change, something since the last call."""
        log = self.sandbox.written()
        fresh, self._seen = log[self._seen :], len(log)
        return [(one.method, one.path.removeprefix("/v1/"), dict(one.params)) for one in fresh]

    def reads(self) -> int:
        """How many requests only read, up to now."""
        return sum(n for name, n in self.sandbox.stats()["requests"].items() if name.startswith("GET "))

    def full(self, resource: str, id_: str) -> dict[str, Any]:
        """A copy of an object in the sandbox."""
        return self.live.full(resource, id_)

    def marked(self, resource: str, key: str, value: str) -> list[dict[str, Any]]:
        """The sandbox's objects with this metadata."""
        every = self.sandbox.call(lambda: list(self.sandbox.state[resource].ids))
        found = [self.full(resource, id_) for id_ in every]
        return [one for one in found if one["metadata"].get(key) == value]

    def states(self, key: str) -> dict[str, tuple[str, str]]:
        """State and reason of each row of a sync, by its key."""
        sql = "select key, state, why, problems from tidegate.sync_rows where sync = :sync"
        with self.hub.engine.connect() as db:
            rows = db.execute(text(sql), {"sync": key}).all()
        return {row.key: (row.state, row.why or "; ".join(_said(row.problems))) for row in rows}


def _said(problems: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{one['field']}: {one['problem']}" for one in problems]


def _type(values: Sequence[Any]) -> str:
    value = next((one for one in values if one is not None), "")
    kinds: dict[Any, str] = {bool: "boolean", int: "bigint", float: "double", date: "date", datetime: "timestamp"}
    return kinds.get(type(value), "varchar")


@contextmanager
def opened(url: str, secret_key: str, folder: Path, **config: Any) -> Generator[Desk]:
    """A desk on a database, with a sandbox without customers unless told otherwise."""
    given: dict[str, Any] = {"customers": 0, "months": 1, **config}
    engine = open_engine(url, pool_size=10)
    hub = Hub(Settings(home=folder, database_url=url, secret_key=secret_key), engine)  # pyright: ignore[reportArgumentType]
    try:
        with Sandbox.start(SandboxConfig(**given)) as sandbox:
            yield Desk(hub, sandbox, folder)
    finally:
        hub.close()
        engine.dispose()


@dataclass
class Shop:
    """A desk, with what rows name. `there`: objects that were made before, by resource, way to match and mode."""

    desk: Desk
    customer: str
    price: str
    product: str
    there: dict[tuple[str, str, str], tuple[str, str]] = field(
        default_factory=dict[tuple[str, str, str], tuple[str, str]]
    )


def stocked(desk: Desk) -> Shop:
    """With a customer, and a product that has a monthly price."""
    product = desk.v1.products.create({"name": "Plan"}).id
    monthly = {"product": product, "currency": "usd", "unit_amount": 900, "recurring": {"interval": "month"}}
    price = desk.v1.prices.create(monthly).id
    return Shop(desk, desk.v1.customers.create({"email": "one@shop.example"}).id, price, product)
