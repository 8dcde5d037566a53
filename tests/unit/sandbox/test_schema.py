from typing import Any

import pytest
from tests.support.sdk_schema import problems

from tidegate.sandbox.resources import RESOURCES
from tidegate.sandbox.state import API_VERSION

PATHS = [resource.path for resource in RESOURCES if resource.path]


def test_the_sandbox_speaks_the_version_of_the_pinned_sdk() -> None:
    import stripe

    assert stripe.api_version == API_VERSION


@pytest.mark.parametrize("path", PATHS)
def test_lists_are_what_the_sdk_says_they_are(api: Any, path: str) -> None:
    query = "&status=all" if path == "subscriptions" else ""
    page = api.get(f"/v1/{path}?limit=100{query}")
    assert page["data"]
    assert problems(page) == []


def test_whole_objects_are_what_the_sdk_says_they_are(api: Any) -> None:
    state = api.server.world.state
    for name, collection in state.collections.items():
        for identifier in collection.ids[::7]:
            obj = {name: value for name, value in collection.full(identifier).items() if not name.startswith("_")}
            assert problems(obj) == [], name


@pytest.mark.parametrize("target", ["/v1/account", "/v1/balance"])
def test_single_objects(api: Any, target: str) -> None:
    assert problems(api.get(target)) == []


def test_expanded_and_nested_lists(api: Any) -> None:
    assert (
        problems(
            api.get("/v1/invoices?limit=100&expand[]=data.payments&expand[]=data.customer&expand[]=data.discounts")
        )
        == []
    )
    assert problems(api.get("/v1/prices?limit=100&expand[]=data.tiers&expand[]=data.currency_options")) == []
    assert problems(api.get("/v1/quotes?limit=100&expand[]=data.line_items")) == []
    subscription = api.every("/v1/subscriptions")[0]["id"]
    assert problems(api.get(f"/v1/subscription_items?subscription={subscription}")) == []


def test_events_of_an_advancing_clock(make_api: Any) -> None:
    api = make_api(customers=60)
    api.ask("/__clock", method="POST", json={"advance_seconds": 29 * 86_400})
    events = api.every("/v1/events")
    assert len({event["type"] for event in events}) > 20
    for event in events:
        assert problems(event) == []


def test_the_exact_size_profile(make_api: Any) -> None:
    api = make_api(profile="bulk", customers=30, subscriptions=20, invoices=50, lines_per_invoice=12)
    for path, count in (("customers", 30), ("subscriptions", 20), ("invoices", 50), ("products", 1), ("prices", 1)):
        page = api.get(f"/v1/{path}?limit=100")
        assert len(page["data"]) == count
        assert problems(page) == []
        assert api.get(f"/v1/{path}/{page['data'][-1]['id']}") == page["data"][-1]
    counts = api.get("/__truth")["counts"]
    present = [
        "accounts",
        "customers",
        "invoice_lines",
        "invoices",
        "prices",
        "products",
        "subscription_items",
        "subscriptions",
    ]
    assert sorted(name for name, count in counts.items() if count) == present
    assert counts["invoice_lines"] == 600
    invoice = api.get("/v1/invoices?limit=1")["data"][0]
    assert (len(invoice["lines"]["data"]), invoice["lines"]["has_more"]) == (10, True)
    assert len(api.every(f"/v1/invoices/{invoice['id']}/lines")) == 12
    subscription = api.get(f"/v1/subscriptions/{invoice['parent']['subscription_details']['subscription']}")
    assert subscription["customer"] == invoice["customer"]
    assert api.every("/v1/invoices", f"&subscription={subscription['id']}")
