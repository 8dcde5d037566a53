"""What products are taken for, by how they are subscribed to: a table of the ways companies set Stripe up."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tidegate.catalog import seen
from tidegate.catalog.proposals import Known, PriceSeen, ProductSeen, Suggestion
from tidegate.catalog.suggestions import plan_name, suggest

NOTHING = Known()


def price(id_: str = "price_1", **said: Any) -> PriceSeen:
    return PriceSeen(id_, **said)


def product(name: str = "Pro", id_: str = "prod_1", **said: Any) -> ProductSeen:
    counts = {"subscriptions": 10, "customers": 9, "contacts": 8, "alone": 10, "leads": 10}
    return ProductSeen(id_, name, **({"prices": (price(),)} | counts | said))


def beside(name: str, **said: Any) -> ProductSeen:
    """A product that never leads a subscription."""
    return product(name, **({"alone": 0, "leads": 0} | said))


def only(seen: ProductSeen, known: Known = NOTHING) -> Suggestion:
    [one], left = suggest([seen], known)
    assert left == []
    return one


def test_what_is_sold_can_be_kept_as_json() -> None:
    sold = [
        product(given=(("sso", "SSO"),), prices=(price(amount=None), price("price_2", interval=""))),
        beside("Seat"),
    ]
    assert seen.from_json(json.loads(json.dumps(seen.as_json(sold)))) == sold


def test_a_product_is_a_package_whatever_its_prices() -> None:
    prices = (
        price("price_m"),
        price("price_y", interval="year"),
        price("price_e", currency="eur"),
        price("price_old", active=False),
    )
    one = only(product("Pro", prices=prices))
    assert (one.name, one.mappings) == (
        "package:pro",
        ({"product": "prod_1", "package": "pro", "per_quantity": False},),
    )
    assert one.package == {"key": "pro", "name": "Pro", "features": {}}
    assert (one.subscriptions, one.customers, one.contacts) == (10, 9, 8)
    assert "10 of 10 subscriptions are of it; 4 prices" in one.why


def test_a_product_that_nobody_has_yet_is_suggested_while_it_is_on_sale() -> None:
    new = {"subscriptions": 0, "customers": 0, "contacts": 0, "alone": 0, "leads": 0}
    assert "nobody has it yet" in only(product("Pro", **new)).why
    assert suggest([product("Pro", active=False, **new)], NOTHING) == ([], [])


def test_an_item_that_always_comes_beside_another_is_a_feature() -> None:
    one = only(beside("Audit log"))
    assert one.name == "feature:audit-log"
    assert one.features == ({"key": "audit-log", "type": "boolean", "name": "Audit log"},)
    assert one.mappings == ({"product": "prod_1", "feature": "audit-log", "per_quantity": False},)
    assert "in 10 of 10 subscriptions it comes beside another item" in one.why


def test_an_item_beside_others_by_quantity_is_counted() -> None:
    one = only(beside("Projects", many=4))
    assert one.mappings[0] == {
        "product": "prod_1",
        "feature": "projects",
        "limit": 1,
        "reset": "never",
        "per_quantity": True,
    }


@pytest.mark.parametrize(
    ("name", "key"), [("Extra seats", "seats"), ("Additional user", "users"), ("License", "licenses")]
)
def test_a_unit_sold_by_quantity_is_a_metered_feature(name: str, key: str) -> None:
    one = only(beside(name, many=7))
    assert one.name == f"feature:{key}"
    assert (one.features[0]["type"], one.features[0]["reset"]) == ("metered", "never")
    assert (one.mappings[0]["limit"], one.mappings[0]["per_quantity"]) == (1, True)


def test_metered_usage_is_a_feature_without_limit() -> None:
    one = only(product("API calls", unit_label="call", prices=(price(metered=True),)))
    assert one.features == (
        {"key": "api-calls", "type": "metered", "name": "API calls", "unit": "call", "reset": "billing_period"},
    )
    assert one.mappings[0]["unlimited"] is True


def test_a_plan_sold_by_the_seat_gives_as_many_seats_as_its_quantity() -> None:
    one = only(product("Team", unit_label="seat", many=9))
    assert one.package is not None
    assert one.package["features"] == {"seats": {"limit": 1, "reset": "never"}}
    assert one.mappings[0]["per_quantity"] is True


def test_what_comes_beside_a_plan_and_has_features_at_stripe_is_an_add_on() -> None:
    one = only(beside("Security pack", given=(("sso", "Single sign-on"),)))
    assert one.package == {
        "key": "security-pack",
        "name": "Security pack",
        "kind": "add_on",
        "features": {"sso": True},
    }


def test_stripes_own_features_become_those_of_the_package() -> None:
    one = only(product("Business", given=(("sso", "Single sign-on"), ("Audit_Log", "Audit log"))))
    assert [feature["key"] for feature in one.features] == ["sso", "audit-log"]
    assert one.package is not None
    assert one.package["features"] == {"sso": True, "audit-log": True}


def test_what_is_counted_in_one_place_is_counted_everywhere() -> None:
    business = product("Business", "prod_2", given=(("seats", "Seats"),))
    found, _ = suggest([business, product("Team", unit_label="seat", many=9)], NOTHING)
    assert {feature["type"] for one in found for feature in one.features} == {"metered"}
    packages = {one.key: one.package["features"] for one in found if one.package}
    assert packages == {"business": {"seats": {"unlimited": True}}, "team": {"seats": {"limit": 1, "reset": "never"}}}


def test_products_of_one_plan_are_one_package() -> None:
    found, _ = suggest([product("Pro monthly"), product("Pro (yearly, EUR)", "prod_2")], NOTHING)
    [one] = found
    assert (one.key, one.subscriptions, len(one.mappings)) == ("pro", 20, 2)
    assert one.package is not None
    assert one.package["name"] == "Pro"


def test_one_product_with_plans_side_by_side_is_as_many_packages() -> None:
    prices = (
        price("price_b", nickname="Basic monthly", subscriptions=3, customers=3, contacts=2),
        price("price_by", nickname="Basic yearly", interval="year", subscriptions=1),
        price("price_p", nickname="Pro monthly", subscriptions=6),
        price("price_x", subscriptions=2),
    )
    found, left = suggest([product("Our app", prices=prices)], NOTHING)
    assert {one.key: [row["price"] for row in one.mappings] for one in found} == {
        "pro": ["price_p"],
        "basic": ["price_b", "price_by"],
    }
    assert (found[1].subscriptions, found[1].contacts) == (4, 2)
    assert [(one.id, one.subscriptions) for one in left] == [("price_x", 2)]


def test_an_old_price_beside_the_new_one_is_no_plan_of_its_own() -> None:
    prices = (price("price_new", nickname="Starter month"), price("price_old", active=False, nickname="Early birds"))
    assert only(product("Starter", prices=prices)).key == "starter"


def test_what_was_made_for_one_customer_is_left_to_a_person() -> None:
    tailored = product("Tailored", active=False, subscriptions=1, alone=1, leads=1, prices=(price(active=False),))
    found, [left] = suggest([tailored], NOTHING)
    assert (found, left.id) == ([], "prod_1")


def test_what_is_mapped_or_sold_once_is_passed_over() -> None:
    once = product("Setup", prices=(price(interval=""),))
    by_price = product("Pro", prices=(price(mapped=True),))
    assert suggest([once, by_price, product("Pro", mapped=True)], NOTHING) == ([], [])


def test_what_the_catalog_has_is_not_made_again() -> None:
    known = Known({"seats": "metered"}, frozenset({"pro"}))
    pro = only(product("Pro"), known)
    assert (pro.package, pro.mappings[0]["package"]) == (None, "pro")
    seats = only(beside("Seats", many=3), known)
    assert seats.features == ()
    other = only(beside("Seats", many=3), Known({"seats": "boolean"}))
    assert other.mappings == ({"product": "prod_1", "feature": "seats", "per_quantity": True},)


def test_the_most_subscribed_come_first_and_counts_do_not_depend_on_the_order() -> None:
    few = replace(product("Few", "prod_2"), subscriptions=1, alone=1, leads=1)
    assert [one.key for one in suggest([few, product("Many")], NOTHING)[0]] == ["many", "few"]


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("Pro", "pro"),
        ("Pro Plan", "pro"),
        ("Pro – yearly", "pro"),
        ("pro-month-usd", "pro"),
        ("pro_annual_EUR", "pro"),
        ("Monthly", "monthly"),
        ("Team 2024", "team-2024"),
        ("Größe L", "groe-l"),
    ],
)
def test_the_name_of_a_plan_is_without_interval_and_currency(name: str, plan: str) -> None:
    assert plan_name(name) == plan
