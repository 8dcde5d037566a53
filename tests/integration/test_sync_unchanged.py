"""Rows that stay the same make no request once the mirror holds what they made, whatever their fields are."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.support.desk import FEW, Desk, Shop, opened, stocked
from tests.support.importing import imported

from tidegate.workflows.outbound.sync_plan import Part

pytestmark = pytest.mark.further

MONTH = {"interval": {"value": "month"}}
SENT = {"collection_method": {"value": "send_invoice"}, "days_until_due": {"value": 7}}
NO_PRORATION = {"proration_behavior": {"value": "none"}}
BY_MARK = {"metadata": {"row": "mark"}}
BY_KEY = {"lookup_key": "mark"}


@pytest.fixture(scope="module")
def shop(database_url: str, secret_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened(database_url, secret_key, tmp_path_factory.mktemp("desk")) as desk:
        shop = stocked(desk)
        desk.learn()
        yield shop


def again(desk: Desk, key: str) -> dict[str, int]:
    """What a run of all rows comes to once the mirror has read and imported what there is."""
    desk.catch_up()
    imported(desk.hub, desk.account, full=True)
    counts = desk.run(key, part=Part(full=True))["counts"]
    return {kind: count for kind, count in counts.items() if count}


def made(shop: Shop, key: str, resource: str, match: Any, fields: Mapping[str, Any], **said: Any) -> dict[str, Any]:
    """A sync of one row, which a run has made."""
    row = {
        "id": "1", "mark": f"{key}-mark", "email": f"{key}@Unchanged.example", "customer": shop.customer, "n": 12,
        "price": shop.price, "product": shop.product, "text": "Ada", "none": None, "half": 12.5, "yes": True,
    }  # fmt: skip
    shop.desk.table(key, row)
    shop.desk.sync(key, resource, match, fields, **said)
    assert shop.desk.run(key, part=FEW)["sent"] == {"create": 1}, shop.desk.states(key)
    shop.desk.asked()
    return row


def tiered(**last: Any) -> dict[str, Any]:
    first = {"up_to": {"value": 10}, "unit_amount": "n"}
    return {
        "product": {"id": "product"}, "currency": {"value": "USD"}, "billing_scheme": {"value": "tiered"},
        "tiers_mode": {"value": "graduated"}, "recurring": MONTH,
        "tiers": [first, {"up_to": {"value": "inf"}, "unit_amount": {"value": 1}} | last],
    }  # fmt: skip


def test_a_tiered_price_is_made_once(shop: Shop) -> None:
    row = made(shop, "tiers", "prices", BY_KEY, tiered(), replace_prices=True)
    assert (again(shop.desk, "tiers"), shop.desk.asked()) == ({"nothing": 1}, [])
    shop.desk.table("tiers", row | {"n": 13})
    assert shop.desk.run("tiers")["sent"] == {"archive": 1, "replace": 1}
    shop.desk.asked()
    assert (again(shop.desk, "tiers"), shop.desk.asked()) == ({"nothing": 1}, [])


@pytest.mark.wide
def test_an_anchor_given_once_is_no_reason_to_refuse_what_changes_later(shop: Shop) -> None:
    anchor = shop.desk.full("customers", shop.customer)["created"] + 10 * 86_400
    fields = {
        "customer": {"id": "customer"}, "items": [{"price": {"id": "price"}, "quantity": "n"}],
        "billing_cycle_anchor": {"value": anchor}, **SENT, **NO_PRORATION,
    }  # fmt: skip
    row = made(shop, "anchored", "subscriptions", BY_MARK, fields)
    assert (again(shop.desk, "anchored"), shop.desk.asked()) == ({"nothing": 1}, [])
    shop.desk.table("anchored", row | {"n": 13})
    assert shop.desk.run("anchored")["sent"] == {"update": 1}, shop.desk.states("anchored")
    [(_, _, form)] = shop.desk.asked()
    assert set(form) == {"items", "proration_behavior"}


CASES: Mapping[str, tuple[str, Any, Mapping[str, Any]]] = {
    "customers": ("customers", {"email": "email"}, {
        "name": "text", "email": "email", "phone": {"value": "+49 30 123"}, "tax_exempt": {"value": "none"},
        "address": {"line1": "text", "city": "text", "line2": "none", "country": {"value": "DE"}}, "balance": "n",
        "shipping": {"name": "text", "address": {"line1": "text", "state": "none"}}, "description": "none",
        "invoice_settings": {"custom_fields": [{"name": {"value": "VAT"}, "value": "text"}], "footer": "text"},
        "preferred_locales": [{"value": "de"}], "metadata": {"yes": "yes", "half": "half", "none": "none"},
    }),
    "products": ("products", {"id": "mark"}, {
        "name": "text", "description": "text", "images": [{"value": "https://x.example/a.png"}], "unit_label": "text",
        "marketing_features": [{"name": "text"}], "tax_code": "none", "active": "yes", "url": "none",
    }),
    "prices": ("prices", BY_KEY, {
        "product": {"id": "product"}, "currency": {"value": "USD"}, "unit_amount_decimal": "half", "nickname": "text",
        "recurring": MONTH, "tax_behavior": {"value": "exclusive"}, "active": "yes",
    }),
    "volume": ("prices", BY_KEY, tiered(flat_amount="n") | {"tiers_mode": {"value": "volume"}}),
    "subscriptions": ("subscriptions", BY_MARK, {
        "customer": {"id": "customer"}, "items": [{"price": {"id": "price"}, "quantity": "n"}], **SENT, **NO_PRORATION,
        "description": "text", "trial_end": {"value": "2031-01-01"}, "cancel_at_period_end": {"value": False},
    }),
    "invoices": ("invoices", BY_MARK, {
        "customer": {"id": "customer"}, "currency": {"value": "USD"}, "description": "text", **SENT, "footer": "none",
        "custom_fields": [{"name": {"value": "PO"}, "value": "text"}], "auto_advance": {"value": False},
    }),
    "invoiceitems": ("invoiceitems", BY_MARK, {
        "customer": {"id": "customer"}, "currency": {"value": "USD"}, "amount": "n", "description": "text",
        "period": {"start": {"value": 1767225600}, "end": {"value": 1769904000}}, "discountable": {"value": False},
    }),
    "quotes": ("quotes", BY_MARK, {
        "customer": {"id": "customer"}, "line_items": [{"price": {"id": "price"}, "quantity": "n"}], "header": "text",
        "description": "none", "collection_method": {"value": "charge_automatically"},
    }),
}  # fmt: skip
SOON = ("customers", "quotes")


@pytest.mark.parametrize("winner", ["warehouse", "flag"])
@pytest.mark.parametrize("case", [c if c in SOON else pytest.param(c, marks=pytest.mark.wide) for c in CASES])
@pytest.mark.wide
def test_rows_of_every_resource_with_nested_and_fixed_fields(shop: Shop, case: str, winner: str) -> None:
    resource, match, fields = CASES[case]
    key = f"{case}_{winner}"
    made(shop, key, resource, match, fields, on_conflict=winner)
    assert (again(shop.desk, key), shop.desk.asked()) == ({"nothing": 1}, []), shop.desk.plan(key, Part(full=True))
