"""Actions of contacts whose facts are written by hand, with destinations that nothing is sent to."""

from datetime import timedelta
from typing import Any

from sqlalchemy import text
from tests.support.placed import People

from tidegate.delivery import stored as destinations
from tidegate.lifecycle import alerts, placing, rulebook
from tidegate.lifecycle.actions.stored import Stored
from tidegate.secrets import Vault
from tidegate.wiring import Hub
from tidegate.workflows.lifecycle import lifecycle_actions
from tidegate.workflows.lifecycle.fire_actions import fire_actions

TEMPLATE = "{{ contact.id }}: {{ reason }}"


def _no_secrets() -> Vault:
    raise AssertionError("nobody asked for secrets")


class Acting(People):
    """People with actions; the destinations `log` and `other` take all that is told."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        for key in ("log", "other"):
            self.destination(key)

    def destination(self, key: str, kind: str = "files", *, livemode: bool | None = False, **said: Any) -> None:
        """Defines a destination; of files it never comes to be written."""
        options: dict[str, Any] = {"path": "/nowhere", "events": []} | said if kind == "files" else said
        with self.hub.engine.begin() as db:
            destinations.define(
                db, key, kind, options, variables={}, vault=_no_secrets if kind == "files" else lambda: self.hub.vault,
                livemode=livemode,
            )  # fmt: skip

    def act(self, on: Any, key: str = "mine", **said: Any) -> Stored:
        """Writes an action and lets a moment pass, so that what happens next is after it."""
        entry = {"key": key, "on": on, "do": [{"destination": "log", "template": TEMPLATE}]} | said
        with self.hub.engine.begin() as db:
            after = lifecycle_actions.put(db, entry, "ada", as_of=self.now)[1]
        self.now += timedelta(seconds=1)
        return after

    def place(self, days: float) -> None:
        """Lets days pass, and brings all but actions up to the time, as a worker does that dies before them."""
        self.now += timedelta(days=days)
        with self.hub.engine.begin() as db:
            rulebook.lock(db)
            rules = rulebook.load(db)
            placing.carry_out(db, rules, placing.moves(db, rules, self.now), self.now, "facts")
            alerts.keep(db, rulebook.alert_rules(db), self.now)

    def fire(self, days: float = 0) -> int:
        """Lets days pass, and fires without looking at anything else; how many did."""
        self.now += timedelta(days=days)
        return fire_actions(self.hub.engine, as_of=self.now).fired

    def decided(self, key: str = "mine") -> list[tuple[str, str]]:
        """(state, why) of what was decided, oldest first."""
        return [
            (state, why)
            for state, why in self.rows(
                "select state, why from tidegate.action_occurrences where action = :key order by id", key=key
            )
        ]

    def sent(self, destination: str = "log") -> list[dict[str, Any]]:
        """What is due to a destination, oldest first."""
        found = self.rows(
            "select o.data from tidegate.deliveries d join tidegate.outbox o on o.id = d.outbox "
            "where d.destination = :key and o.type = 'action.fired' order by d.id",
            key=destination,
        )
        return [data for (data,) in found]

    def run(self, sql: str, **values: Any) -> None:
        """Does something to the database."""
        with self.hub.engine.begin() as db:
            db.execute(text(sql), values)
