"""What Stripe's objects say of a contact's payments, cards and subscriptions, as conditions ask for it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, text
from tests.support.builders import customer, invoice, item, price, subscription
from tests.support.shop import Shop, opened

from tidegate.catalog import features, mappings
from tidegate.catalog import packages as catalog
from tidegate.catalog.mappings import Wanted
from tidegate.conditions.compile import compiled
from tidegate.conditions.contact_fields import CONTACT_FIELDS, CONTACTS
from tidegate.conditions.parse import parse
from tidegate.contacts import by_hand, directory
from tidegate.contacts.directory import Making
from tidegate.entitlements import ledger, overrides
from tidegate.entitlements.buckets import Debit
from tidegate.entitlements.ledger import Note
from tidegate.entitlements.overrides import Giving
from tidegate.lifecycle import due
from tidegate.revenue import editions, rebuild
from tidegate.workflows.contacts.contact_properties import properties
from tidegate.workflows.lifecycle import lifecycle
from tidegate.workflows.refresh import refresh_contacts

NOW = datetime(2026, 3, 15, tzinfo=UTC)
DAY = 86_400
AT = int(NOW.timestamp())


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    """A mirror with a customer, who is a contact."""
    with opened(fresh_database_url) as shop:
        shop.settings(create_missing=True)
        shop.has(price(), customer())
        yield shop


def facts(shop: Shop) -> dict[str, Any]:
    """The contact's, a moment after all that the mirror was told."""
    shop.refresh()
    with shop.engine.begin() as db:
        due.note_all(db)
    lifecycle.keep(shop.engine, as_of=NOW)
    with shop.engine.connect() as db:
        return dict(db.execute(text("select * from tidegate.contact_lifecycle")).mappings().one())


def sub(id_: str = "sub_1", **fields: Any) -> dict[str, Any]:
    return subscription(id_, items=[item(f"si_{id_}", id_)], **fields)


def charge(id_: str, at: int, code: str) -> dict[str, Any]:
    said = {"object": "charge", "id": id_, "created": at, "customer": "cus_1", "status": "failed", "livemode": False}
    return said | {"failure_code": "card_declined", "outcome": {"reason": code}}


def card(id_: str, month: int, year: int) -> dict[str, Any]:
    details = {"brand": "visa", "last4": "4242", "exp_month": month, "exp_year": year}
    said = {"object": "payment_method", "id": id_, "created": 10, "customer": "cus_1", "type": "card"}
    return said | {"card": details, "livemode": False}


def test_an_incomplete_subscription_makes_no_customer_and_nothing_is_owed(shop: Shop) -> None:
    shop.has(sub(status="incomplete"))
    found = facts(shop)
    assert found["status"] == "incomplete"
    assert (found["mrr_total"], found["open_total"], found["failed_attempts"]) == (0, 0, 0)
    assert (found["card_expires_at"], found["health"], found["stage"]) == (None, None, "prospect")


def test_the_best_state_stands_for_all(shop: Shop) -> None:
    shop.has(
        sub("sub_1", status="canceled", ended_at=AT), sub("sub_2", status="past_due"), sub("sub_3", status="trialing")
    )
    found = facts(shop)
    assert found["status"] == "past_due"


def test_failed_payments_are_told_with_why_and_since_when(shop: Shop) -> None:
    open_: dict[str, Any] = {"status": "open", "customer": "cus_1", "currency": "usd", "subscription": "sub_1"}
    shop.has(
        sub(status="past_due", latest_invoice="in_2"),
        invoice(
            "in_1", created=AT - 9 * DAY, attempt_count=2, amount_remaining=1900, next_payment_attempt=AT + DAY,
            status_transitions={"finalized_at": AT - 9 * DAY}, **open_,
        ),
        invoice("in_2", created=AT - DAY, attempt_count=1, amount_remaining=100, **open_),
        invoice("in_3", created=AT, status="void", customer="cus_1"),
        charge("ch_1", AT - 8 * DAY, "generic_decline"),
        charge("ch_2", AT - 2 * DAY, "insufficient_funds"),
    )  # fmt: skip
    found = facts(shop)
    assert (found["failed_attempts"], found["failing_invoices"], found["open_invoices"]) == (3, ["in_1", "in_2"], 2)
    assert found["decline_code"] == "insufficient_funds"
    assert found["next_attempt_at"] == datetime.fromtimestamp(AT + DAY, UTC)
    assert found["past_due_since"] is not None
    assert found["past_due_since"] <= datetime.fromtimestamp(AT - 8 * DAY, UTC)
    assert (found["open_total"], found["void_invoices"], found["latest_invoice_status"]) == (20, 1, "void")
    assert found["stage"] == "at_risk"


def test_a_bank_debit_that_is_under_way_has_not_failed(shop: Shop) -> None:
    bill = invoice(
        "in_1", created=AT - DAY, attempt_count=1, amount_remaining=1900, status="open", customer="cus_1",
        currency="usd", subscription="sub_1", status_transitions={"finalized_at": AT - DAY},
    )  # fmt: skip
    debit = charge("ch_1", AT - DAY, "") | {"invoice": "in_1", "failure_code": None, "outcome": None}
    shop.has(sub(status="active", latest_invoice="in_1"), bill, debit | {"status": "pending"})
    found = facts(shop)
    assert (found["failing_invoices"], found["failed_attempts"], found["open_invoices"]) == ([], 0, 1)
    shop.has(debit | {"status": "failed", "failure_code": "insufficient_funds"}, at=200)
    found = facts(shop)
    assert (found["failing_invoices"], found["failed_attempts"]) == (["in_1"], 1)


def test_the_card_of_whoever_pays_by_invoice_is_no_matter(shop: Shop) -> None:
    terms = {"collection_method": "send_invoice", "days_until_due": 30}
    shop.has(sub(default_payment_method="pm_1", **terms), card("pm_1", 3, 2026))
    found = facts(shop)
    assert (found["card_expires_at"], found["stage"]) == (None, "customer")


def test_a_card_that_expires_is_no_matter_while_another_lasts(shop: Shop) -> None:
    shop.has(sub(default_payment_method="pm_1"), card("pm_1", 3, 2026))
    found = facts(shop)
    assert (found["card_expires_at"], found["backup_until"]) == (datetime(2026, 4, 1, tzinfo=UTC), None)
    assert found["stage"] == "at_risk"
    shop.has(card("pm_2", 4, 2026))
    found = facts(shop)
    assert (found["backup_until"], found["stage"]) == (datetime(2026, 5, 1, tzinfo=UTC), "customer")


def test_a_backup_that_expires_itself_is_none_from_then_on_though_nothing_happens(shop: Shop) -> None:
    shop.has(sub(default_payment_method="pm_1"), card("pm_1", 3, 2026), card("pm_2", 4, 2026))
    stages: list[Any] = []
    facts(shop)
    for days in (20, 46, 48):  # until 4 April, 30 April and 2 May
        done = lifecycle.keep(shop.engine, as_of=NOW + timedelta(days=days))
        stages.append((done.contacts, *shop.rows("select stage from tidegate.contact_lifecycle")[0]))
    assert stages == [(0, "customer"), (0, "customer"), (0, "at_risk")]
    assert shop.rows("select occurrence, state from tidegate.alerts where rule = 'card_expiring'") == [
        ("2026-04-01T00:00:00Z", "open")
    ]


def test_of_several_cards_the_one_that_is_a_risk_first_stands_for_all(shop: Shop) -> None:
    shop.has(
        sub("sub_1", default_payment_method="pm_1"), sub("sub_2", default_payment_method="pm_2"),
        card("pm_1", 3, 2026), card("pm_2", 8, 2026),
    )  # fmt: skip
    found = facts(shop)
    assert [f"{one:%Y-%m}" for one in found["cards"]] == ["2026-04", "2026-09"]
    assert (f"{found['card_expires_at']:%Y-%m}", found["stage"]) == ("2026-09", "customer"), "the first has a backup"
    lifecycle.keep(shop.engine, as_of=NOW + timedelta(days=141))
    assert shop.rows("select stage from tidegate.contact_lifecycle") == [("at_risk",)]
    assert shop.rows("select occurrence from tidegate.alerts where rule = 'card_expiring'") == [
        ("2026-09-01T00:00:00Z",)
    ]


def test_each_trial_debt_and_card_alerts_by_itself_and_ends_by_itself(shop: Shop) -> None:
    trial: dict[str, Any] = {"status": "trialing", "trial_start": AT - 9 * DAY}
    shop.has(customer("cus_2"), sub("sub_1", trial_end=AT + 3 * DAY, **trial))
    shop.refresh()
    with shop.engine.begin() as db:
        kept = directory.find(db, False, db.scalar(text("select min(external_id) from tidegate.contacts")))
        by_hand.link(db, "acme", False, "cus_2", kept, by="ada")
    shop.has(
        sub("sub_2", trial_end=AT + 5 * DAY, **trial),
        sub("sub_3", status="past_due", default_payment_method="pm_1"), card("pm_1", 3, 2026),
        subscription("sub_4", items=[item("si_4", "sub_4")], customer="cus_2", status="past_due",
                     default_payment_method="pm_2"),
        card("pm_2", 2, 2026) | {"customer": "cus_2"}, at=AT - 9 * DAY,
    )  # fmt: skip
    opened = {rule: alerts(shop, rule) for rule in ("trial_ending", "card_expiring", "past_due")}
    assert opened["trial_ending"] == [("2026-03-18T00:00:00Z", "open"), ("2026-03-20T00:00:00Z", "open")]
    assert opened["card_expiring"] == [("2026-03-01T00:00:00Z", "open"), ("2026-04-01T00:00:00Z", "open")]
    shop.has(sub("sub_1", trial_end=AT + 30 * DAY, **trial), card("pm_1", 3, 2036), at=AT - 8 * DAY)
    assert alerts(shop, "trial_ending") == [("2026-03-18T00:00:00Z", "resolved"), ("2026-03-20T00:00:00Z", "open")]
    assert alerts(shop, "card_expiring") == [("2026-03-01T00:00:00Z", "open"), ("2026-04-01T00:00:00Z", "resolved")]


def test_one_contact_with_two_currencies_has_a_sum_where_there_is_a_base(shop: Shop) -> None:
    euro = price("price_eur", currency="eur", unit_amount=1000)
    shop.has(euro, sub("sub_1"), subscription("sub_2", items=[item("si_e", "sub_2", price=euro)], currency="eur"))
    found = facts(shop)
    assert found["currencies"] == ["eur", "usd"]
    assert found["mrr_total"] is None
    with shop.engine.begin() as db:
        db.execute(text("update tidegate.ledgers set base_currency = 'usd'"))
    found = facts(shop)
    assert found["mrr_total"] > Decimal(10)


def test_zero_decimal_currencies_are_whole_units(shop: Shop) -> None:
    yen = price("price_jpy", currency="jpy", unit_amount=1000)
    shop.has(yen, subscription(items=[item("si_1", price=yen)], currency="jpy"))
    assert facts(shop)["mrr_total"] == 1000


def alerts(shop: Shop, rule: str) -> list[tuple[Any, ...]]:
    """(occurrence, state) of the alerts of a rule, oldest first."""
    facts(shop)
    return shop.rows(f"select occurrence, state from tidegate.alerts where rule = '{rule}' order by id")


def cancels(shop: Shop, at: int, asked: int | None, id_: str = "sub_1") -> None:
    """The subscription is asked to end with its period, or (None) to go on after all."""
    said = {"cancel_at_period_end": asked is not None, "canceled_at": asked}
    items = [item(f"si_{id_}", id_, current_period_start=AT - 9 * DAY, current_period_end=AT + 21 * DAY)]
    shop.has(subscription(id_, items=items, **said), at=at)


ENDS = "2026-04-05T00:00:00Z asked 2026-03-{}T00:00:00Z"


def test_a_cancellation_that_is_taken_back_and_asked_for_again_is_another_one(shop: Shop) -> None:
    cancels(shop, 100, AT - 5 * DAY)
    assert alerts(shop, "cancellation_scheduled") == [(ENDS.format("10"), "open")]
    cancels(shop, 200, None)
    assert alerts(shop, "cancellation_scheduled") == [(ENDS.format("10"), "resolved")]
    cancels(shop, 300, AT - 2 * DAY)
    assert alerts(shop, "cancellation_scheduled") == [(ENDS.format("10"), "resolved"), (ENDS.format("13"), "open")]


def test_each_subscription_that_is_cancelled_is_told(shop: Shop) -> None:
    cancels(shop, 100, AT - 5 * DAY)
    cancels(shop, 100, AT - 2 * DAY, "sub_2")
    assert alerts(shop, "cancellation_scheduled") == [(ENDS.format("10"), "open"), (ENDS.format("13"), "open")]


def test_what_renews_is_what_is_paid_for_by_the_year(shop: Shop) -> None:
    monthly = [item("si_m", "sub_m", current_period_end=AT + 10 * DAY)]
    yearly = price("price_y", recurring={"interval": "year", "interval_count": 1, "usage_type": "licensed"})
    both = [
        item("si_y", "sub_y", price=yearly, current_period_end=AT + 200 * DAY),
        item("si_x", "sub_y", current_period_end=AT + 12 * DAY),
    ]
    shop.has(yearly, subscription("sub_m", items=monthly), subscription("sub_y", items=both))
    found = facts(shop)
    assert [(at - NOW).days for at in found["renewals"]] == [10, 12, 200]
    assert [int(one) for one in found["renewal_months"]] == [1, 1, 12]
    assert alerts(shop, "renewal_upcoming") == []
    both[0]["current_period_end"] = AT + 20 * DAY
    shop.has(subscription("sub_y", items=both), at=200)
    assert alerts(shop, "renewal_upcoming") == [("2026-04-04T00:00:00Z", "open")]
    [(reasons,)] = shop.rows("select reasons from tidegate.alerts where rule = 'renewal_upcoming'")
    assert reasons[0].startswith("renews_at comes within 30 days (2026-04-04")


@pytest.mark.parametrize("kind", ["user", "account"])
def test_mrr_and_renewal_are_on_users_and_accounts_alike(shop: Shop, kind: str) -> None:
    shop.settings(create_missing=True, kind=kind)
    shop.has(subscription(items=[item("si_1", current_period_end=AT + 10 * DAY)]))
    found = facts(shop)
    assert shop.scalar("select kind from tidegate.contacts") == kind
    assert (found["mrr_total"], found["renewals"], found["stage"]) == (10, [NOW + timedelta(days=10)], "customer")


def consumed(db: Connection, contact: int, operation: str = "consume", amount: int = 1, **more: Any) -> None:
    answer = {"feature": "calls", "amount": amount}
    ledger.write(db, [Note(contact, "calls", None, operation, (Debit("", NOW, amount),), answer, **more)])


def holds(shop: Shop, said: dict[str, Any]) -> bool:
    """Whether a condition holds of the contact."""
    node, wrong = parse(said, CONTACT_FIELDS)
    assert wrong == []
    made = compiled(node)
    with shop.engine.connect() as db:
        return bool(db.scalar(text(f"select exists (select {CONTACTS} and {made.sql})"), made.values | {"as_of": NOW}))


def test_conditions_ask_for_what_the_ledger_and_usage_say(shop: Shop) -> None:
    shop.catalog()
    began = {"created": AT - 120 * DAY, "start_date": AT - 120 * DAY}
    for quantity, days in ((4, 120), (1, 20)):
        trial = {"id_": "sub_2", "status": "trialing", "trial_end": AT + 5 * DAY, "trial_start": AT - 9 * DAY}
        shop.has(
            subscription(items=[item("si_1", quantity=quantity)], **began),
            subscription(items=[item("si_2", "sub_2")], **began, **trial),
            at=AT - days * DAY,
        )
        shop.refresh()
    contact = shop.scalar("select key from tidegate.contacts")
    with shop.engine.begin() as db:
        consumed(db, contact, amount=800)
        db.execute(text("update tidegate.usage_debits set at = :at"), {"at": NOW - timedelta(days=12)})
        over = (Debit("", NOW - timedelta(days=60), 999, NOW - timedelta(days=30)),)
        ledger.write(db, [Note(contact, "calls", None, "release", over, {"feature": "calls", "amount": 999})])
        db.execute(text("update tidegate.contacts set created_at = :at"), {"at": NOW - timedelta(days=61)})
    found = facts(shop)
    assert (found["usage_share"], found["last_active_at"]) == (Decimal("0.8"), NOW - timedelta(days=12))
    assert (found["mrr_trend"], found["downgraded_at"]) == (Decimal("0.25"), NOW - timedelta(days=20))
    with (
        shop.engine.begin() as db,
        rebuild.opened() as work,
    ):  # of a policy that is only tried
        work.rebuild(db, editions.draft(db, "acme", editions.terms(db, "acme")))
        due.note(db, [contact])
    assert facts(shop)["mrr_trend"] == Decimal("0.25")
    for said in (
        {"field": "usage", "at_least": 0.8, "below": 0.81},
        {"field": "days_inactive", "is": 12},
        {"field": "last_active_at", "before": "2026-03-04", "after": "2026-03-03"},
        {"field": "mrr_trend", "is": 0.25},
        {"field": "downgraded_at", "in_last_days": 21, "more_than_days_ago": 20},
        {"field": "last_moved_at", "in_last_days": 21, "more_than_days_ago": 20},
        {"field": "customer_since", "in_last_days": 121, "more_than_days_ago": 120},
        {"field": "tenure_days", "is": 120},
        {"field": "trial_ends_at", "in_next_days": 6, "more_than_days_ahead": 5},
        {"field": "subscriptions", "is": 1},
        {"field": "churned_at", "known": False},
        {"field": "created_at", "in_last_days": 62, "more_than_days_ago": 61},
    ):
        assert holds(shop, said), said
    shop.has(subscription(status="canceled", ended_at=AT - 2 * DAY, canceled_at=AT - 2 * DAY, **began), at=AT - 2 * DAY)
    facts(shop)
    assert holds(shop, {"field": "churned_at", "in_last_days": 3, "more_than_days_ago": 2})
    assert holds(shop, {"field": "subscriptions", "is": 0})


def due_now(shop: Shop) -> list[int]:
    """Who waits to be looked at because of usage."""
    with shop.engine.begin() as db:
        db.execute(text("delete from tidegate.lifecycle_due"))
        due.note_used(db)
        return list(db.scalars(text("select contact from tidegate.lifecycle_due order by contact")))


def test_usage_that_is_committed_after_later_usage_is_noticed(shop: Shop) -> None:
    shop.has(customer("cus_2", email="bo@example.com"), sub(), sub("sub_2", customer="cus_2"))
    shop.refresh()
    [(one,), (other,)] = shop.rows("select key from tidegate.contacts order by key")
    assert due_now(shop) == []
    with shop.engine.begin() as slow:
        consumed(slow, one)
        with shop.engine.begin() as quick:
            consumed(quick, other)
        assert due_now(shop) == [other]
    assert due_now(shop) == [one]
    assert due_now(shop) == []


def test_what_was_reserved_and_is_given_back_is_noticed(shop: Shop) -> None:
    shop.has(sub())
    shop.refresh()
    contact = shop.scalar("select key from tidegate.contacts")
    with shop.engine.begin() as db:
        consumed(db, contact, "reserve", expires_at=NOW)
    assert due_now(shop) == [contact]
    with shop.engine.begin() as db:
        ledger.end_reservations(db, [contact], NOW)
    assert due_now(shop) == [contact]
    assert shop.rows("select used from tidegate.usage") == [(0,)]


def late(since: float) -> dict[str, Any]:
    """An invoice that could not be paid, so many days ago."""
    at = int(datetime.now(UTC).timestamp() - since * DAY)
    said = {"customer": "cus_1", "currency": "usd", "subscription": "sub_1", "attempt_count": 1}
    return invoice("in_1", status="open", created=at, status_transitions={"finalized_at": at}, **said)


HELD: dict[str, tuple[list[dict[str, Any]], str, list[str], int | None]] = {
    "what it subscribes to": ([sub()], "", ["pro"], 1),
    "of all its subscriptions": ([sub(), sub("sub_2", status="trialing")], "", ["pro"], 2),
    "in its days of grace": ([sub(status="past_due", latest_invoice="in_1"), late(3)], "", ["pro"], 1),
    "after its days of grace": ([sub(status="past_due", latest_invoice="in_1"), late(30)], "", ["free"], 1),
    "of which it has none": ([subscription(items=[item("si_0", quantity=0)])], "", ["free"], 0),
    "what nobody pays for": ([sub(status="unpaid")], "", ["free"], None),
    "the default": ([], "", ["free"], None),
    "what a person gave": ([sub()], "extra-seats", ["extra-seats", "pro"], 1),
    "what a person gave beside nothing": ([], "pro", ["pro"], None),
}


@pytest.mark.parametrize("case", HELD)
def test_destinations_are_told_the_packages_and_the_quantity_that_conditions_ask_for(shop: Shop, case: str) -> None:
    bodies, given, packages, quantity = HELD[case]
    shop.catalog()
    with shop.engine.begin() as db:
        catalog.define(db, "free", is_default=True)
        catalog.draft(db, "free", {"calls": 10})
        catalog.publish(db, "free")
        key = directory.make(db, False, Making("account", "acme"))
        if given:
            overrides.give(db, Giving(key, "ada", package=given))
    if bodies:
        shop.has(*bodies)
        with shop.engine.begin() as db:
            by_hand.link(db, "acme", False, "cus_1", directory.of_key(db, key), by="ada")
    shop.refresh()
    with shop.engine.begin() as db:
        due.note_all(db)
    lifecycle.keep(shop.engine)
    with shop.engine.connect() as db:
        asked = db.execute(text("select packages, quantity from tidegate.contact_lifecycle where contact = :key"),
                           {"key": key}).one()  # fmt: skip
        told = properties(db, [key], ["packages", "quantity"])[key]
    assert (asked.packages, asked.quantity) == (packages, quantity)
    assert told == {"packages": packages, "quantity": quantity}


def test_the_features_of_a_contact_are_those_that_are_granted_to_it(shop: Shop) -> None:
    shop.catalog()
    export = price("price_export", product="prod_7")
    shop.has(export)
    with shop.engine.begin() as db:
        features.define(db, "export", "boolean")
        features.define(db, "audit", "boolean")
        mappings.set_(db, Wanted("acme", price="price_export", feature="export", terms=True))
    exported = item("si_2", "sub_2", price=export)
    shop.has(sub(), subscription("sub_2", items=[exported]))
    assert facts(shop)["features"] == ["calls", "export", "seats", "sso"]
    with shop.engine.begin() as db:
        key = db.scalar(text("select key from tidegate.contacts"))
        given = overrides.give(db, Giving(key, "ada", feature="audit", terms=True))
        refresh_contacts(db, [key])
    shop.has(subscription("sub_2", items=[exported], status="unpaid"), at=200)
    assert facts(shop)["features"] == ["audit", "calls", "seats", "sso"], "who does not pay may not export"
    with shop.engine.begin() as db:
        overrides.revoke(db, given, "ada")
        refresh_contacts(db, [key])
    assert facts(shop)["features"] == ["calls", "seats", "sso"]


def test_destinations_are_told_what_a_contact_is_worth_owes_and_when(shop: Shop) -> None:
    euro = price("price_eur", currency="eur", unit_amount=500, unit_amount_decimal="500")
    began: dict[str, Any] = {"created": AT - 120 * DAY, "start_date": AT - 120 * DAY}
    open_: dict[str, Any] = {"status": "open", "customer": "cus_1", "attempt_count": 1}
    details = {"feedback": "too_expensive"}
    shop.has(
        euro, customer(metadata={"plan": "gold"}), card("pm_1", 3, 2026),
        subscription(items=[item("si_1", current_period_end=AT + 10 * DAY)], default_payment_method="pm_1",
                     metadata={"team": "blue"}, **began),
        subscription("sub_2", items=[item("si_2", "sub_2", price=euro, current_period_end=AT + 20 * DAY)],
                     currency="eur", **began),
        subscription("sub_3", items=[item("si_3", "sub_3", current_period_end=AT + 30 * DAY)], status="trialing",
                     trial_start=AT - DAY, trial_end=AT + 5 * DAY),
        sub("sub_4", status="canceled", canceled_at=AT - DAY, ended_at=AT - DAY, cancellation_details=details, **began),
        invoice("in_1", created=AT - 9 * DAY, currency="usd", amount_remaining=1900, **open_),
        invoice("in_2", created=AT - 9 * DAY, currency="eur", amount_remaining=700, **open_),
        invoice("in_3", created=AT - 8 * DAY, currency="usd", status="paid", customer="cus_1", amount_remaining=0),
        at=AT - 8 * DAY,
    )  # fmt: skip
    found = facts(shop)
    names = (
        "stage", "mrr", "arr", "currency", "status", "statuses", "subscriptions", "customer_since", "renews_at",
        "trial_ends_at", "amount_open", "failed_payments", "card_expires_at", "cancellation_reason",
        "customer.metadata.plan", "subscription.metadata.team", "subscription.gone",
    )  # fmt: skip
    with shop.engine.connect() as db:
        [told] = properties(db, [shop.scalar("select key from tidegate.contacts")], names).values()
    assert tuple(told) == names
    assert told == {
        "stage": "at_risk", "mrr": {"eur": 5.0, "usd": 10.0}, "arr": {"eur": 60.0, "usd": 120.0},
        "currency": "eur, usd", "status": "active", "statuses": told["statuses"], "subscriptions": 2,
        "customer_since": "2025-11-15T00:00:00Z", "renews_at": "2026-03-25T00:00:00Z",
        "trial_ends_at": "2026-03-20T00:00:00Z", "amount_open": {"eur": 7.0, "usd": 19.0}, "failed_payments": 2,
        "card_expires_at": "2026-04-01T00:00:00Z", "cancellation_reason": "too_expensive",
        "customer.metadata.plan": "gold", "subscription.metadata.team": "blue", "subscription.gone": None,
    }  # fmt: skip
    assert sorted(told["statuses"]) == ["active", "canceled", "trialing"]
    assert found["stage"] == told["stage"]
