"""Was this webhook signed by Stripe, and with which of our secrets?"""

import time
from collections.abc import Mapping

from stripe import SignatureVerificationError, WebhookSignature

from tidegate.errors import SignatureInvalid

TOLERANCE = 300
"""Seconds that a signature may be old, Stripe's own default (docs.stripe.com/webhooks/signature)."""


def verify(body: bytes, header: str | None, secrets: Mapping[str, str], tolerance: int = TOLERANCE) -> str:
    """The name of the secret (of name → `whsec_…`) that signed `body`, the raw bytes as they came; any one that fits.

    `header` is the value of Stripe-Signature; a signature older than `tolerance` seconds is refused. Raises
    SignatureInvalid that says what was wrong.
    """
    if not header:
        raise SignatureInvalid(problem="the header Stripe-Signature is missing")
    if not secrets:
        raise SignatureInvalid(
            problem="no webhook secret is known; give it with `tidegate connect --name NAME --webhook-secret -`"
        )
    try:
        payload = body.decode()
    except UnicodeDecodeError:
        raise SignatureInvalid(problem="the body is no UTF-8 text") from None
    signed_at = _signed_at(header)
    for name, secret in secrets.items():
        if _fits(payload, header, secret):
            age = time.time() - signed_at
            if age > tolerance:
                raise SignatureInvalid(problem=f"it was signed {age:.0f} s ago, at most {tolerance} s are allowed")
            return name
    raise SignatureInvalid(
        problem=f"none of {len(secrets)} secrets fits" if len(secrets) > 1 else "the secret does not fit"
    )


def _signed_at(header: str) -> int:
    """Seconds since 1970 that the header says; the checks here only tell one wrong header from another."""
    if not header.isascii():
        raise SignatureInvalid(problem="the header Stripe-Signature is malformed: it is not ASCII")
    fields = [field.partition("=") for field in header.split(",")]
    times = [value for name, _, value in fields if name == "t"]
    if not times or not times[0].isdecimal() or len(times[0]) > 12:
        raise SignatureInvalid(problem="the header Stripe-Signature is malformed: it has no time (t=…)")
    if not any(name == WebhookSignature.EXPECTED_SCHEME for name, _, _ in fields):
        raise SignatureInvalid(problem="the header Stripe-Signature carries no signature of scheme v1")
    return int(times[0])


def _fits(payload: str, header: str, secret: str) -> bool:
    try:
        WebhookSignature.verify_header(payload, header, secret)  # pyright: ignore[reportUnknownMemberType]
    except SignatureVerificationError:
        return False
    return True
