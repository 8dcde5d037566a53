"""Webhooks of your hub: whether they really come from it (standardwebhooks.com, version 1)."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tidegate_client.errors import WebhookInvalid

TOLERANCE = 300


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secret: str | Sequence[str],
    *,
    tolerance: int = TOLERANCE,
    now: float | None = None,
) -> dict[str, Any]:
    """The event of a webhook. `body`: as it came, byte for byte. `secret`: `whsec_…`; several while one is replaced.
    `tolerance`: seconds that it may be old, so that nobody sends an old one again.

    Raises WebhookInvalid.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        id_, sent, signatures = (given[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
        at = int(sent)
    except (KeyError, ValueError) as error:
        raise WebhookInvalid(
            "the headers webhook-id, webhook-timestamp and webhook-signature are incomplete"
        ) from error
    if abs((time.time() if now is None else now) - at) > tolerance:
        raise WebhookInvalid(f"the webhook was signed more than {tolerance} s ago, or the clocks differ")
    signed = f"{id_}.{sent}.".encode() + body
    secrets = [secret] if isinstance(secret, str) else secret
    expected = [hmac.new(_key(one), signed, hashlib.sha256).digest() for one in secrets]
    if not any(hmac.compare_digest(_signature(one), known) for one in signatures.split() for known in expected):
        raise WebhookInvalid("the webhook is not signed with this secret")
    try:
        event: Any = json.loads(body)
    except ValueError as error:
        raise WebhookInvalid("the body is no JSON") from error
    if not isinstance(event, dict):
        raise WebhookInvalid("the body is no JSON object")
    return event  # pyright: ignore[reportUnknownVariableType]


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise WebhookInvalid("the secret is not of the form whsec_ and base64") from error


def _signature(given: str) -> bytes:
    """The digest of one signature; nothing for one of another version or that cannot be read."""
    version, _, encoded = given.partition(",")
    try:
        return base64.b64decode(encoded, validate=True) if version == "v1" else b""
    except binascii.Error:
        return b""
