"""From mirrored customers and subscriptions to links, grants and answers, in the database."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text
from tests.support.builders import customer, invoice, item, price, subscription
from tests.support.shop import NOW, SEATS, Shop, opened

from tidegate.catalog import kept, mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.contacts import directory, linking
from tidegate.contacts.directory import Making
from tidegate.entitlements import overrides
from tidegate.entitlements.overrides import Giving
from tidegate.revenue.spans import derived
from tidegate.workflows import refresh as refreshing
from tidegate.workflows.revenue import revenue


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    with opened(fresh_database_url) as shop:
        yield shop


def second_subscription() -> dict[str, Any]:
    return subscription("sub_2", [item("si_2", "sub_2")], customer="cus_2")


def failed_charge(id_: str, created: int) -> dict[str, Any]:
    of = {"customer": "cus_1", "invoice": "in_1", "amount": 1000, "currency": "usd"}
    return {"id": id_, "object": "charge", "created": created, "status": "failed", **of}


def test_a_customer_becomes_a_contact_with_what_it_pays_for(shop: Shop) -> None:
    shop.settings(create_missing=True)
    both = [item("si_1"), item("si_2", quantity=3, price=SEATS)]
    shop.has(customer(email="Ada@Acme.com", name="Ada"), subscription(items=both))
    shop.catalog()
    done = shop.refresh()
    assert (done.customers, done.created, done.linked, done.grants) == (1, 1, 1, 2)
    seats = shop.answer("ada@acme.com", "seats")
    assert (seats["granted"], seats["limit"], seats["contact"]) == (True, 25, "account:ada@acme.com")
    assert [(one["package"], one["version"]) for one in seats["packages"]] == [("pro", 1), ("extra-seats", 1)]
    assert [(one["customer"], one["subscription"], one["item"], one["price"]) for one in seats["sources"]] == [
        ("cus_1", "sub_1", "si_1", "price_1"),
        ("cus_1", "sub_1", "si_2", "price_seats"),
    ]
    told = shop.rows("select type, data ->> 'feature' from tidegate.outbox order by id")
    assert told == [
        ("contact.created", None),
        ("contact.linked", None),
        ("entitlement.granted", "calls"),
        ("entitlement.granted", "seats"),
        ("entitlement.granted", "sso"),
    ]
    assert shop.refresh().customers == 0


def test_two_customers_of_one_address_are_one_contact(shop: Shop) -> None:
    shop.settings(create_missing=True)
    shop.has(customer("cus_1", 10), subscription("sub_1", customer="cus_1"))
    shop.has(
        customer("cus_2", 20, email="ADA@example.com"), subscription("sub_2", [item("si_2", "sub_2")], customer="cus_2")
    )
    shop.catalog()
    done = shop.refresh()
    assert (done.created, done.linked) == (1, 2)
    assert shop.rows("select customer, method from tidegate.links order by 1") == [
        ("cus_1", "created"),
        ("cus_2", "email"),
    ]


def test_past_due_has_its_days_of_grace_without_any_webhook_in_between(shop: Shop) -> None:
    shop.settings(create_missing=True)
    failed = int((NOW - timedelta(days=13)).timestamp())
    shop.has(customer(), subscription(status="past_due"))
    unpaid = invoice(
        "in_1", subscription="sub_1", status="open", attempt_count=1, collection_method="charge_automatically"
    )
    shop.has(unpaid)
    shop.has(
        {
            "id": "ch_2",
            "object": "charge",
            "created": failed + 500_000,
            "customer": "cus_1",
            "invoice": "in_1",
            "status": "failed",
            "amount": 1000,
            "currency": "usd",
        }
    )
    shop.has(
        {
            "id": "ch_1",
            "object": "charge",
            "created": failed,
            "customer": "cus_1",
            "invoice": "in_1",
            "status": "failed",
            "amount": 1000,
            "currency": "usd",
        }
    )
    shop.catalog()
    shop.refresh()
    within = shop.answer("ada@example.com", "sso")
    assert within["granted"]
    assert within["until"] == (NOW + timedelta(days=1)).isoformat()
    past = shop.answer("ada@example.com", "sso", NOW + timedelta(days=1))
    assert (past["granted"], past["reason"]) == (False, "feature_unavailable")
    assert past["sources"][0]["reason"] == "the subscription is past due and its days of grace are over"


def test_an_invoice_that_is_sent_has_its_grace_from_the_due_date(shop: Shop) -> None:
    shop.settings(create_missing=True, grace_days=3)
    due = int((NOW - timedelta(days=2)).timestamp())
    shop.has(customer(), subscription(status="past_due", collection_method="send_invoice"))
    shop.has(invoice("in_1", subscription="sub_1", status="open", collection_method="send_invoice", due_date=due))
    shop.catalog()
    shop.refresh()
    assert shop.answer("ada@example.com", "sso")["until"] == (NOW + timedelta(days=1)).isoformat()


OVERDUE = datetime(2026, 3, 10, tzinfo=UTC)
SECOND = int(OVERDUE.timestamp())
WRITTEN_OFF = invoice("in_1", created=SECOND - 86400, subscription="sub_1", status="uncollectible", attempt_count=4)
NEVER_DUE = invoice("in_1", created=SECOND, subscription="sub_1", status="open", collection_method="send_invoice")


@pytest.mark.parametrize(
    ("invoices", "told", "since"),
    [
        pytest.param([], True, OVERDUE, id="the event that changed the status"),
        pytest.param([WRITTEN_OFF], False, OVERDUE - timedelta(days=1), id="the latest invoice, though written off"),
        pytest.param([], False, OVERDUE - timedelta(days=2), id="the period, when no invoice is to be seen"),
        pytest.param([NEVER_DUE], False, OVERDUE, id="an invoice that is sent and never due"),
    ],
)
def test_past_due_ends_though_no_open_invoice_tells_since_when(
    shop: Shop, invoices: list[dict[str, Any]], told: bool, since: datetime
) -> None:
    shop.settings(create_missing=True)
    begun = item("si_1", current_period_start=SECOND - 2 * 86400)
    late = subscription(status="past_due", items=[begun], latest_invoice="in_1")
    shop.has(customer(), *invoices)
    if told:
        shop.told(late | {"status": "active"}, at=SECOND - 86400)
        shop.told(late, at=SECOND, previous={"status": "active"})
    else:
        shop.has(late, at=SECOND)
    shop.catalog()
    shop.refresh()
    over = (since + timedelta(days=14)).isoformat()
    assert shop.answer("ada@example.com", "sso")["until"] == over
    shop.has(late, at=SECOND + 5 * 86400)
    shop.has(late | {"description": "changed"}, at=SECOND + 6 * 86400)
    shop.refresh()
    assert shop.answer("ada@example.com", "sso")["until"] == over


def test_a_payment_of_an_invoice_that_comes_last_tells_since_when_it_is_overdue(shop: Shop) -> None:
    shop.settings(create_missing=True)
    owing = invoice("in_1", created=SECOND - 86400, subscription="sub_1", status="open", attempt_count=1)
    failed = {"id": "ch_1", "object": "charge", "created": SECOND, "customer": "cus_1", "status": "failed"}
    shop.has(customer(), subscription(status="past_due"), owing)
    shop.has(failed | {"amount": 1000, "currency": "usd", "payment_intent": "pi_1"})
    shop.catalog()
    shop.refresh()
    paying = {"id": "inpay_1", "object": "invoice_payment", "created": SECOND, "invoice": "in_1", "status": "open"}
    shop.has(paying | {"payment": {"type": "payment_intent", "payment_intent": "pi_1"}})
    assert shop.refresh().customers == 1
    over = (OVERDUE + timedelta(days=14)).isoformat()
    assert shop.answer("ada@example.com", "sso")["until"] == over


@pytest.mark.parametrize("kind", ["refund", "dispute"])
def test_what_is_of_a_charge_alone_refreshes_whoever_was_charged(shop: Shop, kind: str) -> None:
    charge = {"id": "ch_1", "object": "charge", "created": SECOND, "customer": "cus_1", "status": "succeeded"}
    shop.has(customer(), charge | {"amount": 1000, "currency": "usd"})
    shop.refresh()
    shop.has({"id": f"{kind}_1", "object": kind, "created": SECOND, "charge": "ch_1", "amount": 1000, "status": "lost"})
    assert shop.refresh().customers == 1


def test_who_never_held_a_package_gets_the_version_of_the_day_when_its_price_is_mapped(shop: Shop) -> None:
    shop.settings(create_missing=True)
    shop.has(customer(), subscription())
    shop.catalog()
    with shop.engine.begin() as db:
        mappings.remove(db, mappings.every(db)[0]["id"])
        packages.draft(db, "pro", {"calls": 500})
        packages.publish(db, "pro")
    shop.refresh()
    with shop.engine.begin() as db:
        mappings.set_(db, Wanted("acme", price="price_1", package="pro"))
        refreshing.refresh_contacts(db, mappings.touched(db, "acme", "price_1", None))
    assert shop.answer("ada@example.com", "calls")["limit"] == 500


def test_subscribers_stay_on_their_version_until_they_are_migrated(shop: Shop) -> None:
    shop.settings(create_missing=True)
    shop.has(customer(), subscription())
    shop.catalog()
    shop.refresh()
    with shop.engine.begin() as db:
        packages.draft(db, "pro", {"calls": 500})
        assert packages.publish(db, "pro") == 2
    shop.has(subscription(quantity=1, description="changed"), at=200)
    shop.refresh()
    assert shop.answer("ada@example.com", "calls")["limit"] == 1000
    with shop.engine.begin() as db:
        assert packages.migrate(db, "pro") == 1
        refreshing.refresh_contacts(db, packages.holders(db, "pro"))
    assert shop.answer("ada@example.com", "calls")["limit"] == 500
    assert not shop.answer("ada@example.com", "sso")["granted"]


@pytest.mark.parametrize("looked_in_between", [True, False])
def test_who_leaves_a_package_and_comes_back_has_the_version_it_had(shop: Shop, looked_in_between: bool) -> None:
    shop.settings(create_missing=True)
    shop.has(customer(), subscription())
    shop.catalog()
    shop.refresh()
    with shop.engine.begin() as db:
        packages.draft(db, "pro", {"calls": 500})
        packages.publish(db, "pro")
    later = int(datetime.now(UTC).timestamp()) + 60
    shop.has(subscription(items=[item("si_1", price=SEATS)]), at=later)
    if looked_in_between:
        shop.refresh()
        assert not shop.answer("ada@example.com", "calls")["granted"]
        with shop.engine.begin() as db:
            assert packages.migrate(db, "pro", to=2) == 0  # it is not counted, and comes back to where all are
            assert packages.migrate(db, "pro", to=1) == 0
    shop.has(subscription(), at=later + 60)
    shop.refresh()
    assert shop.answer("ada@example.com", "calls")["limit"] == 1000


def test_an_unmapped_price_waits_and_grants_the_rest_when_it_is_mapped(shop: Shop) -> None:
    shop.settings(create_missing=True)
    other = price("price_x", product="prod_x", unit_amount=700, unit_amount_decimal="700")
    both = [item("si_1"), item("si_2", quantity=2, price=other, unit_amount=700)]
    shop.has(
        other, {"id": "prod_x", "object": "product", "created": 10, "name": "X"}, customer(), subscription(items=both)
    )
    shop.catalog()
    shop.refresh()
    assert shop.answer("ada@example.com", "sso")["granted"]
    with shop.engine.begin() as db:
        [waiting] = mappings.queue(db, "acme")
        assert (waiting["price"], waiting["subscriptions"], waiting["list_value"]) == ("price_x", 1, 1400)
        mappings.set_(db, Wanted("acme", product="prod_x", feature="seats", terms=1))
        refreshing.refresh_contacts(db, mappings.touched(db, "acme", None, "prod_x"))
        assert mappings.queue(db, "acme") == []
    assert shop.answer("ada@example.com", "seats")["limit"] == 12
    unmapped = shop.rows("select data ->> 'price' from tidegate.outbox where type = 'mapping.unmapped'")
    assert unmapped == [("price_x",)]


def test_holders_may_keep_a_mapping_that_is_removed(shop: Shop) -> None:
    shop.settings(create_missing=True)
    shop.has(customer(), subscription())
    shop.catalog()
    shop.refresh()
    with shop.engine.begin() as db:
        known = mappings.in_force(db, "acme", "price_1", None)
        assert known is not None
        assert kept.keep(db, "acme", "price_1", None) == 1
        mappings.remove(db, known["id"])
    shop.has(
        customer("cus_2", email="bob@example.com"), subscription("sub_2", [item("si_2", "sub_2")], customer="cus_2")
    )
    shop.refresh()
    with shop.engine.begin() as db:
        refreshing.refresh_contacts(db, [key for (key,) in shop.rows("select key from tidegate.contacts")])
    assert shop.answer("ada@example.com", "sso")["granted"]
    assert not shop.answer("bob@example.com", "sso")["granted"]


def test_a_user_has_what_its_account_has_and_the_answer_says_so(shop: Shop) -> None:
    shop.settings(create_missing=True)
    shop.has(customer(), subscription())
    shop.catalog()
    shop.refresh()
    with shop.engine.begin() as db:
        user = directory.make(db, False, Making("user", "u1", email="bob@example.com"))
        account = directory.find(db, False, "ada@example.com")
        directory.join(db, account.key, user, "admin")
    found = shop.answer("u1", "sso")
    assert (found["granted"], found["via"]) == (True, "account:ada@example.com")


def test_a_contact_keeps_its_ids_and_its_usage_when_it_is_renamed(shop: Shop) -> None:
    shop.settings(create_missing=True)
    shop.has(customer(), subscription())
    shop.catalog()
    shop.refresh()
    with shop.engine.begin() as db:
        directory.rename(db, directory.find(db, False, "ada@example.com"), "w1")
    assert shop.answer("w1", "sso")["granted"]
    assert shop.answer("ada@example.com", "sso")["contact"] == "account:w1"


def test_an_override_expires_by_itself_and_is_told(shop: Shop) -> None:
    shop.catalog()
    with shop.engine.begin() as db:
        key = directory.make(db, False, Making("account", "acme"))
        ends = datetime.now(UTC) + timedelta(seconds=0.5)
        overrides.give(db, Giving(key, "ada", "a week", feature="sso", expires_at=ends))
        refreshing.refresh_contacts(db, [key])
    assert shop.answer("acme", "sso", ends - timedelta(milliseconds=1))["granted"]
    assert not shop.answer("acme", "sso", ends)["granted"]
    with shop.engine.begin() as db:
        db.execute(text("delete from tidegate.lifecycle_due"))
    while not refreshing.refresh_due(shop.engine):
        assert datetime.now(UTC) < ends + timedelta(seconds=30)
    assert shop.rows("select contact from tidegate.lifecycle_due") == [(key,)], "stages may ask for packages"
    told = shop.rows("select type from tidegate.outbox order by id")
    assert told == [("entitlement.granted",), ("entitlement.revoked",)]


def test_all_that_is_due_is_told_at_once_in_batches(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refreshing, "BATCH", 2)
    shop.catalog()
    ended = datetime.now(UTC) - timedelta(seconds=1)
    with shop.engine.begin() as db:
        for n in range(5):
            key = directory.make(db, False, Making("account", f"a{n}"))
            number = overrides.give(db, Giving(key, "ada", feature="sso", since=ended - timedelta(days=1)))
            over = "update tidegate.overrides set expires_at = :at where id = :id"  # as time makes it
            db.execute(text(over), {"at": ended, "id": number})
            db.execute(
                text("insert into tidegate.entitlements_told values (:key, cast(:told as jsonb), :at, 0)"),
                {"key": key, "told": '{"sso": true}', "at": ended},
            )
    assert refreshing.refresh_due(shop.engine) == 5
    assert shop.rows("select type, count(*) from tidegate.outbox group by 1") == [("entitlement.revoked", 5)]
    assert refreshing.refresh_due(shop.engine) == 0


def test_histories_of_many_are_worked_out_beside_their_links(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.settings(create_missing=True)
    shop.catalog()
    for n in range(refreshing.FEW + 1):
        of = subscription(f"sub_{n}", [item(f"si_{n}", f"sub_{n}")], customer=f"cus_{n}")
        shop.has(customer(f"cus_{n}", email=f"{n}@example.com"), of)
    seen: list[tuple[str, int]] = []

    def seeing(db: Connection, *given: Any) -> Any:
        seen.append((threading.current_thread().name, len(given[1])))
        return derived(db, *given)

    def failing(*_given: Any) -> Any:
        raise ValueError("no history")

    monkeypatch.setattr(revenue, "derived", failing)
    with pytest.raises(ValueError, match="no history"):
        refreshing.refresh_all(shop.engine, shop.account)
    assert shop.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert shop.scalar("select count(*) from tidegate.links") == 0
    monkeypatch.setattr(revenue, "derived", seeing)
    assert refreshing.refresh_all(shop.engine, shop.account).spans == refreshing.FEW + 1
    assert seen == [("histories_0", refreshing.FEW + 1)]
    assert shop.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert shop.refresh().spans == 0  # what was queued
    shop.has(customer("cus_0", email="other@example.com"), at=200)
    assert shop.refresh().customers == 1
    assert seen[-1] == (threading.current_thread().name, 1)


def test_plans_are_kept_for_customers_with_few_rows_of_tables_that_postgresql_knows(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.settings(create_missing=True)
    shop.catalog()
    modes: list[str] = []
    link = linking.link

    def seeing(db: Connection, *given: Any) -> Any:
        modes.append(db.scalar(text("show plan_cache_mode")) or "")
        return link(db, *given)

    monkeypatch.setattr(refreshing.linking, "link", seeing)
    monkeypatch.setattr(refreshing, "FEW_ROWS", 4)
    shop.has(customer("cus_1", email="ada@example.com"), customer("cus_2", email="ada@example.com"))
    shop.has(subscription("sub_1", [item("si_1", "sub_1")], customer="cus_1"), second_subscription())
    assert shop.refresh().spans == 2
    assert shop.refresh().customers == 0
    shop.has(customer("cus_1", 10, email="ada@example.com", name="Ada"), at=200)
    assert shop.refresh().customers == 1
    monkeypatch.undo()
    monkeypatch.setattr(refreshing.linking, "link", seeing)
    with shop.engine.begin() as db:
        db.execute(text("create table tidegate.filled as select repeat('x', 500) as x from generate_series(1, 1000)"))
    monkeypatch.setattr(refreshing, "READ", (*refreshing.READ, "tidegate.filled"))
    shop.has(customer("cus_1", 10, email="ada@example.com", name="Ada L"), at=300)
    assert shop.refresh().customers == 1
    assert modes == ["force_generic_plan", "force_custom_plan", "force_custom_plan"]


def test_all_tables_whose_growth_is_watched_are_there(shop: Shop) -> None:
    assert shop.scalar(f"select count(*) from unnest(array{list(refreshing.READ)}::regclass[])") == len(refreshing.READ)
