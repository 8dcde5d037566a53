"""Connects a Stripe account: asks Stripe whose key it is, stores it sealed; and lets go of one again."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Engine, text

from tidegate.connections import accounts
from tidegate.connections.accounts import Account, Credentials
from tidegate.errors import UsageError
from tidegate.mirror.tables import STRIPE_TABLES
from tidegate.secrets import Vault
from tidegate.stripe_api.client import StripeApi

LIVE_RATE, SANDBOX_RATE, ENDPOINT_RATE = 100.0, 25.0, 25.0
"""Requests a second, as docs.stripe.com/rate-limits states them: live, test mode, one endpoint."""

OWNED = ("problems", "versions", "unreadable", "refetches", "inbox", "comparisons", "runs", "rate_budget")
"""Tables of schema `tidegate` whose rows belong to a connection."""

OpenApi = Callable[[str, str | None], AbstractContextManager[StripeApi]]
"""Opens Stripe with a key and an API base (None: Stripe itself), before a connection exists."""


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """What is known before Stripe is asked. `name` empty: derived from the account. Rates: None takes Stripe's
    limits.
    """

    api_key: str = field(repr=False)
    name: str = ""
    write_key: str = field(default="", repr=False)
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    api_base: str = ""
    rate: float | None = None
    endpoint_rate: float | None = None


class _Dashboard(msgspec.Struct):
    display_name: str | None = None


class _Settings(msgspec.Struct):
    dashboard: _Dashboard | None = None


class _AccountBody(msgspec.Struct):
    id: str
    settings: _Settings | None = None


def connect(engine: Engine, vault: Vault, request: ConnectRequest, open_api: OpenApi) -> Account:
    """Asks Stripe whose key it is and stores the connection; an existing name gets the new credentials.

    Raises UsageError for what is no secret key, StripeKeyInvalid, StripeUnreachable, and OtherAccount when the name
    belongs to another account.
    """
    livemode = _mode(request.api_key)
    if request.write_key and _mode(request.write_key) != livemode:
        raise UsageError(problem="The write key and the read key are not of the same mode (live or test).")
    with open_api(request.api_key, request.api_base or None) as api:
        found = msgspec.json.decode(api.get("/v1/account", interactive=True).body, type=_AccountBody)
    if request.write_key:
        _same_account(request, open_api, found.id)
    shown = found.settings.dashboard.display_name if found.settings and found.settings.dashboard else None
    rate = request.rate if request.rate is not None else LIVE_RATE if livemode else SANDBOX_RATE
    with engine.begin() as db:
        values = {
            "name": request.name or _name(accounts.every(db), found.id, livemode),
            "account": found.id,
            "livemode": livemode,
            "sandbox": bool(request.api_base),
            "display_name": shown or found.id,
            "api_base": request.api_base,
            "rate": rate,
            "endpoint_rate": request.endpoint_rate if request.endpoint_rate is not None else min(rate, ENDPOINT_RATE),
        }
        secrets = Credentials(request.api_key, request.write_key, request.webhook_secrets)
        return accounts.save(db, values, secrets, vault)


def _mode(key: str) -> bool:
    """Whether the key is of live mode. Raises UsageError for what is no secret or restricted key."""
    kind, _, rest = key.strip().partition("_")
    if kind not in {"sk", "rk"} or not rest.startswith(("live_", "test_")):
        raise UsageError(
            problem="That is not a Stripe secret key: they begin with sk_live_, sk_test_, rk_live_ or rk_test_. "
            "Make a restricted key with read permissions under Developers, API keys in Stripe's dashboard."
        )
    return rest.startswith("live_")


def _same_account(request: ConnectRequest, open_api: OpenApi, account: str) -> None:
    with open_api(request.write_key, request.api_base or None) as api:
        found = msgspec.json.decode(api.get("/v1/account", interactive=True).body, type=_AccountBody)
    if found.id != account:
        raise UsageError(problem=f"The write key belongs to {found.id}, the read key to {account}.")


def _name(existing: Sequence[Account], account: str, livemode: bool) -> str:
    """The name this account has already; else `live` or `test`, with a number when that is taken."""
    known = next((one.name for one in existing if (one.account, one.livemode) == (account, livemode)), "")
    wanted = "live" if livemode else "test"
    candidates = [wanted, *(f"{wanted}-{n}" for n in range(2, len(existing) + 2))]
    taken = {one.name for one in existing}
    return known or next(name for name in candidates if name not in taken)


def disconnect(engine: Engine, name: str) -> Account:
    """Forgets the connection's keys and keeps its data. Raises ConnectionUnknown."""
    with engine.begin() as db:
        accounts.named(db, name)
        accounts.forget_credentials(db, name)
        return accounts.named(db, name)


def count_for_purge(engine: Engine, name: str) -> dict[str, int]:
    """How many rows `purge` would delete, per table that has any. Raises ConnectionUnknown."""
    with engine.connect() as db:
        accounts.named(db, name)
        counts = {
            table: int(db.scalar(text(f"select count(*) from {table} where connection = :name"), {"name": name}) or 0)
            for table in _tables()
        }
    return {table: count for table, count in counts.items() if count}


def purge(engine: Engine, name: str) -> dict[str, int]:
    """Deletes a connection and everything mirrored of it, in one transaction; returns the rows deleted per table."""
    with engine.begin() as db:
        accounts.named(db, name)
        counts = {
            table: db.execute(text(f"delete from {table} where connection = :name"), {"name": name}).rowcount
            for table in _tables()
        }
        db.execute(text("delete from tidegate.connections where name = :name"), {"name": name})
    return {table: count for table, count in counts.items() if count}


def _tables() -> list[str]:
    return [f"stripe.{table.name}" for table in STRIPE_TABLES.values()] + [f"tidegate.{table}" for table in OWNED]
