"""Syncs to be killed: for each a table of a warehouse, rows that were sent before, and what they say now."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import text

from tidegate.connections.accounts import Account
from tidegate.outbound import specs, syncs
from tidegate.sandbox import Sandbox
from tidegate.wiring import Hub
from tidegate.workflows.outbound import run_sync
from tidegate.workflows.outbound.run_sync import Wanted
from tidegate.workflows.outbound.sync_plan import Part
from tidegate.workflows.task_context import TaskContext

SOURCE = "warehouse"
MARK = "row"
"""The metadata key that says which row an object is."""


def url_of(source: Any) -> str:
    """The URL of the source, which is no secret."""
    return source.shown


def context_of(hub: Hub) -> TaskContext:
    """What a worker's tasks work with."""
    return TaskContext(hub.engine, hub.stripe, hub.stripe_writing, url_of, readers=4)


def send(hub: Hub, sync: str, **wanted: Any) -> dict[str, Any]:
    """A run of a sync, whatever it would stop for."""
    how: dict[str, Any] = {"despite_stops": True} | wanted
    return run_sync.run(hub.engine, sync, url_of, hub.stripe_writing, Wanted(**how))


@dataclass
class Warehouse:
    """A DuckDB file with a table for each sync."""

    hub: Hub
    sandbox: Sandbox
    account: Account
    path: Path

    def write(self, *statements: str) -> None:
        with duckdb.connect(self.path) as db:
            for one in statements:
                db.execute(one)

    def define(self, name: str, table: str, resource: str, fields: Mapping[str, Any], **said: Any) -> None:
        """A sync over a table that has an `id`, which its objects are marked with."""
        key = {"key": name, "model": table, "resource": resource, "match": {"metadata": {MARK: "mark"}}}
        with self.hub.engine.begin() as db:
            syncs.define_source(db, SOURCE, sealed=None, env="", shown=f"duckdb://{self.path}")
            syncs.define_model(db, specs.model({"key": table, "source": SOURCE, "table": table, "primary_key": "id"}))
            syncs.define_sync(db, specs.sync({**key, "fields": fields, **said}), self.account.name)

    def first(self, sync: str) -> dict[str, Any]:
        """Sends what there is, without a plan that somebody looked at, and as if that was everything."""
        done = send(self.hub, sync, part=Part(limit=1_000))
        assert (done["state"], done["failed"]) == ("done", 0), done
        self.approve(sync)
        return done

    def approve(self, sync: str) -> None:
        """Lets a run be no first one."""
        with self.hub.engine.begin() as db:
            ended = "update tidegate.syncs set ended_with = coalesce(spec ->> 'finish', 'draft') where key = :sync"
            db.execute(text(ended), {"sync": sync})

    def objects(self, resource: str, mark: str) -> list[dict[str, Any]]:
        """The sandbox's objects whose mark begins so."""

        def found() -> list[dict[str, Any]]:
            every = self.sandbox.state[resource]
            bodies = (self.sandbox.state.full(resource, id_) for id_ in list(every.ids))
            return [one for one in bodies if str(dict(one["metadata"]).get(MARK, "")).startswith(mark)]

        return self.sandbox.call(found)

    def mirrored(self, resource: str, id_: str) -> dict[str, Any]:
        """An object as the mirror has it."""
        with self.hub.engine.connect() as db:
            return db.scalar(
                text(f"select data from stripe.{resource} where connection = :c and id = :id and deleted_at is null"),
                {"c": self.account.name, "id": id_},
            )

    def remembered(self, sync: str) -> dict[str, tuple[str, str | None]]:
        """State and object of each row."""
        with self.hub.engine.connect() as db:
            rows = db.execute(text("select key, state, object_id from tidegate.sync_rows where sync = :s"), {"s": sync})
            return {row.key: (row.state, row.object_id) for row in rows}

    def refused(self) -> list[tuple[str, str, str]]:
        """Requests that came to nothing: how, which, and why."""
        query = "select state, path, error from tidegate.requests where state <> 'done' order by id"
        with self.hub.engine.connect() as db:
            return [(row.state, row.path, row.error) for row in db.execute(text(query))]

    def open(self) -> int:
        """Requests whose outcome nobody knows."""
        with self.hub.engine.connect() as db:
            return int(
                db.scalar(text("select count(*) from tidegate.requests where state in ('intended', 'unknown')")) or 0
            )
