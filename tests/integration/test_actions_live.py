"""Actions of a simulated company whose month goes by: an import fires nothing, and what Stripe tells then each once."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.acting import TEMPLATE
from tests.support.importing import imported
from tests.support.live import Live

from tidegate.delivery import stored as destinations
from tidegate.secrets import Vault
from tidegate.wiring import Hub
from tidegate.workflows.lifecycle import lifecycle, lifecycle_actions
from tidegate.workflows.refresh import refresh_changed

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

DAY = 86_400
ON = {
    "failed": "payment_failed",
    "moved": {"movement": ["new", "expansion", "contraction", "churn", "reactivation"]},
    "renewal": {"renewal_in_days": 7},
    "trial": {"leaves_stage": "trial"},
    "alert": {"alert_opened": ["past_due", "canceled"]},
}


def _no_secrets() -> Vault:
    raise AssertionError("nobody asked for secrets")


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


def keep(live: Live) -> lifecycle.Kept:
    live.catch_up()
    live.drain()
    refresh_changed(live.hub.engine, live.account)
    return lifecycle.keep(live.hub.engine, as_of=datetime.fromtimestamp(live.now, UTC))


def fired(live: Live, action: str) -> set[Any]:
    rows = live.rows(
        "select contact, occurrence from tidegate.action_occurrences where action = :a and state = 'fired'", a=action
    )
    return {(row.contact, row.occurrence) for row in rows}


@pytest.mark.wide
@pytest.mark.timeout(240)
def test_a_month_goes_by(hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> None:
    live = Live(hub, make_sandbox(customers=40, months=8))
    live.run(
        "insert into tidegate.contact_settings (connection, settings) values (:c, cast(:s as jsonb))",
        c=live.name,
        s='{"create_missing": true}',
    )
    begun = datetime.fromtimestamp(live.now - DAY, UTC)
    with hub.engine.begin() as db:
        destinations.define(
            db, "log", "files", {"path": "/nowhere", "events": []}, variables={}, vault=_no_secrets, livemode=False
        )
        for key, on in ON.items():
            said = {"key": key, "on": on, "do": [{"destination": "log", "template": TEMPLATE}]}
            lifecycle_actions.put(db, said, "ada", as_of=begun)
    imported(hub, live.account)
    first = keep(live)
    assert first.moved > 20
    assert first.fired == 0
    assert live.one("select count(*) from tidegate.outbox where type = 'action.fired'") == 0
    times: list[int] = []
    for _ in range(5):
        live.sandbox.advance(7 * DAY)
        times.append(keep(live).fired)
        assert keep(live).fired == 0
    assert min(times) > 0
    failed = live.rows("""
select l.contact, e.connection, e.id from tidegate.billing_events e
join tidegate.links l on l.connection = e.connection and l.customer = e.customer
where e.name = 'Payment Failed' and e.told and e.reverses is null""")
    assert fired(live, "failed") == {(row.contact, f"event:{row.connection}:{row.id}") for row in failed}
    assert failed
    moved = live.rows(
        """
select distinct l.contact, m.kind, m.currency, m.day from tidegate.movements m
join tidegate.links l on l.connection = m.connection and l.customer = m.customer
where m.superseded_at is null and m.kind <> 'transfer' and m.moved_at > (
  select since from tidegate.billing_tellings)""",
    )
    assert fired(live, "moved") >= {(row.contact, f"movement:{row.kind}:{row.currency}:{row.day}") for row in moved}
    assert len(fired(live, "moved")) <= len(moved) + 3  # what a later word of Stripe's made another movement
    renewals = live.rows("""
select distinct l.contact, to_char(v.created at time zone 'UTC', 'YYYY-MM-DD') as day from stripe.invoices v
join tidegate.links l on l.connection = v.connection and l.customer = v.customer
where v.billing_reason = 'subscription_cycle' and v.test_clock is null and v.created > (
  select since + interval '8 days' from tidegate.billing_tellings)""")
    told = fired(live, "renewal")
    assert len({(row.contact, f"renewal:{row.day}") for row in renewals} & told) > 0.6 * len(renewals)
    assert len(fired(live, "trial")) + len(fired(live, "alert")) > 0
    due = live.one("select count(*) from tidegate.deliveries where destination = 'log'")
    assert due == sum(len(fired(live, key)) for key in ON)
