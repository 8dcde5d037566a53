"""Subscriptions started, changed and ended from the hub: looked at, sent, granted by the mirror."""

from collections.abc import Callable

import pytest
from tests.support.selling import Till, till

from tidegate.sandbox import Sandbox
from tidegate.wiring import Hub


@pytest.fixture
def shop(hub: Hub, make_sandbox: Callable[..., Sandbox]) -> Till:
    return till(hub, make_sandbox(customers=0, months=1))


def test_a_subscription_is_looked_at_and_then_started(shop: Till) -> None:
    shop.contact()
    customer = shop.customer()
    shown = shop.preview("subscribe", "pro", interval="month", quantity=2)
    assert (shown["state"], shown["customer"], shown["due_now"]) == (
        "preview", customer, {"amount": 10_000, "currency": "usd"},
    )  # fmt: skip
    assert [line["amount"] for line in shown["invoice"]["lines"]] == [10_000]
    assert shown["recurring"] == {"total": 10_000, "currency": "usd", "interval": "month", "interval_count": 1}
    told = {one["feature"]: (one["before"]["granted"], one["after"]["granted"]) for one in shown["entitlements"]}
    assert told == {"seats": (False, True), "sso": (False, True), "helpline": (False, False)}
    assert shown["packages"] == {"before": [], "after": ["pro"]}
    assert (shop.sold(), shop.requests(), shop.features()) == ([], [], set())

    done = shop.by_token(shown["token"], "subscribe", "pro", interval="month", quantity=2)
    assert (done["state"], done["status"], done["billed"]["amount_paid"]) == ("done", "active", 10_000)
    assert shop.sold() == [("active", [("pro month", 2)])]
    assert shop.features() == {"seats", "sso"}
    assert shop.requests() == [("create", "/v1/subscriptions", "done")]


def test_a_contact_without_a_customer_gets_one(shop: Till) -> None:
    shop.contact()
    wanted = {"interval": "month", "collection_method": "send_invoice", "days_until_due": 14}
    shown = shop.preview("subscribe", "basic", **wanted)
    assert (shown["makes_customer"], shown["due_now"]["amount"], shop.all("customers")) == (True, 1000, [])
    done = shop.by_token(shown["token"], "subscribe", "basic", **wanted)
    assert (done["state"], done["status"], done["billed"]["status"]) == ("done", "active", "open")
    [customer] = shop.all("customers")
    assert (customer["name"], customer["email"]) == ("Acme", "ada@acme.example")
    assert customer["metadata"]["workspace_id"] == "acme"
    assert shop.features() == {"seats"}
    assert [path for _, path, _ in shop.requests()] == ["/v1/customers", "/v1/subscriptions"]
