"""Connects a Stripe account by its key: asks Stripe whose it is, and stores it sealed."""

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection, Engine

from tidegate.connections import accounts, permissions, problems
from tidegate.connections.accounts import Account, Credentials
from tidegate.errors import (
    OAuthRefused,
    StripeAccountHidden,
    StripeEndpointMissing,
    StripeKeyInvalid,
    StripeKeyRefused,
    StripePermissionMissing,
    UsageError,
)
from tidegate.mirror import forgotten
from tidegate.secrets import Vault
from tidegate.security import audit_log
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.mode import check_mode, livemode_of
from tidegate.stripe_api.oauth import TOKEN_LASTS, Granted
from tidegate.workflows.mirror.disconnect import with_accounts

LIVE_RATE, SANDBOX_RATE, ENDPOINT_RATE = 100.0, 25.0, 25.0
"""Requests a second, as docs.stripe.com/rate-limits states them: live, test mode, one endpoint."""

NAME = r"[a-z0-9_-]{1,60}"
"""What a connection may be called: it stands in URLs and on command lines."""

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


_decode_account = msgspec.json.Decoder(_AccountBody).decode


def connect(engine: Engine, vault: Vault, request: ConnectRequest, open_api: OpenApi, actor: str) -> Account:
    """Asks Stripe whose key it is and stores the connection; an existing name gets the new credentials, and keeps the
    rates and the API base that are not given. `actor`: who does it, as the audit log says it.

    Raises UsageError for what is no secret key, StripeKeyRefused, StripeAccountHidden, StripeUnreachable,
    StripeModeWrong, and OtherAccount when the name belongs to another account; the fact `field`, where there is one, is
    the field of the request that is wrong.
    """
    livemode = _checked(request)
    request = _at_its_base(engine, request)
    found = _ask_whose(request.api_key, request.api_base, open_api)
    if request.write_key:
        owner = _ask_whose(request.write_key, request.api_base, open_api, "write_key").id
        if owner != found.id:
            raise UsageError(
                problem=f"The write key belongs to {owner}, the read key to {found.id}.", field="write_key"
            )
    secrets = Credentials(request.api_key.strip(), request.write_key.strip(), request.webhook_secrets)
    with engine.begin() as db:
        return _keep(db, vault, request, found, livemode, secrets, actor)


def connect_granted(
    engine: Engine, vault: Vault, granted: Granted, api_base: str, open_api: OpenApi, actor: str
) -> Account:
    """Stores the access that an account gave to a Stripe App: a new connection, or the one that the account has, which
    keeps its name, write key and webhook secrets. Raises what `connect` raises.
    """
    request = ConnectRequest(granted.access_token, api_base=api_base)
    found = _ask_whose(granted.access_token, api_base, open_api)
    if found.id != granted.stripe_user_id:
        raise OAuthRefused(problem=f"Stripe named {granted.stripe_user_id}, and the token is of {found.id}.")
    secrets = Credentials(granted.access_token, "", (), granted.refresh_token)
    with engine.begin() as db:
        return _keep(db, vault, request, found, granted.livemode, secrets, actor)


def _keep(
    db: Connection,
    vault: Vault,
    request: ConnectRequest,
    found: _AccountBody,
    livemode: bool,
    secrets: Credentials,
    actor: str,
) -> Account:
    """Stores the connection, says so in the audit log, and forgets what was wrong with the credentials before."""
    shown = found.settings.dashboard.display_name if found.settings and found.settings.dashboard else None
    known = accounts.every(db)
    name = request.name or _name(known, found.id, livemode)
    values = {
        "name": name,
        "account": found.id,
        "livemode": livemode,
        "sandbox": bool(request.api_base),
        "display_name": shown or found.id,
        "api_base": request.api_base,
        "platform": None,
        "left_out": False,
        "oauth": bool(secrets.refresh_token),
        "token_ends_at": datetime.now(UTC) + TOKEN_LASTS if secrets.refresh_token else None,
        **_rates(request, livemode, next((one for one in known if one.name == name), None)),
    }
    saved = accounts.save(db, values, secrets, vault)
    how = "Stripe App" if secrets.refresh_token else "key"
    audit_log.record(db, actor, "connection.connected", name, account=found.id, by=how)
    accounts.follow(db, name)
    forgotten.recall(db, name)
    for one in with_accounts(db, name):  # of the key before
        permissions.outdate(db, one)
        problems.clear(db, one, [*problems.OF_ACCESS, "permission_missing"])
    return saved


def _at_its_base(engine: Engine, request: ConnectRequest) -> ConnectRequest:
    """The request, asking where the connection of that name asks already: its key is nothing for anybody else."""
    if request.api_base or not request.name:
        return request
    with engine.connect() as db:
        known = next((one for one in accounts.every(db) if one.name == request.name), None)
    return replace(request, api_base=known.api_base or "") if known else request


def _checked(request: ConnectRequest) -> bool:
    """Whether the keys are of live mode. Raises UsageError for what cannot be right, before Stripe is asked."""
    if request.name and not re.fullmatch(NAME, request.name):
        raise UsageError(problem=f"{request.name!r} cannot be a name: up to 60 of a-z, 0-9, - and _ can.", field="name")
    livemode = _mode(request.api_key)
    if request.write_key and _mode(request.write_key, "write_key") != livemode:
        raise UsageError(
            problem="The write key and the read key are not of the same mode (live or test).", field="write_key"
        )
    return livemode


def _rates(request: ConnectRequest, livemode: bool, known: Account | None) -> dict[str, float]:
    """The limits that were asked for; else those that the connection has; else Stripe's."""
    rate = request.rate
    if rate is None:
        rate = known.rate if known else LIVE_RATE if livemode else SANDBOX_RATE
    endpoint_rate = request.endpoint_rate
    if endpoint_rate is None:
        endpoint_rate = known.endpoint_rate if known else min(rate, ENDPOINT_RATE)
    return {"rate": rate, "endpoint_rate": endpoint_rate}


def _mode(key: str, field: str = "api_key") -> bool:
    """Whether the key is of live mode. Raises UsageError for what is no secret or restricted key."""
    livemode = livemode_of(key)
    if livemode is None:
        raise UsageError(
            problem="That is not a Stripe secret key: they begin with sk_live_, sk_test_, rk_live_ or rk_test_. "
            "Make a restricted key with read permissions under Developers, API keys in Stripe's dashboard.",
            field=field,
        )
    return livemode


def _ask_whose(key: str, base: str, open_api: OpenApi, field: str = "api_key") -> _AccountBody:
    """The account of a key. Raises StripeKeyRefused, StripeAccountHidden, UsageError when what answers at the base is
    not Stripe's API, StripeModeWrong when it is of the other mode.
    """
    try:
        with open_api(key.strip(), base or None) as api:
            body = api.get("/v1/account", interactive=True).body
            found = _decode_account(body)
            check_mode(api, interactive=True)
        return found
    except StripeKeyInvalid as error:
        raise StripeKeyRefused(**error.facts, field=field) from error
    except StripePermissionMissing as error:
        raise StripeAccountHidden(**error.facts, field=field) from error
    except (msgspec.DecodeError, StripeEndpointMissing) as error:
        said = "it has no /v1/account" if isinstance(error, StripeEndpointMissing) else f"{error}"
        told = f"What answers at {base or 'Stripe'} is not Stripe's API: {said}."
        raise UsageError(problem=f"{told} An API base is an address without a path.", field="api_base") from error


def _name(existing: Sequence[Account], account: str, livemode: bool) -> str:
    """The name this account has already; else `live` or `test`, with a number when that is taken."""
    known = next((one.name for one in existing if (one.account, one.livemode) == (account, livemode)), "")
    wanted = "live" if livemode else "test"
    candidates = [wanted, *(f"{wanted}-{n}" for n in range(2, len(existing) + 2))]
    taken = {one.name for one in existing}
    return known or next(name for name in candidates if name not in taken)
