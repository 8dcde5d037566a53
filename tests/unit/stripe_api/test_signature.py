"""Webhook signatures: which secret fits, and what is said when none does."""

import time

import pytest
from stripe import WebhookSignature

from tidegate.errors import SignatureInvalid
from tidegate.stripe_api.signature import verify

BODY = '{"id": "evt_1", "name": "Zoë"}'
SECRETS = {"old": "whsec_old", "new": "whsec_new"}


def signed(secret: str, age: int = 0) -> str:
    return WebhookSignature.generate_signature_header(BODY, secret, timestamp=int(time.time()) - age)


@pytest.mark.parametrize("name", SECRETS)
def test_any_secret_that_fits_is_named(name: str) -> None:
    assert verify(BODY.encode(), signed(SECRETS[name]), SECRETS) == name


def test_one_of_several_signatures_suffices() -> None:
    assert verify(BODY.encode(), f"{signed('whsec_new')},v1=00,v0=11", SECRETS) == "new"


def test_the_tolerance_is_seconds() -> None:
    assert verify(BODY.encode(), signed("whsec_old", age=290), SECRETS) == "old"
    assert verify(BODY.encode(), signed("whsec_old", age=3000), SECRETS, tolerance=4000) == "old"
    with pytest.raises(SignatureInvalid, match=r"signed 3\d\d s ago, at most 300 s"):
        verify(BODY.encode(), signed("whsec_old", age=310), SECRETS)


@pytest.mark.parametrize(
    ("body", "header", "secrets", "problem"),
    [
        (BODY.encode(), None, SECRETS, "header Stripe-Signature is missing"),
        (BODY.encode(), "", SECRETS, "header Stripe-Signature is missing"),
        (BODY.encode(), "t=1,v1=00", {}, "--webhook-secret"),
        (BODY.encode(), "nonsense", SECRETS, "malformed: it has no time"),
        (BODY.encode(), "t=soon,v1=00", SECRETS, "malformed: it has no time"),
        (BODY.encode(), f"t={'9' * 5000},v1=00", SECRETS, "malformed: it has no time"),
        (BODY.encode(), "t=1700000000", SECRETS, "no signature of scheme v1"),
        (BODY.encode(), "t=1700000000,v0=00", SECRETS, "no signature of scheme v1"),
        (BODY.encode(), "t=1700000000,v1", SECRETS, "none of 2 secrets fits"),
        (BODY.encode(), "t=1700000000,v1=zoë", SECRETS, "malformed: it is not ASCII"),
        (BODY.encode(), signed("whsec_other"), SECRETS, "none of 2 secrets fits"),
        (BODY.encode(), signed("whsec_other"), {"only": "whsec_new"}, "the secret does not fit"),
        (BODY.encode(), signed("whsec_new"), {"only": " "}, "the secret does not fit"),
        (BODY.encode() + b" ", signed("whsec_new"), SECRETS, "none of 2 secrets fits"),
        (b"\xff", signed("whsec_new"), SECRETS, "no UTF-8"),
        (BODY.encode(), signed("whsec_new", age=10**6), SECRETS, "s ago"),
    ],
    ids=range(16),  # headers hold the time: each process that collects would name the tests differently
)
def test_what_was_wrong_is_said(body: bytes, header: str | None, secrets: dict[str, str], problem: str) -> None:
    with pytest.raises(SignatureInvalid, match=problem) as caught:
        verify(body, header, secrets)
    assert "whsec_" not in str(caught.value)
