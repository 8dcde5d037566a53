"""A desk whose customer Ada may use 1,000 calls, each of which is told to the meter of calls."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import text
from tests.support.desk import Desk, stocked
from tests.support.killed_syncs import url_of

from tidegate.catalog import features, mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.contacts import directory, policy
from tidegate.contacts.directory import Making
from tidegate.entitlements import forwards, overrides
from tidegate.entitlements.overrides import Giving
from tidegate.outbound.metering.events import PATH
from tidegate.workflows import clock_tasks, previewing, tasks
from tidegate.workflows import refresh as refreshing
from tidegate.workflows.contacts import contacts
from tidegate.workflows.entitlements.entitlements import Use, use
from tidegate.workflows.operation import status as standing
from tidegate.workflows.task_context import TaskContext

MINUTE = 1_767_225_600


class Counting:
    """What product code does, and what a worker does afterwards."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.engine, self.sandbox = desk, desk.hub.engine, desk.sandbox
        self.who = "ada@count.example"
        desk.v1.billing.meters.create(
            {"event_name": "calls", "display_name": "Calls", "default_aggregation": {"formula": "sum"}}
        )
        shop = stocked(desk)
        self.ada = desk.v1.customers.create({"email": self.who}).id
        sent = {"collection_method": "send_invoice", "days_until_due": 30}
        desk.v1.subscriptions.create({"customer": self.ada, "items": [{"price": shop.price}], **sent})
        desk.learn()
        with self.engine.begin() as db:
            policy.store(db, "acme", policy.checked({"create_missing": True}))
            features.define(db, "calls", "metered", meter="calls")
            packages.define(db, "pro")
            packages.draft(db, "pro", {"calls": 1000})
            packages.publish(db, "pro")
            mappings.set_(db, Wanted("acme", price=shop.price, package="pro"))
        refreshing.refresh_changed(self.engine, desk.account)

    @property
    def context(self) -> TaskContext:
        return TaskContext(self.engine, self.desk.hub.stripe, self.desk.hub.stripe_writing, url_of)

    def meter(self, name: str) -> None:
        """The feature names another meter, or none."""
        with self.engine.begin() as db:
            features.define(db, "calls", "metered", meter=name)

    def other_meter(self, formula: str, *, active: bool = True) -> None:
        """It names one of this formula."""
        said = {"event_name": "other", "display_name": "Other", "default_aggregation": {"formula": formula}}
        made = self.desk.v1.billing.meters.create(said)
        if not active:
            self.desk.v1.billing.meters.deactivate(made.id)
        self.desk.learn()
        self.meter("other")

    def customer(self, email: str) -> str:
        """A customer in Stripe whom no contact has."""
        made = self.desk.v1.customers.create({"email": email}).id
        with self.engine.begin() as db:
            policy.store(db, "acme", policy.checked({"create_missing": False}))
        self.desk.learn()
        refreshing.refresh_changed(self.engine, self.desk.account)
        return made

    def link(self, customer: str, who: str | None = None) -> None:
        previewing.commit(self.engine, contacts.linked(self.desk.account, customer, who or self.who, "me"), None)

    def contact(self, id_: str, calls: int) -> None:
        """Somebody without a customer, who may use so many calls."""
        with self.engine.begin() as db:
            key = directory.make(db, False, Making("account", id_))
            overrides.give(db, Giving(key, "me", feature="calls", terms=calls))
            refreshing.refresh_contacts(db, [key])

    def use(self, operation: str, amount: int, key: str | None = None, who: str | None = None) -> dict[str, Any]:
        [done] = use(self.engine, [Use(False, who or self.who, "calls", operation, amount, key)])
        assert isinstance(done, dict), done
        return done

    def consume(self, amount: int, key: str | None = None, who: str | None = None) -> dict[str, Any]:
        return self.use("consume", amount, key, who)

    def tick(self) -> list[str]:
        """What the minute's tick rings for of usage."""
        return [one for one in clock_tasks.tick(self.context, MINUTE) if one.startswith("forward_usage")]

    def forward(self) -> dict[str, Any]:
        """The task, as a worker runs it."""
        return tasks.forward_usage(self.context, "acme")

    def again(self) -> None:
        """What is to be tried again later is due."""
        self._do("update tidegate.meter_forwards set next_try_at = now()")
        self._do("delete from procrastinate_jobs where task_name = 'forward_usage'")

    def a_day_later(self) -> None:
        """Stripe remembers no identifier and no key any more."""
        self.sandbox.advance(25 * 3600)
        self._do("update tidegate.meter_forwards set intended_at = intended_at - interval '25 hours'")
        self.again()

    def on_events(self, hook: Callable[[int], str | None], *, late: bool = True) -> None:
        """Lets the requests that tell usage meet the fault that the hook says of their number, from 1 on. `late`: what
        ends as a 500 was counted.
        """
        server, told = self.sandbox.server, [0]

        def draw(path: str = "") -> str | None:
            if path != PATH:
                return None
            told[0] += 1
            return hook(told[0])

        server.faults.draw, server.faults.late = draw, lambda: late

    def healed(self) -> None:
        self.on_events(lambda _: None)

    def states(self) -> dict[str, int]:
        """How many forwards are in which state."""
        rows = self._rows("select state, count(*)::int as n from tidegate.meter_forwards group by 1 order by 1")
        return {row.state: row.n for row in rows}

    def said(self) -> list[str]:
        """What is said of those that are not told."""
        rows = self._rows("select error from tidegate.meter_forwards where error <> '' order by id")
        return [row.error for row in rows]

    def numbers(self) -> list[int]:
        return [row.id for row in self._rows("select id from tidegate.meter_forwards order by id")]

    def retry(self, ids: Sequence[int] | None = None) -> int:
        with self.engine.begin() as db:
            return forwards.retry(db, False, ids)

    def problems(self) -> list[str]:
        """What `status` says of outbound."""
        found = standing.status(self.engine)["problems"]
        return [one["code"] for one in found if one["code"].startswith(("usage", "outbound"))]

    def _do(self, sql: str) -> None:
        with self.engine.begin() as db:
            db.execute(text(sql))

    def _rows(self, sql: str) -> Sequence[Any]:
        with self.engine.connect() as db:
            return db.execute(text(sql)).all()
