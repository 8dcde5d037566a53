"""Signs webhooks in the way of standardwebhooks.com, version 1."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a secret (the specification, Signature scheme)."""


def key_of(secret: str) -> bytes:
    """The key of `whsec_…`. Raises ValueError that says what is wrong with it."""
    if not secret.startswith(PREFIX):
        raise ValueError("a signing secret begins with whsec_; `openssl rand -base64 32` makes what follows")
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("what follows whsec_ is no base64") from error
    if not SHORTEST <= len(key) <= LONGEST:
        raise ValueError(f"a signing secret is {SHORTEST} to {LONGEST} bytes, not {len(key)}")
    return key


def signed(secrets: Sequence[str], id_: str, at: int, body: bytes) -> Mapping[str, str]:
    """The headers of a webhook; `at` in epoch seconds. Of several secrets, while one takes the place of another, each
    signs, and a receiver that knows one of them is content.
    """
    content = f"{id_}.{at}.".encode() + body
    digests = [hmac.new(key_of(secret), content, hashlib.sha256).digest() for secret in secrets]
    signatures = " ".join(f"v1,{base64.b64encode(one).decode()}" for one in digests)
    return {"webhook-id": id_, "webhook-timestamp": str(at), "webhook-signature": signatures}
