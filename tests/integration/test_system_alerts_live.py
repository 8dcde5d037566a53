"""System alerts of what Stripe and syncs say: from the fact to what is sent, and to its end."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from tests.support.desk import FEW, opened
from tests.support.importing import imported
from tests.support.live import Live
from tests.support.receiver import Receiver
from tests.support.told import Told

from tidegate.wiring import Hub
from tidegate.workflows.operation import watch

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

pytestmark = pytest.mark.further


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


def routed(hub: Hub, receiver: Receiver) -> Told:
    told = Told(hub, receiver)
    told.destination("ops", livemode=None)
    told.route("ops")
    return told


def came(told: Told, minutes: float = 0) -> list[tuple[str, Any]]:
    """What a look at the hub tells, so many minutes from now, without what is wrong for lack of a worker."""
    watch.watch(told.hub.engine, as_of=datetime.now(UTC) + timedelta(minutes=minutes))
    return [(kind, rule) for _, kind, rule in told.came() if rule not in ("no_worker", "queue_old")]


def test_an_account_that_is_not_activated_is_alerted_until_stripe_says_that_it_is(
    hub: Hub, receiver: Receiver, make_sandbox: Callable[..., "Sandbox"]
) -> None:
    live = Live(hub, make_sandbox(customers=2, months=1, livemode=True, activated=False))
    imported(hub, live.account)
    told = routed(hub, receiver)
    assert came(told) == [("system_alert.opened", "account_not_activated")]
    [(reasons,)] = told.people.rows("select reasons from tidegate.alerts where rule = 'account_not_activated'")
    assert "it may not take payments" in reasons[0]
    account = live.full("accounts") | {"charges_enabled": True, "details_submitted": True}
    live.put(account, "account.updated")
    live.sandbox.advance(120)
    live.catch_up()
    assert came(told) == [], "it is over once it has been calm"
    assert came(told, 6) == [("system_alert.resolved", "account_not_activated")]


@pytest.mark.wide
def test_drafts_that_nothing_finishes_are_alerted_until_they_are(
    receiver: Receiver, fresh_database_url: str, secret_key: str, tmp_path: Path
) -> None:
    with opened(fresh_database_url, secret_key, tmp_path) as desk:
        told = routed(desk.hub, receiver)
        customer = desk.v1.customers.create({"email": "ada@live.example"}).id
        desk.learn()
        desk.table("bills", {"id": "1", "mark": "b-1", "customer": customer})
        terms = {"collection_method": {"value": "send_invoice"}, "days_until_due": {"value": 30}}
        fields = {"customer": {"id": "customer"}, "currency": {"value": "usd"}}
        desk.sync("bills", "invoices", {"metadata": {"row": "mark"}}, fields | terms, finish="finalized")
        row = {"id": "1", "mark": "l-1", "customer": customer, "bill": "1", "amount": "many"}
        desk.table("lines", row)
        fields |= {"invoice": {"sync": "bills", "key": "bill"}, "amount": "amount"}
        desk.sync("lines", "invoiceitems", {"metadata": {"row": "mark"}}, fields)
        desk.run("bills", part=FEW)
        desk.run("lines")
        assert ("system_alert.opened", "sync_unfinished") not in came(told), "a run of items may still come"
        with desk.hub.engine.begin() as db:
            db.execute(text("update tidegate.sync_rows set at = at - interval '31 minutes'"))
        assert ("system_alert.opened", "sync_unfinished") in came(told)
        [(subject, reasons)] = told.people.rows(
            "select subject, reasons from tidegate.alerts where rule = 'sync_unfinished'"
        )
        assert subject == "sync:bills"
        assert reasons[0] == "bills: drafts wait to be finished: 1 for items that did not pass."
        desk.table("lines", row | {"amount": "700"})
        desk.run("lines")
        desk.run("bills")
        came(told)
        assert ("system_alert.resolved", "sync_unfinished") in came(told, 6)
