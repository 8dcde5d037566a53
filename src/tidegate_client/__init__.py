"""Tidegate for product code: what a contact may use, its usage, and webhooks that really come from your hub.

hub = Entitlements("https://tidegate.example.com", "tg_…")
if hub.check("acme", "sso"):
    …
"""

from tidegate_client.answers import Check, Consumed
from tidegate_client.asynchronous import AsyncEntitlements
from tidegate_client.buffer import Refused
from tidegate_client.client import Entitlements
from tidegate_client.errors import HubRefused, TidegateClientError, WebhookInvalid
from tidegate_client.webhooks import verify

__all__ = [
    "AsyncEntitlements",
    "Check",
    "Consumed",
    "Entitlements",
    "HubRefused",
    "Refused",
    "TidegateClientError",
    "WebhookInvalid",
    "verify",
]
