from typing import Any

import pytest


def test_canceled_subscriptions_are_listed_only_when_asked_for(api: Any) -> None:
    shown = {one["status"] for one in api.every("/v1/subscriptions")}
    assert "canceled" not in shown
    assert "canceled" in {one["status"] for one in api.every("/v1/subscriptions", "&status=all")}


def test_a_deleted_customer_is_not_listed_and_says_so_when_retrieved(api: Any) -> None:
    (gone, *_) = api.get("/__truth?ids=customers_deleted")["ids"]["customers_deleted"]
    assert api.get(f"/v1/customers/{gone}") == {"id": gone, "object": "customer", "deleted": True}
    assert gone not in {one["id"] for one in api.every("/v1/customers")}
    orphan = api.every("/v1/invoices", f"&customer={gone}")[0]
    assert api.get(f"/v1/invoices/{orphan['id']}?expand[]=customer")["customer"]["deleted"] is True


def test_nested_lists_show_ten_and_the_rest_on_their_own_path(api: Any) -> None:
    counts = api.get("/__truth")["counts"]
    wide = [one for one in api.every("/v1/subscriptions") if one["items"]["has_more"]]
    big = max(wide, key=lambda one: len(api.every("/v1/subscription_items", f"&subscription={one['id']}")))
    assert len(big["items"]["data"]) == 10
    items = api.every("/v1/subscription_items", f"&subscription={big['id']}")
    assert len({item["id"] for item in items}) == 20
    assert items[:10] == big["items"]["data"]
    assert api.get(f"/v1/subscription_items/{items[15]['id']}") == items[15]
    invoices = api.every("/v1/invoices")
    lines = [api.every(f"/v1/invoices/{one['id']}/lines") for one in invoices]
    assert sum(map(len, lines)) == counts["invoice_lines"]
    assert 23 in set(map(len, lines))
    wide = next(one for one, own in zip(invoices, lines, strict=True) if len(own) == 23)
    assert (len(wide["lines"]["data"]), wide["lines"]["url"]) == (10, f"/v1/invoices/{wide['id']}/lines")
    notes = api.every("/v1/credit_notes")
    assert sum(len(api.every(f"/v1/credit_notes/{one['id']}/lines")) for one in notes) == counts["credit_note_lines"]
    quotes = api.every("/v1/quotes") + api.every("/v1/quotes", f"&test_clock={api.clocks()[0]}")
    assert sum(len(api.every(f"/v1/quotes/{one['id']}/line_items")) for one in quotes) == counts["quote_lines"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("prices", "tiers"),
        ("prices", "currency_options"),
        ("coupons", "applies_to"),
        ("quotes", "line_items"),
        ("invoices", "payments"),
        ("customers", "subscriptions"),
    ],
)
def test_some_fields_are_there_only_when_expanded(api: Any, path: str, field: str) -> None:
    plain = api.every(f"/v1/{path}")
    assert all(field not in one for one in plain)
    expanded = api.every(f"/v1/{path}", f"&expand[]=data.{field}")
    assert [one["id"] for one in expanded] == [one["id"] for one in plain]
    found = [one for one in expanded if one[field]]
    assert found
    assert api.get(f"/v1/{path}/{found[0]['id']}?expand[]={field}")[field] == found[0][field]


def test_expansion_replaces_ids_as_deep_as_four_levels(api: Any) -> None:
    page = api.get(
        "/v1/subscriptions?expand[]=data.customer&expand[1]=data.latest_invoice.payments&expand[]=data.items.data.price"
    )
    assert all(one["customer"]["object"] == "customer" for one in page["data"])
    assert all(one["latest_invoice"]["payments"]["object"] == "list" for one in page["data"])
    discounted = next(one for one in api.every("/v1/subscriptions", "&status=all") if one["discounts"])
    one = api.get(
        f"/v1/subscriptions/{discounted['id']}?expand[]=discounts.source.coupon&expand[]=items.data.price.product"
    )
    assert one["discounts"][0]["source"]["coupon"]["object"] == "coupon"
    assert one["items"]["data"][0]["price"]["product"]["object"] == "product"
    tiered = next(one for one in api.every("/v1/subscriptions") if one["items"]["data"][0]["price"]["tiers_mode"])
    one = api.get(f"/v1/subscriptions/{tiered['id']}?expand[]=items.data.price.tiers")
    assert one["items"]["data"][0]["price"]["tiers"]
    deep = api.ask("/v1/subscriptions?expand[]=data.items.data.price.product")
    assert (deep.status, "4 levels" in deep.json["error"]["message"]) == (400, True)


def test_an_expanded_field_that_is_null_stays_null(api: Any) -> None:
    page = api.get("/v1/subscriptions?limit=100&expand[]=data.schedule&expand[]=data.default_payment_method")
    assert {type(one["schedule"]) for one in page["data"]} == {type(None), dict}
    assert all(one["default_payment_method"] is None for one in page["data"])


def test_features_hang_on_products(api: Any) -> None:
    found = [api.get(f"/v1/products/{one['id']}/features")["data"] for one in api.every("/v1/products")]
    assert sum(map(len, found)) == api.get("/__truth")["counts"]["product_features"] == 4
    first = next(one for features in found for one in features)
    assert first["entitlement_feature"]["object"] == "entitlements.feature"
    assert not any(name.startswith("_") for name in first)


def test_parts_of_a_customer_and_the_account(api: Any) -> None:
    card = api.every("/v1/payment_methods")[0]
    assert api.get(f"/v1/customers/{card['customer']}/payment_methods")["data"] == [card]
    account = api.get("/v1/account")
    assert api.get(f"/v1/accounts/{account['id']}") == account
    assert {one["currency"] for one in api.get("/v1/balance")["available"]} == {"usd", "eur", "jpy"}
