"""What many customers have in common, such as prices: where it comes later or changes, whoever names it is worked out
anew, and nobody else.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.books import BEGUN, Books
from tests.support.builders import coupon, item, price, subscription
from tests.support.histories import MILLION
from tests.support.shop import opened

from tidegate.catalog import mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.workflows.catalog import catalog_changes
from tidegate.workflows.previewing import Change, settle

pytestmark = pytest.mark.further

TIERS = [{"up_to": None, "unit_amount": 1500, "unit_amount_decimal": "1500", "flat_amount": None}]
TIERED: dict[str, Any] = {
    "billing_scheme": "tiered",
    "tiers_mode": "volume",
    "unit_amount": None,
    "unit_amount_decimal": None,
}
WEEK = 7 * 86_400


@pytest.fixture
def books(fresh_database_url: str) -> Iterator[Books]:
    with opened(fresh_database_url) as shop:
        books = Books(shop)
        books.pays(books.who("bystander")[0], 700)
        yield books


def subscribes(books: Books, of: dict[str, Any] | None = None, **more: Any) -> str:
    """A customer with a subscription, refreshed before what it names is known."""
    [who] = books.who("ada")
    one = item("si_1", price=of or price(product="prod_1"))
    books.shop.told(subscription("sub_1", [one], customer=who, created=BEGUN, start_date=BEGUN, **more), at=BEGUN)
    books.refresh()
    return who


def worth(books: Books, who: str) -> float:
    return (
        books.shop.scalar(f"select sum(mrr) from tidegate.spans where customer = '{who}' and ends_at is null") / MILLION
    )


def looked_at(books: Books) -> int:
    return books.shop.refresh().customers


def discounted(*, of: Any) -> dict[str, Any]:
    return {"discounts": [{"id": "di_1", "object": "discount", "start": BEGUN, "coupon": of}]}


def rate(id_: str, created: int) -> dict[str, Any]:
    return {"id": id_, "object": "tax_rate", "created": created, "inclusive": True, "percentage": 25.0}


def test_tiers_that_come_later_price_whoever_has_the_price(books: Books) -> None:
    who = subscribes(books, price("price_t", **TIERED))
    assert worth(books, who) == 0
    books.shop.has(price("price_t", **TIERED, tiers=TIERS), at=BEGUN + 50)
    assert looked_at(books) == 1
    assert worth(books, who) == 1500
    assert looked_at(books) == 0


def test_a_price_that_is_nowhere_named_any_more_but_in_the_past(books: Books) -> None:
    who = subscribes(books, price("price_t", **TIERED))
    later = [item("si_1", price=price())]
    books.shop.told(subscription("sub_1", later, customer=who, created=BEGUN, start_date=BEGUN), at=BEGUN + WEEK)
    books.refresh()
    books.shop.has(price("price_t", **TIERED, tiers=TIERS), at=BEGUN + 2 * WEEK)
    assert looked_at(books) == 1
    assert books.moves(who) == [("0", "new", 1500, "2026-01-09"), ("0", "contraction", -500, "2026-01-16")]


@pytest.mark.parametrize("limits", [{}, {"applies_to": {"products": ["prod_2"]}}], ids=["a coupon", "what it is for"])
def test_a_coupon_that_comes_later(books: Books, limits: dict[str, Any]) -> None:
    told = coupon("HALF", percent_off=50.0, duration="forever")
    who = subscribes(books, **discounted(of=told if limits else "HALF"))
    assert worth(books, who) == (500 if limits else 1000)
    books.shop.has({**told, **limits})
    assert looked_at(books) == 1
    assert worth(books, who) == (1000 if limits else 500)


def test_a_coupon_of_a_discount_that_only_the_mirror_knows(books: Books) -> None:
    who = subscribes(books, discounts=["di_9"])
    told = {"id": "di_9", "object": "discount", "start": BEGUN, "customer": who, "coupon": "HALF"}
    books.shop.has(told)
    books.refresh()
    books.shop.has(coupon("HALF", percent_off=50.0, duration="forever"))
    assert looked_at(books) == 1
    assert worth(books, who) == 500


@pytest.mark.parametrize("created", [BEGUN - 60, BEGUN - 2 * WEEK], ids=["new", "long known"])
def test_a_tax_rate_that_comes_later(books: Books, created: int) -> None:
    who = subscribes(books, price(tax_behavior="inclusive"), default_tax_rates=["txr_1"])
    assert worth(books, who) == 1000
    books.shop.has(rate("txr_2", created), at=BEGUN)
    assert looked_at(books) == 0
    books.shop.has(rate("txr_1", created), at=BEGUN)
    assert looked_at(books) == 1
    assert worth(books, who) == 800
    assert books.shop.rows("select * from tidegate.missing_tax_rates") == []
    assert looked_at(books) == 0


def test_the_name_of_a_product_is_in_the_events_of_who_has_it(books: Books) -> None:
    books.shop.has(price(product="prod_1"), {"id": "prod_1", "object": "product", "created": 10, "name": "Basic"})
    who = subscribes(books, status="trialing")
    level = f"""
select data #>> '{{properties,Subscription Plan Level}}' from tidegate.billing_events where customer = '{who}'"""
    assert books.shop.scalar(level) == "Basic"
    books.shop.has({"id": "prod_1", "object": "product", "created": 10, "name": "Starter"}, at=200)
    assert looked_at(books) == 1
    assert books.shop.scalar(level) == "Starter"


def test_what_a_price_or_product_is_mapped_to_now_is_what_billing_events_say(books: Books) -> None:
    books.shop.has({"id": "prod_1", "object": "product", "created": 10, "name": "Basic"}, price())
    who = subscribes(books, status="trialing")
    level = f"""
select data #>> '{{properties,Subscription Plan Level}}' from tidegate.billing_events where customer = '{who}'"""
    assert books.shop.scalar(level) == "Basic"
    engine = books.shop.engine
    with engine.begin() as db:
        for key in ("pro", "solo"):
            packages.define(db, key)
            packages.draft(db, key, {})
            packages.publish(db, key)

    def says(change: Change) -> str:
        settle(engine, change, anyway=True)
        assert looked_at(books) == 1
        return str(books.shop.scalar(level))

    assert says(catalog_changes.set_mapping(Wanted("acme", product="prod_1", package="solo"))) == "solo"
    assert says(catalog_changes.set_mapping(Wanted("acme", price="price_1", package="pro"))) == "pro"
    assert says(catalog_changes.define_package("pro", "ada", kind="add_on")) == "Basic"
    with engine.connect() as db:
        mapping = mappings.in_force(db, "acme", "price_1", None)
        assert mapping is not None
        removal = catalog_changes.remove_mapping(db, mapping["id"], "ada")
    assert says(removal) == "solo"


def test_what_no_price_depends_on_and_what_nobody_names_queues_nobody(books: Books) -> None:
    subscribes(books, **discounted(of="HALF"))
    known, reduced = price(), coupon("HALF", percent_off=50.0, duration="forever")
    books.shop.has(known, reduced, rate("txr_1", 90))
    looked_at(books)
    books.shop.has(known, reduced, at=150)
    books.shop.has({**known, "nickname": "gold", "metadata": {"a": "b"}, "active": False, "tiers": None}, at=200)
    books.shop.has({**reduced, "times_redeemed": 7, "valid": False, "name": "Half"}, at=200)
    books.shop.has({**rate("txr_1", 90), "display_name": "VAT"}, at=200)
    assert books.shop.rows("select resource, objects from tidegate.changed_objects") == []
    books.shop.has(price("price_new"), coupon("NEW"), rate("txr_2", BEGUN), at=BEGUN + 60)
    assert looked_at(books) == 0


def test_an_import_is_not_refreshed_twice(fresh_database_url: str) -> None:
    with opened(fresh_database_url) as shop:
        books = Books(shop)
        books.pays(books.who("ada")[0], 700)
        shop.has(price("price_700"), rate("txr_1", 10))
        assert looked_at(books) == 1
        assert looked_at(books) == 0
