"""What holders keep of a mapping: it depends on the mirror and on what was decided, never on when a refresh came by."""

import random
from collections.abc import Callable, Iterator

import pytest
from tests.support.builders import customer, item, price, subscription
from tests.support.shop import SEATS, Shop, opened

from tidegate.catalog import kept
from tidegate.catalog.mappings import Wanted
from tidegate.workflows.catalog import catalog_changes
from tidegate.workflows.previewing import settle


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    with opened(fresh_database_url) as shop:
        shop.settings(create_missing=True)
        shop.catalog()
        yield shop


def comes(shop: Shop, n: int, at: int) -> None:
    items = [item(f"si_{n}", f"sub_{n}")]
    shop.has(customer(f"cus_{n}", email=f"c{n}@example.com"), at=at)
    shop.has(subscription(f"sub_{n}", items, customer=f"cus_{n}"), at=at)


def leaves(shop: Shop, n: int, at: int) -> None:
    items = [item(f"si_{n}", f"sub_{n}", price=SEATS)]
    shop.has(subscription(f"sub_{n}", items, customer=f"cus_{n}"), at=at)


def maps(shop: Shop, package: str) -> None:
    settle(shop.engine, catalog_changes.set_mapping(Wanted("acme", price="price_1", package=package)), anyway=True)


def unmaps(shop: Shop) -> None:
    number = shop.scalar("select id from tidegate.mappings where price = 'price_1' and removed_at is null")
    with shop.engine.connect() as db:
        change = catalog_changes.remove_mapping(db, number, "ada")
    settle(shop.engine, change, anyway=True)


STEPS: list[Callable[[Shop], None]] = [
    lambda shop: comes(shop, 1, 200),
    lambda shop: maps(shop, "extra-seats"),
    lambda shop: comes(shop, 2, 300),
    lambda shop: leaves(shop, 1, 400),
    unmaps,
    lambda shop: comes(shop, 3, 500),
    lambda shop: comes(shop, 1, 600),
    lambda shop: maps(shop, "pro"),
    lambda shop: leaves(shop, 2, 700),
    lambda shop: comes(shop, 4, 800),
]
"""pro is what the price means at first."""


@pytest.mark.parametrize("seed", [None, *range(6)])
def test_what_is_kept_does_not_depend_on_when_a_refresh_came(shop: Shop, seed: int | None) -> None:
    chance = random.Random(seed)
    for step in STEPS:
        step(shop)
        if seed is not None and chance.random() < 0.5:
            shop.refresh()
    shop.refresh()
    found = shop.rows("""
select k.subscription, k.price, m.package from tidegate.kept_mappings k join tidegate.mappings m on m.id = k.mapping
order by 1""")
    assert found == [("sub_1", "price_1", "pro"), ("sub_2", "price_1", "extra-seats")]
    seats = {n: shop.answer(f"c{n}@example.com", "seats")["limit"] for n in range(1, 5)}
    assert seats == {1: 10, 2: 5, 3: 10, 4: 10}
    with shop.engine.connect() as db:
        assert [(one["package"], one["subscriptions"]) for one in kept.every(db)] == [("pro", 1)]


def test_who_is_no_contact_yet_keeps_what_its_subscription_had(shop: Shop) -> None:
    shop.settings(create_missing=False)
    comes(shop, 1, 200)
    shop.refresh()
    maps(shop, "extra-seats")
    shop.settings(create_missing=True)
    shop.has(customer("cus_1", email="c1@example.com", name="Ada"), at=300)
    shop.refresh()
    assert shop.answer("c1@example.com", "seats")["limit"] == 10


def test_a_product_that_is_mapped_anew_leaves_its_holders_what_they_have(shop: Shop) -> None:
    shop.has(price("price_9", product="prod_9"), {"id": "prod_9", "object": "product", "created": 10, "name": "Nine"})
    settle(shop.engine, catalog_changes.set_mapping(Wanted("acme", product="prod_9", package="pro")))
    items = [item("si_9", "sub_9", price=price("price_9", product="prod_9"))]
    shop.has(customer("cus_9", email="c9@example.com"), subscription("sub_9", items, customer="cus_9"))
    done = settle(shop.engine, catalog_changes.set_mapping(Wanted("acme", product="prod_9", package="extra-seats")))
    assert done.result["kept"] == 1
    shop.refresh()
    assert shop.answer("c9@example.com", "seats")["limit"] == 10
