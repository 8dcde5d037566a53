"""What of alerts and digests is told: destinations at a receiver on this machine, and what they were sent."""

from typing import Any

from sqlalchemy import text
from tests.support.placed import NOW, People
from tests.support.post import SECRET
from tests.support.receiver import Receiver

from tidegate.delivery import stored
from tidegate.lifecycle import owners, routes
from tidegate.lifecycle.owners import Owner
from tidegate.lifecycle.routes import Route
from tidegate.wiring import Hub
from tidegate.workflows.delivery.deliver import Delivered, deliver


class Told:
    """People with destinations that take events only by route, unless `events` says otherwise."""

    def __init__(self, hub: Hub, receiver: Receiver) -> None:
        self.people, self.hub, self.receiver = People(hub), hub, receiver

    def destination(
        self, key: str, *, events: tuple[str, ...] = (), livemode: bool | None = False, **options: Any
    ) -> None:
        """A signed webhook at `/key`."""
        said = {"url": f"{self.receiver.url}/{key}", "secrets": [SECRET], "allow_private": True, "events": events}
        said |= options
        with self.hub.engine.begin() as db:
            stored.define(db, key, "webhook", said, variables={}, vault=lambda: self.hub.vault, livemode=livemode)

    def route(self, destination: str, **said: Any) -> None:
        """Makes it the default route."""
        with self.hub.engine.begin() as db:
            routes.put(db, Route(destination, **said))

    def owner(self, key: str, **said: Any) -> None:
        """Makes an owner."""
        with self.hub.engine.begin() as db:
            owners.define(db, Owner(key, **said))

    def owned(self, contact: int, owner: str) -> None:
        """Gives a contact to an owner by hand."""
        with self.hub.engine.begin() as db:
            values = {"key": contact, "owner": owner}
            db.execute(text("update tidegate.contacts set owner = :owner where key = :key"), values)
            owners.settle(db)

    def asked_long_ago(self) -> None:
        """Digests were asked for before all that a test tells of."""
        with self.hub.engine.begin() as db:
            for table in ("owners", "alert_route"):
                statement = f"update tidegate.{table} set digest_since = '2026-01-01Z' where digest <> ''"
                db.execute(text(statement))

    def deliver(self) -> Delivered:
        """One turn of a worker."""
        return deliver(self.hub.engine, self.hub.destination)

    def received(self) -> list[tuple[str, str, dict[str, Any]]]:
        """(destination, type, data) of what came, each id once, verified; the receiver begins anew."""
        self.deliver()
        found: dict[str, tuple[str, str, dict[str, Any]]] = {}
        for one in self.receiver.received:
            found.setdefault(one.id, (one.path[1:], one.json["type"], one.json["data"]))
        assert len(self.receiver.events(SECRET)) == len(found)
        self.receiver.received.clear()
        return list(found.values())

    def came(self) -> list[tuple[str, str, Any]]:
        """(destination, type, rule) of alerts that came."""
        return sorted((where, kind, data.get("rule")) for where, kind, data in self.received())


__all__ = ["NOW", "Told"]
