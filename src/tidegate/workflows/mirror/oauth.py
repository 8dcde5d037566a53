"""Connects an account that gives access by OAuth, to the Stripe App of this hub's owner or to their Connect platform.

Nobody but the browser that was sent to Stripe, and the session that sent it, may come back with the access.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from sqlalchemy import Engine

from tidegate.connections import accounts, oauth
from tidegate.connections.accounts import Account
from tidegate.connections.oauth import Sent
from tidegate.errors import OAuthNotSetUp, OAuthRefused, StripeRefused, TidegateError
from tidegate.secrets import Vault
from tidegate.security import sessions
from tidegate.stripe_api import oauth as at_stripe
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.oauth import Registered, Way
from tidegate.workflows.doorbell import Doorbell
from tidegate.workflows.mirror.connect import OpenApi, connect_granted
from tidegate.workflows.mirror.fan_out import fan_out

CALLBACK = "/api/integrations/stripe/callback"
OpenAccount = Callable[[Account], AbstractContextManager[StripeApi]]


def begin(
    engine: Engine, registered: Registered, session: int, back: str, platform: str | None = None
) -> tuple[str, Sent]:
    """Where at Stripe the access is given, and what its return is known by. `platform`: the connection of the Connect
    platform that the account is to be connected to; None: the Stripe App. `back`: the address of `CALLBACK`.

    Raises OAuthNotSetUp, ConnectionUnknown, ConnectionDisconnected.
    """
    with engine.begin() as db:
        if platform is None:
            if not registered.app:
                raise OAuthNotSetUp(lacking="it needs TIDEGATE_STRIPE_APP_CLIENT_ID and TIDEGATE_STRIPE_APP_KEY.")
            way, client_id = at_stripe.app(registered.api_base, registered.app_link), registered.app_client_id
        else:
            if not registered.platform_client_id:
                raise OAuthNotSetUp(lacking="a Connect platform needs TIDEGATE_STRIPE_CONNECT_CLIENT_ID.")
            found = accounts.named(db, platform)
            accounts.require_connected(db, found.name)
            way, client_id = at_stripe.platform(found.api_base), registered.platform_client_id
        sent = oauth.send(db, session, platform)
    return at_stripe.authorize_url(way, client_id, back, sent.state), sent


@dataclass(frozen=True, slots=True)
class Return:
    """With what somebody comes back from Stripe: `refused` says in Stripe's words why not with a code."""

    state: str
    cookie: str = field(repr=False)
    code: str = field(repr=False)
    refused: str = ""


def finish(
    engine: Engine, vault: Vault, registered: Registered, came: Return, open_api: OpenApi, open_account: OpenAccount
) -> Account:
    """Exchanges the code and stores the connection, or with a platform the connections of its accounts.

    Raises OAuthRefused, and the errors of `connect_granted`, of `fan_out` and of StripeApi.
    """
    with engine.begin() as db:
        begun = oauth.come_back(db, came.state, came.cookie)
        visitor = sessions.whose(db, begun.session)
    if visitor is None or not visitor.may("admin"):
        raise OAuthRefused(problem="who began it may not connect accounts any more.")
    if came.refused or not came.code:
        raise OAuthRefused(problem=f"Stripe said: {came.refused or 'nothing, and sent no code'}.")
    if begun.platform is None:
        return _of_app(engine, vault, registered, came.code, open_api, visitor.actor)
    return _of_platform(engine, vault, begun.platform, came.code, open_api, open_account, visitor.actor)


def _of_app(engine: Engine, vault: Vault, registered: Registered, code: str, open_api: OpenApi, actor: str) -> Account:
    way = at_stripe.app(registered.api_base)
    with open_api(registered.app_key, way.base) as api:
        granted = _exchanged(api, way, code)
    account = connect_granted(engine, vault, granted, registered.api_base, open_api, actor)
    Doorbell(engine).ring("probe", connection=account.name)
    return account


def _of_platform(
    engine: Engine,
    vault: Vault,
    platform: str,
    code: str,
    open_api: OpenApi,
    open_account: OpenAccount,
    actor: str,
) -> Account:
    """The platform's key speaks for the account from now on, so its tokens are not kept."""
    with engine.connect() as db:
        owner = accounts.named(db, platform)
        key = accounts.credentials(db, platform, vault).api_key
    way = at_stripe.platform(owner.api_base)
    with open_api(key, way.base) as api:
        granted = _exchanged(api, way, code)
    with open_account(owner) as api:
        fan_out(engine, owner, api, actor=actor)
    with engine.connect() as db:
        found = [one for one in accounts.every(db, connected=True) if one.account == granted.stripe_user_id]
    if not found:
        raise OAuthRefused(problem=f"{platform} does not list {granted.stripe_user_id} among its accounts.")
    return min(found, key=lambda one: one.platform != platform)


def _exchanged(api: StripeApi, way: Way, code: str) -> at_stripe.Granted:
    try:
        return at_stripe.exchange(api, way, code)
    except StripeRefused as error:
        raise OAuthRefused(problem=str(error)) from error


def give_back(registered: Registered, account: Account, open_api: OpenApi) -> str:
    """Tells Stripe that the access is not wanted any more of a connection that was let go of; `account`: as it was
    before. Returns why that failed, empty when it did not, or there was nothing to tell.
    """
    if not account.oauth or account.disconnected_at or not registered.app:
        return ""
    way = at_stripe.app(account.api_base)
    try:
        with open_api(registered.app_key, way.base) as api:
            at_stripe.give_back(api, way, registered.app_client_id, account.account)
    except TidegateError as error:
        return str(error)
    return ""
