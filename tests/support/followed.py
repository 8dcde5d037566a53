"""A run of a sync that tests let be under way, request by request, to be followed on its page."""

from typing import Any

from sqlalchemy import text

from tidegate.connections import runs
from tidegate.wiring import Hub

RUN: dict[str, Any] = {"sync": "customers", "counts": {"create": 5}, "sent": {}, "failed": 0}


class Run:
    """A run of a sync that is under way in another process, whose journal this one writes."""

    def __init__(self, hub: Hub) -> None:
        self.hub, self.owner = hub, runs.new_owner()
        with hub.engine.begin() as db:
            self.number = runs.begin(db, "sync:customers", "sync", {"connection": "acme"}, self.owner)
            runs.beat(db, self.number, RUN, self.owner)

    def intend(self, key: str) -> int:
        with self.hub.engine.begin() as db:
            return int(db.execute(_INTEND, {"run": self.number, "key": key}).scalar_one())

    def settle(self, request: int, state: str = "done", error: str = "") -> None:
        with self.hub.engine.begin() as db:
            db.execute(_SETTLE, {"id": request, "state": state, "error": error})

    def sent(self, key: str, **how: str) -> int:
        request = self.intend(key)
        self.settle(request, **how)
        return request

    def end(self, sent: int = 5) -> None:
        with self.hub.engine.begin() as db:
            runs.end(db, self.number, "done", RUN | {"sent": {"create": sent}}, self.owner)

    @property
    def page(self) -> str:
        return f"/syncs/customers/runs/{self.number}"


_INTEND = text("""
insert into tidegate.requests (run, sync, connection, key, kind, hash, operation, method, path, params,
  idempotency_key, generation)
values (:run, 'customers', 'acme', :key, 'create', 1, 'create', 'post', '/v1/customers', '{}', 'k', 0) returning id""")

_SETTLE = text("""
update tidegate.requests set state = :state, status = case when :state = 'done' then 200 else 400 end, error = :error,
  sent_at = clock_timestamp(), answered_at = clock_timestamp() where id = :id""")
