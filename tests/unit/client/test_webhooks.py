"""Webhooks of the hub: only what it signed itself, lately, is taken."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from tidegate_client import WebhookInvalid, verify

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef").decode()
BODY = json.dumps({"type": "entitlement.granted", "data": {"feature": "sso"}}).encode()
AT = 1_800_000_000


def signed(body: bytes = BODY, secret: str = SECRET, at: int = AT) -> dict[str, str]:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"msg_1.{at}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"Webhook-Id": "msg_1", "Webhook-Timestamp": str(at), "Webhook-Signature": signature}


def test_the_example_of_the_standard_is_taken() -> None:
    # https://github.com/standard-webhooks/standard-webhooks, its own test vector
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert verify(b'{"test": 2432232314}', headers, secret, now=1614265330) == {"test": 2432232314}


def test_a_signed_event_is_read() -> None:
    assert verify(BODY, signed(), SECRET, now=AT + 299)["type"] == "entitlement.granted"
    other = "whsec_" + base64.b64encode(b"another").decode()
    assert verify(BODY, signed(), [other, SECRET], now=AT)
    two = signed() | {"Webhook-Signature": f"v1a,zzzz v1,!! {signed()['Webhook-Signature']}"}
    assert verify(BODY, two, SECRET, now=AT)


@pytest.mark.parametrize(
    ("body", "headers", "secret", "now", "problem"),
    [
        (BODY + b" ", signed(), SECRET, AT, "not signed"),
        (BODY, signed() | {"Webhook-Id": "msg_2"}, SECRET, AT, "not signed"),
        (BODY, signed() | {"Webhook-Signature": "v1,"}, SECRET, AT, "not signed"),
        (BODY, signed(), "whsec_" + base64.b64encode(b"x").decode(), AT, "not signed"),
        (BODY, signed(), "whsec_not base64!", AT, "not of the form"),
        (BODY, signed(), SECRET, AT + 301, "more than 300 s"),
        (BODY, signed(), SECRET, AT - 301, "more than 300 s"),
        (BODY, {}, SECRET, AT, "incomplete"),
        (BODY, signed() | {"Webhook-Timestamp": "soon"}, SECRET, AT, "incomplete"),
        (b"[1]", signed(b"[1]"), SECRET, AT, "no JSON object"),
        (b"{", signed(b"{"), SECRET, AT, "no JSON"),
    ],
)
def test_anything_else_is_refused(body: bytes, headers: dict[str, str], secret: str, now: int, problem: str) -> None:
    with pytest.raises(WebhookInvalid, match=problem):
        verify(body, headers, secret, now=now)


def test_headers_may_come_in_any_case() -> None:
    headers: dict[str, Any] = {name.upper(): value for name, value in signed().items()}
    assert verify(BODY, headers, SECRET, now=AT)
