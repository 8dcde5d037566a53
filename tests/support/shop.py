"""A connection whose mirror a test fills, with a small catalog."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, text
from tests.support.builders import arrival, price
from tests.support.queue import connect

from tidegate.catalog import features, mappings, packages, snapshot
from tidegate.catalog.mappings import Wanted
from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.contacts import directory, policy
from tidegate.entitlements.answers import answer
from tidegate.mirror.apply import apply
from tidegate.mirror.decide import Certainty
from tidegate.store.engine import open_engine
from tidegate.stripe_api.resources import RESOURCES
from tidegate.workflows import refresh as refreshing

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)

SEATS = price("price_seats", unit_amount=500, product="prod_2")


class Shop:
    """A connection whose mirror a test fills, with a small catalog."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        connect(engine, "acme")
        with engine.connect() as db:
            self.account: Account = accounts.named(db, "acme")

    def has(self, *bodies: dict[str, Any], at: int = 100) -> None:
        """The mirror learns of these objects."""
        with self.engine.begin() as db:
            for body in bodies:
                resource = next(r for r in RESOURCES.values() if r.object == body["object"])
                apply(db, "acme", resource, [arrival(resource.name, body, at)])

    def told(self, *bodies: dict[str, Any], at: int, previous: dict[str, Any] | None = None) -> None:
        said = json.dumps(previous) if previous is not None else None
        with self.engine.begin() as db:
            for body in bodies:
                resource = next(r for r in RESOURCES.values() if r.object == body["object"])
                facts = {"event": f"evt_{at}", "previous": said}
                apply(db, "acme", resource, [arrival(resource.name, body, at, Certainty.TOLD, **facts)])

    def imported(self, began: datetime) -> None:
        """A first whole import ended, which began then."""
        options = json.dumps({"began": int(began.timestamp())})
        with self.engine.begin() as db:
            db.execute(
                text("""
insert into tidegate.runs (connection, kind, state, options, process, finished_at)
values ('acme', 'import', 'done', cast(:options as jsonb), 'test', :began)"""),
                {"options": options, "began": began},
            )

    def settings(self, **said: Any) -> None:
        with self.engine.begin() as db:
            policy.store(db, "acme", policy.checked(said))

    def catalog(self) -> None:
        """calls, seats, sso; the package pro, and the add-on extra-seats, each with a price."""
        self.has(price(), SEATS)
        with self.engine.begin() as db:
            features.define(db, "calls", "metered", unit="call")
            features.define(db, "seats", "metered", unit="seat", reset="never")
            features.define(db, "sso", "boolean")
            packages.define(db, "pro")
            packages.draft(db, "pro", {"calls": 1000, "seats": 10, "sso": True})
            packages.publish(db, "pro")
            packages.define(db, "extra-seats", kind="add_on")
            packages.draft(db, "extra-seats", {"seats": 5})
            packages.publish(db, "extra-seats")
            mappings.set_(db, Wanted("acme", price="price_1", package="pro"))
            mappings.set_(db, Wanted("acme", price="price_seats", package="extra-seats"))

    def refresh(self) -> refreshing.Refreshed:
        return refreshing.refresh_changed(self.engine, self.account)

    def answer(self, ref: str, feature: str, as_of: datetime = NOW) -> dict[str, Any]:
        with self.engine.connect() as db:
            return answer(db, directory.find(db, False, ref), snapshot.load(db), as_of, feature)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as db:
            return [tuple(row) for row in db.execute(text(sql))]

    def scalar(self, sql: str) -> Any:
        """The one value that the query answers."""
        [[value]] = self.rows(sql)
        return value


@contextmanager
def opened(url: str) -> Iterator[Shop]:
    """A shop in this database, which has nothing else."""
    engine = open_engine(url)
    yield Shop(engine)
    engine.dispose()
