from base64 import b64encode
from typing import Any

import pytest

from tidegate.errors import ConfigurationError
from tidegate.sandbox.answers import Refusal, Request
from tidegate.sandbox.config import SandboxConfig, parse_faults
from tidegate.sandbox.faults import Faults
from tidegate.sandbox.keys import masked, presented
from tidegate.sandbox.limits import Limits

LIST = "/v1/customers"


def test_a_key_is_needed_and_must_be_known(api: Any) -> None:
    refused = api.ask(LIST, key="")
    assert (refused.status, refused.json["error"]["type"]) == (401, "invalid_request_error")
    refused = api.ask(LIST, key="sk_test_nobodyknows9876")
    assert refused.status == 401
    assert refused.json["error"]["message"] == "Invalid API Key provided: sk_test_***********9876"
    basic = b64encode(api.server.config.key.encode() + b":").decode()
    asked = api.server.respond(Request("GET", LIST, [], {b"authorization": f"Basic {basic}".encode()}))
    assert asked.head.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("header", "secret"),
    [(b"Bearer sk_1", "sk_1"), (b"bearer  sk_1", "sk_1"), (b"Basic c2tfMTo=", "sk_1"), (b"Basic ###", ""), (b"", "")],
)
def test_where_the_secret_stands(header: bytes, secret: str) -> None:
    assert presented(header) == secret


def test_an_error_never_shows_a_secret() -> None:
    assert masked("rk_test_abcdefgh1234") == "rk_test_********1234"
    assert "secret" not in masked("secretsecret")


def test_revoked_and_restricted_keys(make_api: Any) -> None:
    api = make_api(customers=5)
    api.ask("/__keys", method="POST", json={"secret": "sk_test_gone1234", "revoked": True})
    refused = api.ask(LIST, key="sk_test_gone1234")
    assert (refused.status, refused.json["error"]["code"]) == (401, "api_key_expired")
    permissions = {"customers": "read", "invoices": "none", "products": "write"}
    api.ask("/__keys", method="POST", json={"secret": "rk_test_some1234", "permissions": permissions})
    for path, status in (("customers", 200), ("products", 200), ("invoices", 403), ("prices", 403), ("account", 403)):
        assert api.ask(f"/v1/{path}", key="rk_test_some1234").status == status
    error = api.ask("/v1/prices", key="rk_test_some1234").json["error"]
    assert "rk_test_****1234" in error["message"]
    assert "does not have the required permissions for this endpoint" in error["message"]
    wrong = api.ask("/__keys", method="POST", json={"secret": "rk_test_x", "permissions": {"cats": "read"}})
    assert wrong.status == 400


def test_every_answer_carries_the_usual_headers(api: Any) -> None:
    for target, status in ((LIST, 200), ("/v1/customers/cus_x", 404)):
        asked = api.ask(target)
        assert asked.status == status
        assert asked.headers["request-id"].startswith("req_")
        assert asked.headers["date"] == "Tue, 01 Sep 2026 00:00:00 GMT"
        assert asked.headers["stripe-version"] == "2026-10-28.endive"
        assert asked.headers["content-type"] == "application/json"


def test_limits_are_buckets_of_one_second() -> None:
    limits = Limits(rate=None, endpoint_rate=3)
    outcomes = [passed(limits, "GET /a", 10.0) for _ in range(5)] + [passed(limits, "GET /b", 10.0)]
    assert outcomes == [None, None, None, "endpoint-rate", "endpoint-rate", None]
    assert [passed(limits, "GET /a", 10.4) for _ in range(2)] == [None, "endpoint-rate"]
    assert [passed(limits, "GET /a", 99.0) for _ in range(4)] == [None, None, None, "endpoint-rate"]
    limits = Limits(rate=2, endpoint_rate=None)
    assert [passed(limits, f"GET /{n}", 1.0) for n in range(3)] == [None, None, "global-rate"]
    report = limits.stats.report()
    assert (report["limited"], report["total"], report["busiest_second"]) == (
        {"global-rate": 1, "endpoint-rate": 0},
        3,
        3,
    )


def passed(limits: Limits, endpoint: str, now: float) -> str | None:
    """Which limit refuses, None when the request may pass."""
    try:
        limits.pass_through(endpoint, now)
    except Refusal as refusal:
        return dict(refusal.headers)[b"Stripe-Rate-Limited-Reason"].decode()
    return None


def test_limits_over_the_api(make_api: Any) -> None:
    api = make_api(customers=5, endpoint_rate=2)
    asked = [api.ask(LIST) for _ in range(3)]
    assert [one.status for one in asked] == [200, 200, 429]
    assert asked[2].headers["stripe-rate-limited-reason"] == "endpoint-rate"
    assert asked[2].headers["retry-after"] == "1"
    assert asked[2].json["error"]["code"] == "rate_limit"
    assert api.ask("/v1/products").status == 200
    stats = api.get("/__stats")
    assert stats["requests"] == {"GET /v1/customers": 3, "GET /v1/products": 1}
    assert stats["limited"] == {"global-rate": 0, "endpoint-rate": 1}
    api.ask("/__reset_stats", method="POST")
    assert api.get("/__stats")["total"] == 0


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("429", "'429'"),
        ("boom=0.1", "'boom=0.1'"),
        ("500=lots", "'lots'"),
        ("500=1.5", "from 0 to 1"),
        ("500=0.1,500=0.2", "twice"),
        ("500=0.6,reset=0.6", "more than 1"),
    ],
)
def test_faults_that_are_not_understood(text: str, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=wrong):
        parse_faults(text)


@pytest.mark.parametrize(
    "config",
    [
        {"customers": -1},
        {"rate": 0},
        {"endpoint_rate": -3},
        {"lines_per_invoice": 0},
        {"profile": "other"},
        {"latency": -1},
    ],
)
def test_configurations_that_make_no_sense(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        SandboxConfig(**config)


def test_faults_follow_from_the_seed_and_keep_their_shares() -> None:
    rates = parse_faults("429=0.05, 500=0.02,reset=0.01,truncate=0.01,slow=0.01")
    first, second = Faults(rates, 7), Faults(rates, 7)
    drawn = [first.draw() for _ in range(20_000)]
    assert drawn == [second.draw() for _ in range(20_000)]
    for kind, share in rates.items():
        assert drawn.count(kind) / 20_000 == pytest.approx(share, rel=0.25)
    assert Faults({}, 7).draw() is None


def test_what_each_fault_does(make_api: Any) -> None:
    for kind, status in (("429", 429), ("500", 500)):
        api = make_api(customers=5, faults=f"{kind}=1")
        assert api.ask(LIST).status == status
        assert api.get("/__stats")["faults"] == {kind: 1}
    for kind in ("reset", "truncate"):
        api = make_api(customers=5, faults=f"{kind}=1")
        assert api.server.respond(Request("GET", LIST, [], {})).broken == kind
    assert 1 <= make_api(customers=5, faults="slow=1").server.respond(Request("GET", LIST, [], {})).delay <= 2
    assert make_api(customers=5, latency=0.25).server.respond(Request("GET", LIST, [], {})).delay == 0.25
