"""A connection kept current in tests: events put into its inbox, drained, and what the mirror then holds."""

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import RowMapping, text
from tests.support.importing import connected, imported, stripe

from tidegate.connections.accounts import Account
from tidegate.mirror import inbox
from tidegate.mirror.inbox import Entry
from tidegate.wiring import Hub
from tidegate.workflows.mirror.audit import audit
from tidegate.workflows.mirror.catch_up import catch_up
from tidegate.workflows.mirror.ingest_events import Drained, drain

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

NOWHERE = "http://127.0.0.1:9"
"""Nobody answers there."""


class Live:
    """A connection to a sandbox, and what a test does to both."""

    def __init__(self, hub: Hub, sandbox: "Sandbox", name: str = "acme", *, account: Account | None = None) -> None:
        """Connects, unless the account is connected already."""
        self.hub, self.sandbox, self.name = hub, sandbox, name
        self.account = account or connected(hub, sandbox, name)

    @property
    def now(self) -> int:
        """The sandbox's time, UTC epoch seconds."""
        return self.sandbox.world.clock.now

    def put(self, body: dict[str, Any], *events: str) -> dict[str, Any]:
        """Changes Stripe; returns the object."""
        self.sandbox.call(lambda: self.sandbox.state.put(body, *events))
        return body

    def remove(self, resource: str, id_: str, event: str | None = None) -> None:
        """Deletes from Stripe."""
        self.sandbox.call(lambda: self.sandbox.state.delete(resource, id_, event))

    def full(self, resource: str, id_: str = "") -> dict[str, Any]:
        """A copy of an object in Stripe; the first without an id."""

        def look() -> dict[str, Any]:
            return json.loads(json.dumps(self.sandbox.state.full(resource, id_ or self.sandbox.state[resource].ids[0])))

        return self.sandbox.call(look)

    def told(self, *events: dict[str, Any], source: str = "webhook") -> int:
        """Puts events into the inbox; returns how many were new."""
        entries = [Entry(self.name, e["id"], e["type"], e["created"], source, json.dumps(e)) for e in events]
        with self.hub.engine.begin() as db:
            return inbox.keep(db, entries)

    def drain(self, *, base: str | None = None, attempts: int = 8) -> Drained:
        """Handles what is due; `base`: where Stripe is thought to be."""
        with stripe(self.sandbox.key, base or self.sandbox.url) as api:
            return drain(self.hub.engine, self.account, api, attempts=attempts)

    def catch_up(self, **options: Any) -> dict[str, Any]:
        with stripe(self.sandbox.key, self.sandbox.url) as api:
            return catch_up(self.hub.engine, self.standing(), api, **options)

    def audit(self, *names: str, **options: Any) -> dict[str, Any]:
        with stripe(self.sandbox.key, self.sandbox.url) as api:
            return audit(self.hub.engine, self.account, api, names, **options)

    def standing(self) -> Account:
        """The connection as it is stored now."""
        return self.hub.account(self.name)

    def run(self, sql: str, **values: Any) -> int:
        """Writes to the database; returns how many rows."""
        with self.hub.engine.begin() as db:
            return db.execute(text(sql), values).rowcount

    def rows(self, sql: str, **values: Any) -> list[RowMapping]:
        with self.hub.engine.connect() as db:
            return list(db.execute(text(sql), values).mappings().all())

    def one(self, sql: str, **values: Any) -> Any:
        """The only value of the only row."""
        (row,) = self.rows(sql, **values)
        (value,) = row.values()
        return value

    def requests(self, endpoint: str) -> int:
        """How often the sandbox was asked."""
        return sum(n for name, n in self.sandbox.stats()["requests"].items() if name == endpoint)


def caught_up(hub: Hub, sandbox: "Sandbox", seconds: int = 60) -> Live:
    """A connection that is imported, and has read the events of so many seconds later, too."""
    live = Live(hub, sandbox)
    imported(hub, live.account)
    live.sandbox.advance(seconds)
    live.catch_up()
    return live
