"""Live mode, accounts that are not activated, and API versions: what each shows and what it refuses."""

from typing import Any

import pytest
from tests.support.sdk_schema import problems

from tidegate.errors import ConfigurationError
from tidegate.sandbox.answers import Request
from tidegate.sandbox.config import DEFAULT_KEY, LIVE_KEY, SandboxConfig
from tidegate.sandbox.routes import ROUTES
from tidegate.sandbox.state import API_VERSION

DAY = 86_400


def modes(value: Any) -> set[bool]:
    """Every `livemode` in a value, however deep."""
    if isinstance(value, dict):
        own = {value["livemode"]} if "livemode" in value else set()
        return own.union(*map(modes, value.values()))
    return set().union(*map(modes, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("profile", ["company", "bulk"])
def test_everything_in_a_live_account_is_live(make_api: Any, profile: str) -> None:
    api = make_api(customers=45, subscriptions=5, invoices=20, lines_per_invoice=12, livemode=True, profile=profile)
    api.ask("/__clock", method="POST", json={"advance_seconds": DAY})
    state = api.server.world.state
    for name, collection in state.collections.items():
        whole = [collection.full(one) for one in collection.ids]
        shown = [collection.shown(one) for one in collection.ids]
        children = [api.every("/v1/invoices/" + one + "/lines") for one in collection.ids[:3] if name == "invoices"]
        assert modes([*whole, *shown, *children]) <= {True}, name
    assert modes(api.get("/v1/balance")) == {True}
    assert api.server.config.key == LIVE_KEY


def test_a_test_key_sees_nothing_of_a_live_account(make_api: Any) -> None:
    api = make_api(customers=45, livemode=True)
    for pattern, route in [entry for known in ROUTES.values() for entry in known]:
        if "*" not in pattern and route.permission not in ("accounts", "balance") and "items" not in route.template:
            asked = api.ask(route.template, key=DEFAULT_KEY)
            assert (asked.status, asked.json["data"], asked.json["has_more"]) == (200, [], False), route.template
    customer = api.get("/v1/customers?limit=1")["data"][0]["id"]
    invoice = api.get("/v1/invoices?limit=1")["data"][0]["id"]
    for target, kind, identifier in (
        (f"/v1/customers/{customer}", "customer", customer),
        (f"/v1/invoices/{invoice}/lines", "invoice", invoice),
    ):
        refused = api.ask(target, key=DEFAULT_KEY)
        assert (refused.status, refused.json["error"]["code"]) == (404, "resource_missing")
        assert refused.json["error"]["message"] == (
            f"No such {kind}: '{identifier}'; a similar object exists in live mode, but a test mode key was used to "
            "make this request."
        )
    assert "similar" not in api.ask("/v1/customers/cus_x", key=DEFAULT_KEY).json["error"]["message"]
    assert api.ask("/v1/customers?limit=0", key=DEFAULT_KEY).status == 400
    assert api.ask("/v1/account", key=DEFAULT_KEY).json == api.get("/v1/account")


def test_a_live_key_sees_nothing_of_a_test_account(api: Any) -> None:
    customer = api.get("/v1/customers?limit=1")["data"][0]["id"]
    assert api.ask("/v1/customers", key=LIVE_KEY).json["data"] == []
    said = api.ask(f"/v1/customers/{customer}", key=LIVE_KEY).json["error"]["message"]
    assert "exists in test mode, but a live mode key" in said


@pytest.mark.parametrize("profile", ["company", "bulk"])
def test_an_account_that_is_not_activated_says_so(make_api: Any, profile: str) -> None:
    account = make_api(customers=3, activated=False, profile=profile).get("/v1/account")
    assert [account[name] for name in ("charges_enabled", "payouts_enabled", "details_submitted")] == [False] * 3
    assert problems(account) == []
    assert make_api(customers=3).get("/v1/account")["charges_enabled"] is True


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"events_version": "2019-01-01"}, "2020-08-27"),
        ({"livemode": True, "key": DEFAULT_KEY}, "mode, live"),
        ({"key": LIVE_KEY}, "mode, test"),
    ],
)
def test_what_makes_no_sense_is_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        SandboxConfig(**config)


def test_events_are_listed_in_an_older_version_when_told(make_api: Any) -> None:
    api = make_api(customers=45, events_version="2020-08-27")
    events = api.every("/v1/events", "&type=customer.subscription.updated")
    assert events
    for event in events:
        assert event["api_version"] == "2020-08-27"
        assert event["data"]["object"]["current_period_end"] > 0
        assert "current_period_end" not in event["data"]["object"]["items"]["data"][0]
    assert api.get(f"/v1/events/{events[0]['id']}") == events[0]
    assert make_api(customers=5).get("/v1/events?limit=1")["data"][0]["api_version"] == API_VERSION


def test_a_version_that_the_sandbox_does_not_speak_is_refused(api: Any) -> None:
    for version, status in ((API_VERSION, 200), ("2020-08-27", 400), ("latest", 400)):
        headers = {b"authorization": f"Bearer {DEFAULT_KEY}".encode(), b"stripe-version": version.encode()}
        reply = api.server.respond(Request("GET", "/v1/customers", [], headers))
        assert reply.head.startswith(b"HTTP/1.1 %d" % status)
        assert b"Stripe-Version: " + API_VERSION.encode() in reply.head
        if status == 400:
            assert f"Invalid Stripe API version: {version}".encode() in reply.body
    asked = {"url": "http://127.0.0.1:9/", "secret": "s", "api_version": "2019-01-01"}
    refused = api.ask("/__webhooks", method="POST", json=asked)
    assert (refused.status, "2020-08-27" in refused.json["error"]["message"]) == (400, True)
