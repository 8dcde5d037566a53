"""What a sandbox counted, and syncs of usage over a table of a desk's warehouse."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tests.support.desk import FEW, Desk

from tidegate.sandbox import Sandbox

DAY = 86_400
FIELDS: Mapping[str, Any] = {
    "event_name": {"value": "calls"},
    "customer": {"email": "owner"},
    "value": "calls",
    "timestamp": "used_at",
}


def now() -> int:
    """The real time, UTC epoch seconds: the sandbox's clock began with it."""
    return int(datetime.now(UTC).timestamp())


def counted(sandbox: Sandbox, event_name: str = "calls") -> dict[str, float]:
    """What counts of each customer's events, by the customer."""

    def totals() -> dict[str, float]:
        found = {
            customer: float(sum(one.value for one in told if not one.canceled))
            for (name, customer), told in sandbox.state.metering.events.items()
            if name == event_name
        }
        return {customer: total for customer, total in found.items() if total}

    return sandbox.call(totals)


def identifiers(sandbox: Sandbox, event_name: str = "calls") -> list[str]:
    """The identifiers of all events that were counted, taken back or not, as often as they were."""
    return sandbox.call(
        lambda: [
            one.identifier
            for (name, _), told in sandbox.state.metering.events.items()
            if name == event_name
            for one in told
        ]
    )


def ready(desk: Desk) -> tuple[str, str]:
    """A meter of calls and two customers, known to the mirror; returns their ids."""
    desk.v1.billing.meters.create(
        {"event_name": "calls", "display_name": "Calls", "default_aggregation": {"formula": "sum"}}
    )
    ada, bo = (desk.v1.customers.create({"email": f"{one}@usage.example"}).id for one in ("ada", "bo"))
    desk.learn()
    return ada, bo


def row(id_: int, owner: str = "ada", calls: Any = 1, at: int | None = None, **more: Any) -> dict[str, Any]:
    """A row of usage, of a minute ago unless told otherwise."""
    return {
        "id": id_, "owner": f"{owner}@usage.example", "calls": calls, "used_at": now() - 60 if at is None else at,
    } | more  # fmt: skip


def first(desk: Desk, key: str = "usage", **said: Any) -> dict[str, Any]:
    """Defines the sync and sends what there is, without a plan that somebody looked at."""
    desk.sync(key, "meter_events", {}, said.pop("fields", FIELDS), **said)
    return desk.run(key, part=FEW)
