"""What a contact has of its customers is the same in whatever order they come, and whenever a refresh looks."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.builders import customer
from tests.support.shop import Shop, opened

from tidegate.contacts import directory
from tidegate.contacts.directory import Making
from tidegate.workflows.contacts import contacts_edit

ACME = {"tidegate_id": "acme"}


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    with opened(fresh_database_url) as shop:
        shop.settings(only_subscribed=False, metadata_keys=["tidegate_id"])
        with shop.engine.begin() as db:
            directory.make(db, False, Making("account", "acme", made_by="api"))
        yield shop


def of_acme(n: int, created: int, name: str, email: str) -> dict[str, Any]:
    return customer(f"cus_{n}", created=created, name=name, email=email, metadata=ACME)


EVENTS: list[tuple[dict[str, Any], int]] = [
    (of_acme(1, 10, "Acme", "one@acme.com"), 100),
    (of_acme(2, 20, "Acme Inc", "TWO@acme.com"), 100),
    (of_acme(3, 30, "", "three@acme.com"), 100),
    (of_acme(4, 40, "Acme of old", "four@acme.com"), 100),
    ({"id": "cus_4", "object": "customer", "deleted": True}, 200),
    (of_acme(5, 50, "", ""), 100),
    (of_acme(3, 30, "", "3@acme.com"), 300),
    (customer("cus_6", email="two@ACME.com"), 100),  # whoever has the address of one of them is theirs
]


def stands(shop: Shop) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    return (
        shop.rows("select external_id, name, email from tidegate.contacts"),
        shop.rows("select folded, followed from tidegate.contact_emails order by 1"),
        shop.rows("select customer, method from tidegate.links order by 1"),
    )


@pytest.mark.parametrize("seed", range(8))
def test_name_and_addresses_do_not_depend_on_the_order_of_customers(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    events = chance.sample(EVENTS, len(EVENTS))
    for body, at in events:
        shop.has(body, at=at)
        if chance.random() < 0.4:
            shop.refresh()
    shop.refresh()
    contacts, emails, links = stands(shop)
    assert contacts == [("acme", "Acme Inc", "3@acme.com")]
    assert emails == [("3@acme.com", True), ("one@acme.com", True), ("two@acme.com", True)]
    alive = [(f"cus_{n}", "metadata") for n in (1, 2, 3, 5)]
    assert [one for one in links if one[0] != "cus_4"] == [*alive, ("cus_6", "email")]


def test_what_is_yours_follows_nobody(shop: Shop) -> None:
    contacts_edit.change(shop.engine, False, "acme", {"name": "Mine", "emails": ["me@acme.com"]}, "ada")
    for body, at in EVENTS:
        shop.has(body, at=at)
        shop.refresh()
    contacts, emails, _ = stands(shop)
    assert contacts == [("acme", "Mine", "me@acme.com")]
    assert emails == [("me@acme.com", False)]


def test_an_address_that_no_customer_has_any_more_goes(shop: Shop) -> None:
    shop.settings(only_subscribed=False, create_missing=True)
    shop.has(customer("cus_9", email="old@example.com"))
    shop.refresh()
    shop.has(customer("cus_9", email="new@example.com"), at=200)
    shop.refresh()
    found = shop.rows("""
select e.folded from tidegate.contact_emails e join tidegate.links l using (contact) where l.customer = 'cus_9'""")
    assert found == [("new@example.com",)]
