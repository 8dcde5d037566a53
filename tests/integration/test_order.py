"""In whatever order events come, what is derived of them is the same."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.builders import customer, invoice, item, subscription
from tests.support.shop import SEATS, Shop, opened

from tidegate.catalog import packages
from tidegate.contacts import directory
from tidegate.contacts.directory import Making

Event = tuple[dict[str, Any], dict[str, Any] | None, int]
"""The object, what stood before, and when it was told (epoch seconds)."""

DERIVED = {
    "links": "select connection, customer, contact, method, evidence from tidegate.links order by 1, 2",
    "reviews": "select connection, customer, reason, candidates, evidence from tidegate.reviews order by 1, 2",
    "grants": "select * from tidegate.grants order by connection, subscription, item",
    "holdings": "select connection, subscription, package, version from tidegate.holdings order by 1, 2, 3",
    "unmapped": "select connection, price, product from tidegate.unmapped_prices order by 1, 2",
    "told": "select contact, entitlements, changes_at from tidegate.entitlements_told where entitlements <> '{}'",
}


def known(id_: str, email: str, **metadata: str) -> dict[str, Any]:
    return customer(id_, email=email, metadata=metadata)


def subscribes(number: int, whose: int, *items: dict[str, Any], **fields: Any) -> dict[str, Any]:
    id_ = f"sub_{number}"
    own = [{**one, "id": f"{one['id']}_{number}", "subscription": id_} for one in items or [item("si")]]
    return subscription(id_, own, customer=f"cus_{whose}", created=number, latest_invoice=f"in_{number}", **fields)


def owed(number: int, whose: int, **fields: Any) -> dict[str, Any]:
    of = {"customer": f"cus_{whose}", "subscription": f"sub_{number}", "created": 1000 + number}
    return invoice(f"in_{number}", **of, **fields)


def fails(number: int, whose: int, created: int) -> dict[str, Any]:
    of = {"customer": f"cus_{whose}", "payment_intent": f"pi_{number}", "amount": 1000, "currency": "usd"}
    return {"id": f"ch_{number}", "object": "charge", "created": created, "status": "failed", **of}


def pays(number: int, for_: int) -> dict[str, Any]:
    by = {"type": "payment_intent", "payment_intent": f"pi_{number}"}
    of = {"invoice": f"in_{for_}", "status": "open", "payment": by}
    return {"id": f"inpay_{number}", "object": "invoice_payment", "created": 1000, **of}


SEAT = item("seat", quantity=2, price=SEATS)
UNMAPPED = item("other", price={**SEATS, "id": "price_other"})
FIRST = [
    known("cus_1", "ada@acme.com"),
    subscribes(1, 1, status="trialing"),
    subscribes(1, 1, item("si"), SEAT, status="active"),
    known("cus_1", "ada@acme.com", account_id="beta"),
    known("cus_2", "bob@else.com"),
    subscribes(2, 2, status="active"),
    owed(2, 2, status="open", attempt_count=0),
    (subscribes(2, 2, status="past_due"), {"status": "active"}),
    owed(2, 2, status="open", attempt_count=1),
    fails(1, 2, 1042),
    pays(1, 2),
    fails(2, 2, 1044),
    pays(2, 2),
    known("cus_2", "bob@else.com", account_id="acme"),
    (subscribes(1, 1, item("si"), {**SEAT, "quantity": 5}, status="past_due"), {"status": "active"}),
    owed(1, 1, status="open", attempt_count=1),
    owed(1, 1, status="uncollectible", attempt_count=4),
    known("cus_1", "ada@acme.com", account_id="acme"),
    subscribes(4, 1, UNMAPPED, status="active"),
]
SECOND = [
    subscribes(3, 1, item("si"), SEAT, status="incomplete"),
    subscribes(3, 1, item("si"), SEAT, status="active"),
    subscribes(3, 1, item("si"), {**SEAT, "quantity": 0}, status="active"),
    owed(2, 2, status="paid", attempt_count=2),
    subscribes(2, 2, status="active", cancel_at=4_000_000_000),
    (subscribes(4, 1, UNMAPPED, status="past_due"), {"status": "active"}),
    subscribes(4, 1, UNMAPPED, SEAT, status="past_due"),
    known("cus_3", "eve@acme.com"),
    subscribes(5, 3, status="active"),
]
PUBLISHED = 2000
"""When, between the two, another version of the package came."""


def dated(told: Sequence[Any], since: int) -> list[Event]:
    """The events in the order in which they happened, one every ten seconds."""
    pairs = [one if isinstance(one, tuple) else (one, None) for one in told]
    return [(body, previous, since + 10 * n) for n, (body, previous) in enumerate(pairs)]


def lives(shop: Shop, shuffled: random.Random | None) -> dict[str, list[tuple[Any, ...]]]:
    """What is derived when all of it came, each event followed by a refresh."""
    with shop.engine.begin() as db:
        db.execute(text(FORGET))
        db.execute(text("update tidegate.mappings set created_at = 'epoch'"))
        db.execute(text("update tidegate.package_versions set published_at = 'epoch'"))
        directory.make(db, False, Making("account", "acme", domains=("acme.com",)))
        directory.make(db, False, Making("account", "beta"))
    for told, since in ((FIRST, 1000), (SECOND, PUBLISHED)):
        if since == PUBLISHED:
            with shop.engine.begin() as db:
                packages.draft(db, "pro", {"calls": 5})
                packages.publish(db, "pro")
                then = "update tidegate.package_versions set published_at = to_timestamp(:at) where version = 2"
                db.execute(text(then), {"at": PUBLISHED})
        events = dated(told, since)
        if shuffled is not None:
            shuffled.shuffle(events)
        for body, previous, at in events:
            shop.told(body, at=at, previous=previous)
            shop.refresh()
    return {name: shop.rows(sql) for name, sql in DERIVED.items()}


FORGET = """
truncate stripe.customers, stripe.subscriptions, stripe.subscription_items, stripe.invoices, stripe.invoice_lines,
  stripe.invoice_payments, stripe.charges, tidegate.versions, tidegate.holdings, tidegate.reviews,
  tidegate.unmapped_prices, tidegate.changed_customers, tidegate.changed_objects,
  tidegate.refetches;
truncate tidegate.contacts restart identity cascade;
delete from tidegate.package_versions where version = 2"""


@pytest.mark.wide
def test_the_order_of_events_makes_no_difference(fresh_database_url: str) -> None:
    with opened(fresh_database_url) as shop:
        shop.settings(metadata_keys=["account_id"])
        shop.catalog()
        expected = lives(shop, None)
        versions = [(row[1], row[3]) for row in expected["holdings"] if row[2] == "pro"]
        assert versions == [("sub_1", 1), ("sub_2", 1), ("sub_3", 2), ("sub_5", 2)]
        assert all(expected[name] for name in DERIVED if name != "reviews"), expected
        for seed in (1, 2, 14):
            assert lives(shop, random.Random(seed)) == expected, seed
