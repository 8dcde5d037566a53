from typing import Any

import pytest
from tests.support.writing import MONTH, Account, refused


def test_a_product_with_an_id_of_ones_own(own: Account) -> None:
    made = own.checked(own.v1.products.create({"id": "pro", "name": "Pro", "metadata": {"tier": "2"}}))
    assert (made.id, made.name, made.active, made.metadata.tier) == ("pro", "Pro", True, "2")
    assert own.happened() == ["product.created"]
    error = refused(own.v1.products.create, {"id": "pro", "name": "Again"})
    assert (error.http_status, error.code, error.param) == (400, "resource_already_exists", "id")
    changed = own.checked(own.v1.products.update("pro", {"description": "All of it", "metadata": {"tier": ""}}))
    assert (changed.description, changed.metadata.to_dict()) == ("All of it", {})
    assert own.previous("product.updated") == {"description": None, "metadata": {"tier": "2"}}
    assert own.v1.products.delete("pro").deleted
    assert own.happened() == ["product.deleted"]
    assert refused(own.v1.products.retrieve, "pro").http_status == 404


def test_a_product_with_its_price(own: Account) -> None:
    data = {"currency": "USD", "unit_amount": 500, "recurring": MONTH}
    made = own.checked(
        own.v1.products.create({"name": "Plan", "default_price_data": data, "expand": ["default_price"]})
    )
    assert (made.default_price.unit_amount, made.default_price.currency) == (500, "usd")
    assert own.happened() == ["product.created", "price.created", "product.updated"]
    error = refused(own.v1.products.delete, made.id)
    assert "one or more user-created prices" in error.user_message
    other = own.price()
    error = refused(own.v1.products.update, made.id, {"default_price": other.id})
    assert (error.http_status, error.param) == (400, "default_price")
    assert refused(own.v1.products.update, made.id, {"name": ""}).code == "parameter_invalid_empty"


def test_prices_of_every_kind(own: Account) -> None:
    flat = own.price(2900, nickname="Monthly")
    assert (flat.unit_amount, flat.type, flat.recurring.interval, flat.nickname) == (
        2900,
        "recurring",
        "month",
        "Monthly",
    )
    assert own.happened() == ["product.created", "price.created"]
    once = own.price(100, None)
    assert (once.type, once.recurring) == ("one_time", None)
    fraction = own.v1.prices.create({"currency": "usd", "product": flat.product, "unit_amount_decimal": "0.5"})
    assert (fraction.unit_amount, str(fraction.unit_amount_decimal)) == (None, "0.5")
    tiers = [{"up_to": 10, "unit_amount": 100, "flat_amount": 500}, {"up_to": "inf", "unit_amount_decimal": "50.5"}]
    params = {"currency": "usd", "product": flat.product, "recurring": MONTH, "tiers": tiers}
    tiered = own.v1.prices.create(
        {**params, "billing_scheme": "tiered", "tiers_mode": "graduated", "expand": ["tiers"]}
    )
    assert own.checked(tiered).unit_amount is None
    assert [(tier.up_to, tier.unit_amount, tier.flat_amount) for tier in tiered.tiers] == [
        (10, 100, 500),
        (None, None, None),
    ]
    packages = own.price(500, transform_quantity={"divide_by": 100, "round": "up"})
    assert packages.transform_quantity.divide_by == 100


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"currency": "usd", "unit_amount": 1}, "parameter_missing", "product"),
        ({"currency": "usd", "unit_amount": 1, "product": "no"}, "resource_missing", "product"),
        ({"currency": "dollars", "unit_amount": 1, "product_data": {"name": "x"}}, None, "currency"),
        ({"currency": "usd", "product_data": {"name": "x"}}, "parameter_missing", "unit_amount"),
        (
            {"currency": "usd", "product_data": {"name": "x"}, "unit_amount": -1},
            "parameter_invalid_integer",
            "unit_amount",
        ),
        (
            {"currency": "usd", "product_data": {"name": "x"}, "unit_amount": 1, "unit_amount_decimal": "2"},
            "parameters_exclusive",
            "unit_amount",
        ),
        (
            {"currency": "usd", "product_data": {"name": "x"}, "billing_scheme": "tiered"},
            "parameter_missing",
            "tiers",
        ),
        (
            {
                "currency": "usd",
                "product_data": {"name": "x"},
                "billing_scheme": "tiered",
                "tiers_mode": "volume",
                "tiers": [{"up_to": 5, "unit_amount": 1}],
            },
            None,
            "tiers[0][up_to]",
        ),
        (
            {
                "currency": "usd",
                "product_data": {"name": "x"},
                "unit_amount": 1,
                "recurring": {"interval": "year", "interval_count": 4},
            },
            None,
            "recurring[interval_count]",
        ),
        (
            {
                "currency": "usd",
                "product_data": {"name": "x"},
                "unit_amount": 1,
                "recurring": {"interval": "month", "usage_type": "metered"},
            },
            "parameter_missing",
            "recurring[meter]",
        ),
        ({"currency": "usd", "product": "p", "product_data": {"name": "x"}}, "parameters_exclusive", "product"),
    ],
)
def test_prices_that_are_refused(own: Account, params: dict[str, Any], code: str | None, param: str) -> None:
    error = refused(own.v1.prices.create, params)
    assert (error.http_status, error.code, error.param) == (400, code, param)
    assert own.happened() == []


def test_a_lookup_key_belongs_to_one_price(own: Account) -> None:
    first = own.price(lookup_key="team")
    own.events()
    params = {"currency": "usd", "product": first.product, "unit_amount": 1, "lookup_key": "team"}
    error = refused(own.v1.prices.create, params)
    assert (error.http_status, error.param) == (400, "lookup_key")
    second = own.v1.prices.create({**params, "transfer_lookup_key": True})
    events = own.events()
    assert [(event["type"], event["data"].get("previous_attributes")) for event in events] == [
        ("price.updated", {"lookup_key": "team"}),
        ("price.created", None),
    ]
    assert [price.id for price in own.v1.prices.list({"lookup_keys": ["team"]}).data] == [second.id]


def test_a_price_changes_in_the_subscriptions_that_have_it(own: Account) -> None:
    price = own.price()
    subscription = own.subscription(own.customer(), price)
    own.events()
    own.checked(own.v1.prices.update(price.id, {"active": False, "nickname": "Old"}))
    assert own.previous("price.updated") == {"active": True, "nickname": None}
    shown = own.v1.subscriptions.retrieve(subscription.id)["items"].data[0].price
    assert (shown.active, shown.nickname) == (False, "Old")
    error = refused(own.v1.subscriptions.create, {"customer": subscription.customer, "items": [{"price": price.id}]})
    assert "inactive" in error.user_message


def test_coupons(own: Account) -> None:
    product = own.v1.products.create({"name": "Plan"})
    own.events()
    params = {"id": "SPRING", "percent_off": 12.5, "duration": "repeating", "duration_in_months": 3}
    made = own.checked(own.v1.coupons.create({**params, "name": "Spring", "applies_to": {"products": [product.id]}}))
    assert (made.percent_off, made.duration_in_months, made.valid) == (12.5, 3, True)
    shown = own.v1.coupons.retrieve("SPRING", {"expand": ["applies_to"]})
    assert shown.applies_to.products == [product.id]
    own.v1.coupons.update("SPRING", {"name": "Easter"})
    events = own.events()
    assert [event["type"] for event in events] == ["coupon.created", "coupon.updated"]
    assert events[1]["data"]["previous_attributes"] == {"name": "Spring"}
    own.v1.coupons.delete("SPRING")
    assert own.happened() == ["coupon.deleted"]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({}, "percent_off"),
        ({"percent_off": 101}, "percent_off"),
        ({"percent_off": 10, "amount_off": 5}, "percent_off"),
        ({"amount_off": 5}, "currency"),
        ({"amount_off": 0, "currency": "usd"}, "amount_off"),
        ({"percent_off": 10, "duration": "repeating"}, "duration_in_months"),
        ({"percent_off": 10, "applies_to": {"products": ["no"]}}, "applies_to[products][0]"),
    ],
)
def test_coupons_that_are_refused(own: Account, params: dict[str, Any], param: str) -> None:
    error = refused(own.v1.coupons.create, params)
    assert (error.http_status, error.param) == (400, param)


def test_promotion_codes(own: Account) -> None:
    coupon = own.v1.coupons.create({"amount_off": 500, "currency": "usd", "duration": "once"})
    own.events()
    promotion = {"type": "coupon", "coupon": coupon.id}
    made = own.checked(own.v1.promotion_codes.create({"promotion": promotion, "code": "ADA20", "max_redemptions": 1}))
    assert (made.code, made.active, made.promotion.coupon) == ("ADA20", True, coupon.id)
    assert refused(own.v1.promotion_codes.create, {"promotion": promotion, "code": "ada20"}).param == "code"
    assert refused(own.v1.promotion_codes.create, {"promotion": {"type": "coupon"}}).param == "promotion[coupon]"
    customer, price = own.customer(), own.price(2000)
    own.subscription(customer, price, discounts=[{"promotion_code": made.id}])
    assert own.v1.promotion_codes.retrieve(made.id).times_redeemed == 1
    error = refused(
        own.v1.subscriptions.create,
        {"customer": customer.id, "items": [{"price": price.id}], "discounts": [{"promotion_code": made.id}]},
    )
    assert error.code == "coupon_expired"
    own.events()
    own.v1.promotion_codes.update(made.id, {"active": False})
    assert own.previous("promotion_code.updated") == {"active": True}


def test_a_code_for_the_first_purchase(own: Account) -> None:
    coupon = own.v1.coupons.create({"percent_off": 10})
    code = own.v1.promotion_codes.create(
        {
            "promotion": {"type": "coupon", "coupon": coupon.id},
            "restrictions": {"first_time_transaction": True},
        }
    )
    customer, price = own.customer(), own.price()
    first = own.subscription(customer, price, discounts=[{"promotion_code": code.id}], expand=["latest_invoice"])
    assert first.latest_invoice.total == 900
    params = {"customer": customer.id, "items": [{"price": own.price().id}], "discounts": [{"promotion_code": code.id}]}
    assert refused(own.v1.subscriptions.create, params).code == "coupon_expired"
