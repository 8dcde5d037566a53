"""The webhook endpoint of a connection: set up at Stripe where the key may, else what a person does there."""

import ipaddress
from urllib.parse import quote, urlsplit

import msgspec
from sqlalchemy import Connection, Engine

from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.errors import UsageError
from tidegate.secrets import Vault
from tidegate.security import audit_log
from tidegate.stripe_api.client import StripeApi

PATH = "/v1/webhook_endpoints"
EVENTS = ("*",)
"""Every event that Stripe sends without being asked for it by name."""


class _Endpoint(msgspec.Struct):
    id: str
    url: str = ""
    secret: str = ""


class _List(msgspec.Struct):
    data: list[_Endpoint]


_decode, _decode_list = msgspec.json.Decoder(_Endpoint).decode, msgspec.json.Decoder(_List).decode


def address(base: str, connection: str) -> str:
    """Where Stripe sends a connection's events; `base`: where the page is found, without a slash at its end."""
    return f"{base}/api/webhooks/stripe/{quote(connection)}"


def reachable(account: Account, url: str) -> bool:
    """Whether Stripe could get there, as far as the address tells; a simulated Stripe is on this machine."""
    parts = urlsplit(url)
    if account.sandbox:
        return parts.scheme == "http"
    if parts.scheme != "https" or not parts.hostname or parts.hostname == "localhost":
        return False
    try:
        return ipaddress.ip_address(parts.hostname).is_global
    except ValueError:
        return "." in parts.hostname


def set_up(engine: Engine, vault: Vault, account: Account, api: StripeApi, url: str, actor: str) -> str:
    """Registers the endpoint and keeps its signing secret, which Stripe tells this once; returns the endpoint's id.
    `actor`: who asks for it, as the audit log says it.

    Raises UsageError when Stripe has an endpoint at this address already, StripePermissionMissing when the key may not,
    and the other errors of StripeApi.
    """
    listed = _decode_list(api.get(PATH, {"limit": 100}, interactive=True).body).data
    if known := next((one for one in listed if one.url == url), None):
        raise UsageError(
            problem=f"Stripe has the endpoint {known.id} at this address already, and tells its signing secret in the "
            "dashboard only: give that here, or delete the endpoint there first."
        )
    asked = {"url": url, "enabled_events": list(EVENTS), "description": f"Tidegate, connection {account.name}"}
    made = _decode(api.post(PATH, asked, interactive=True).body)
    secret = _checked(made.secret)
    with engine.begin() as db:
        _keep(db, vault, account.name, secret)
        audit_log.record(db, actor, "connection.webhooks_set_up", account.name, endpoint=made.id)
    return made.id


def keep_secret(engine: Engine, vault: Vault, connection: str, secret: str, actor: str) -> None:
    """Keeps a signing secret that a person copied. Raises UsageError for what is none."""
    given = _checked(secret)
    with engine.begin() as db:
        _keep(db, vault, connection, given)
        audit_log.record(db, actor, "connection.webhook_secret", connection)


def _checked(secret: str) -> str:
    given = secret.strip()
    if not given.startswith("whsec_") or not given.isascii() or not given.isprintable() or " " in given:
        raise UsageError(problem="A signing secret begins with whsec_; Stripe shows it on the endpoint's page.")
    return given


def _keep(db: Connection, vault: Vault, connection: str, secret: str) -> None:
    accounts.require_connected(db, connection)
    accounts.add_webhook_secret(db, connection, secret, vault)
