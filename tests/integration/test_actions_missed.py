"""Dates that came and went while no worker looked, of which the mirror tells by now only that they are past."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.builders import customer, invoice, item, price, subscription
from tests.support.shop import Shop, opened

from tidegate.delivery import stored as destinations
from tidegate.secrets import Vault
from tidegate.workflows.lifecycle import lifecycle, lifecycle_actions

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
AT = int(NOW.timestamp())
DAY = 86_400
DUE = AT + 2 * DAY


def _no_secrets() -> Vault:
    raise AssertionError("nobody asked for secrets")


def keep(shop: Shop, days: float) -> int:
    """How many actions fired so many days after NOW."""
    shop.refresh()
    return lifecycle.keep(shop.engine, as_of=NOW + timedelta(days=days)).fired


def subscribed(shop: Shop, at: int, starts: int, ends: int, **said: Any) -> None:
    items = [item("si_1", current_period_start=starts, current_period_end=ends)]
    shop.has(subscription(items=items, current_period_start=starts, current_period_end=ends, **said), at=at)


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    """A contact with a subscription that renews in two days, and an action a day before, which looked a day ago."""
    with opened(fresh_database_url) as shop:
        shop.settings(create_missing=True)
        shop.has(price(), customer())
        shop.imported(NOW - timedelta(days=60))
        subscribed(shop, 100, DUE - 30 * DAY, DUE)
        with shop.engine.begin() as db:
            destinations.define(
                db, "log", "files", {"path": "/nowhere", "events": []}, variables={}, vault=_no_secrets, livemode=False
            )
        keep(shop, -1)
        with shop.engine.begin() as db:
            for on in ("renewal_in_days", "trial_ends_in_days"):
                said = {"key": on, "on": {on: 1}, "do": [{"destination": "log", "template": "{{ reason }}"}]}
                lifecycle_actions.put(db, said, "ada", as_of=NOW - timedelta(days=1))
        yield shop


def texts(shop: Shop) -> list[str]:
    return [said for (said,) in shop.rows("select data ->> 'text' from tidegate.outbox where type = 'action.fired'")]


def test_a_renewal_that_is_past_was_missed_and_is_told_once(shop: Shop) -> None:
    assert keep(shop, 0.96) == 0
    subscribed(shop, 200, DUE, DUE + 30 * DAY)
    shop.has(invoice(created=DUE + 60, status="draft", billing_reason="subscription_cycle", subscription="sub_1"))
    assert keep(shop, 0.96 + 29 / 24) == 1
    assert keep(shop, 2.2) == 0
    assert texts(shop) == ["it renewed on 2026-03-17"]


def test_a_renewal_that_was_told_before_it_came_is_not_told_after(shop: Shop) -> None:
    assert keep(shop, 1.5) == 1
    subscribed(shop, 200, DUE, DUE + 30 * DAY)
    shop.has(invoice(created=DUE + 60, billing_reason="subscription_cycle", subscription="sub_1"))
    assert keep(shop, 3.5) == 0


def test_a_period_that_begins_anew_by_a_change_is_no_renewal(shop: Shop) -> None:
    assert keep(shop, 0) == 0
    subscribed(shop, 200, AT + DAY + DAY // 2, AT + 60 * DAY)
    shop.has(invoice(created=AT + DAY + DAY // 2, billing_reason="subscription_update", subscription="sub_1"))
    assert keep(shop, 2.5) == 0


def test_a_trial_that_is_over_was_missed_and_is_told_once(shop: Shop) -> None:
    trial = {"trial_start": AT - 5 * DAY, "trial_end": DUE}
    subscribed(shop, 200, AT - 5 * DAY, DUE, status="trialing", **trial)
    assert keep(shop, 0.96) == 0
    subscribed(shop, 300, DUE, DUE + 30 * DAY, **trial)
    assert keep(shop, 0.96 + 29 / 24) == 1
    assert keep(shop, 2.2) == 0
    assert texts(shop) == ["its trial ended on 2026-03-17"]
