"""Whoever signs up is told of like everybody else; who was there before the hub looked is placed without a word."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.builders import customer, invoice, item, price, subscription
from tests.support.shop import Shop, opened

from tidegate.contacts import directory, linking
from tidegate.contacts.directory import Making
from tidegate.delivery import stored as destinations
from tidegate.secrets import Vault
from tidegate.workflows.lifecycle import lifecycle, lifecycle_actions

pytestmark = pytest.mark.further

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
AT = int(NOW.timestamp())
HOUR, DAY = 3600, 86_400
BEGAN = AT - 60 * DAY


def _no_secrets() -> Vault:
    raise AssertionError("nobody asked for secrets")


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    """A connection that was imported 60 days ago, with actions that fire for new trials."""
    with opened(fresh_database_url) as shop:
        shop.settings(create_missing=True)
        shop.has(price())
        shop.imported(datetime.fromtimestamp(BEGAN, UTC))
        with shop.engine.begin() as db:
            destinations.define(
                db, "log", "files", {"path": "/nowhere", "events": []}, variables={}, vault=_no_secrets, livemode=False
            )
            for key, on in {"stage": {"enters_stage": "trial"}, "alert": {"alert_opened": "trial_ending"}}.items():
                said = {"key": key, "on": on, "do": [{"destination": "log", "template": "{{ reason }}"}]}
                lifecycle_actions.put(db, said, "ada", as_of=datetime.fromtimestamp(BEGAN, UTC))
        yield shop


def signs_up(shop: Shop, number: int, created: int, **fields: Any) -> None:
    """A customer with a trial that ends in six days."""
    sub, cus = f"sub_{number}", f"cus_{number}"
    said: dict[str, Any] = {"status": "trialing", "trial_end": AT + 6 * DAY, "trial_start": created} | fields
    items = [item(f"si_{number}", sub, current_period_start=created, current_period_end=AT + 6 * DAY)]
    shop.has(customer(cus, created, email=f"{cus}@example.com"), subscription(sub, items, customer=cus, **said))


def keep(shop: Shop) -> lifecycle.Kept:
    shop.refresh()
    return lifecycle.keep(shop.engine, as_of=NOW)


def heard(shop: Shop) -> list[tuple[str, Any]]:
    """(type, of what) that was told of the lifecycle, oldest first."""
    return [
        (kind, data.get("rule") or data.get("now") or data.get("segment") or data.get("action"))
        for kind, data in shop.rows(
            "select type, data from tidegate.outbox where type ~ '^(stage|segment|alert|action)' order by id"
        )
    ]


def test_a_sign_up_opens_its_alerts_and_fires_what_waits_for_it_once(shop: Shop) -> None:
    signs_up(shop, 1, AT - HOUR)
    done = keep(shop)
    assert (done.moved, done.opened, done.fired) == (1, 1, 2)
    assert heard(shop) == [
        ("stage.changed", "trial"), ("alert.opened", "trial_ending"), ("action.fired", "alert"),
        ("action.fired", "stage"),
    ]  # fmt: skip
    assert shop.scalar("select data ->> 'before' from tidegate.outbox where type = 'stage.changed'") == ""
    assert shop.scalar("select because from tidegate.memberships where kind = 'stage'") == "facts"
    assert (keep(shop).fired, len(heard(shop))) == (0, 4)


def test_a_payment_that_failed_while_no_worker_ran_is_told(shop: Shop) -> None:
    signs_up(shop, 1, AT - 2 * DAY, status="past_due", trial_end=None, latest_invoice="in_1")
    shop.has(
        invoice("in_1", created=AT - DAY, status="open", attempt_count=1, amount_remaining=100, subscription="sub_1")
    )
    keep(shop)
    assert ("alert.opened", "payment_failed") in heard(shop)
    assert ("segment.entered", "at_risk") in heard(shop)


@pytest.mark.parametrize("created", [BEGAN - DAY, AT - 8 * DAY], ids=["before the import", "long before the contact"])
def test_who_was_there_before_is_placed_without_a_word(shop: Shop, created: int) -> None:
    signs_up(shop, 1, created)
    done = keep(shop)
    assert (done.moved, done.opened, done.fired) == (1, 1, 0)
    assert heard(shop) == []


def test_whoever_has_an_old_customer_beside_a_new_one_is_not_new(shop: Shop) -> None:
    with shop.engine.begin() as db:
        linking.lock(db)
        directory.make(db, False, Making("account", "both", emails=("cus_1@example.com", "cus_2@example.com")))
    signs_up(shop, 1, BEGAN - DAY)
    signs_up(shop, 2, AT - HOUR)
    keep(shop)
    assert shop.scalar("select count(distinct contact) from tidegate.links") == 1
    assert heard(shop) == []


def test_who_has_no_customer_yet_is_placed_without_a_word_and_then_told_of(shop: Shop) -> None:
    with shop.engine.begin() as db:
        linking.lock(db)
        directory.make(db, False, Making("account", "mine", emails=("cus_1@example.com",)))
    keep(shop)
    assert heard(shop) == []
    signs_up(shop, 1, AT - HOUR)
    assert keep(shop).fired == 2
    assert heard(shop)[0] == ("stage.changed", "trial")


def test_a_connection_that_was_not_imported_tells_of_nobody(shop: Shop) -> None:
    with shop.engine.begin() as db:
        db.execute(text("update tidegate.runs set state = 'interrupted'"))
    signs_up(shop, 1, AT - HOUR)
    assert keep(shop).fired == 0
    assert heard(shop) == []


def owes(shop: Shop, failed: int, **fields: Any) -> None:
    """A customer of before the import, whose invoice could not be paid then."""
    signs_up(shop, 1, BEGAN - DAY, status="past_due", trial_end=None, latest_invoice="in_1", **fields)
    shop.has(
        invoice(
            "in_1", created=AT - 50 * DAY, status="open", attempt_count=1, amount_remaining=100, customer="cus_1",
            subscription="sub_1", charge="ch_1",
        ),
        {"object": "charge", "id": "ch_1", "created": failed, "customer": "cus_1", "status": "failed",
         "livemode": False},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("failed", "told"), [(AT - HOUR, True), (AT - 8 * DAY, False), (BEGAN - DAY, False)],
    ids=["since", "long before it is looked at", "before the import"],
)  # fmt: skip
def test_a_payment_that_failed_since_the_import_began_is_told_of_whoever_was_there_before(
    shop: Shop, failed: int, told: bool
) -> None:
    with shop.engine.begin() as db:
        said = {
            "key": "failed",
            "on": {"alert_opened": "payment_failed"},
            "do": [{"destination": "log", "template": "x"}],
        }
        lifecycle_actions.put(db, said, "ada", as_of=datetime.fromtimestamp(BEGAN, UTC))
    owes(shop, failed)
    done = keep(shop)
    assert (("alert.opened", "payment_failed") in heard(shop)) is told
    assert done.fired == told
    assert "stage.changed" not in {kind for kind, _ in heard(shop)}, "it is placed for the first time"
    assert shop.scalar("select history from tidegate.alerts where rule = 'payment_failed'") is not told


@pytest.mark.parametrize(("asked", "told"), [(AT - HOUR, True), (AT - 8 * DAY, False), (BEGAN - DAY, False)])
def test_a_cancellation_is_told_by_when_it_was_asked_for_and_not_by_when_it_ends(
    shop: Shop, asked: int, told: bool
) -> None:
    ending: dict[str, Any] = {"cancel_at_period_end": True, "cancel_at": AT + 6 * DAY, "canceled_at": asked}
    signs_up(shop, 1, BEGAN - DAY, status="active", trial_end=None, trial_start=None, **ending)
    keep(shop)
    assert (("alert.opened", "cancellation_scheduled") in heard(shop)) is told


def test_what_other_rules_open_is_told_nobody_however_new_it_is(shop: Shop) -> None:
    owes(shop, AT - HOUR)
    shop.refresh()
    with shop.engine.begin() as db:
        db.execute(text("update tidegate.lifecycle_due set history = true, by_rules = true"))
    assert lifecycle.keep(shop.engine, as_of=NOW).fired == 0
    assert heard(shop) == []


def test_what_comes_just_after_an_import_is_not_told_as_a_part_of_it(shop: Shop) -> None:
    signs_up(shop, 1, BEGAN - DAY)
    signs_up(shop, 2, BEGAN - DAY)
    with shop.engine.begin() as db:
        db.execute(text("update tidegate.runs set finished_at = clock_timestamp()"))
    shop.told(subscription("sub_1", [item("si_1", "sub_1")], status="active", customer="cus_1"), at=200)
    shop.refresh()
    histories = shop.rows("""
select d.contact = (select contact from tidegate.links where customer = 'cus_1'), d.history
from tidegate.lifecycle_due d order by 1""")
    assert histories == [(False, True), (True, False)]
    assert shop.scalar("select bool_and(not history) from tidegate.outbox where data ->> 'customer' = 'cus_1'")
    assert shop.scalar("select bool_and(history) from tidegate.outbox where data ->> 'customer' = 'cus_2'")
