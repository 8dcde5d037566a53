"""Webhook signatures as docs.stripe.com/webhooks describes them: HMAC-SHA256 of "{t}.{raw body}"."""

import hashlib
import hmac


def signature_header(body: bytes, secret: str, at: int) -> str:
    """The `Stripe-Signature` header for a body signed at `at` (real UTC epoch seconds)."""
    digest = hmac.new(secret.encode(), b"%d.%s" % (at, body), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
