"""OAuth as Stripe has it: where an account gives access, and what a code or a refresh token is exchanged for.

A Stripe App (docs.stripe.com/stripe-apps/api-authentication/oauth) gets tokens of the account that end after an hour,
with refresh tokens that change at each use. Of an existing Connect platform (docs.stripe.com/connect/oauth-reference)
the platform's own key speaks for the account from then on.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlencode

import msgspec

from tidegate.stripe_api.client import StripeApi

TOKEN_LASTS = timedelta(hours=1)
"""How long an access token of a Stripe App is good; its answer does not say so, the documentation does."""


@dataclass(frozen=True, slots=True)
class Way:
    """One of the two: `authorize` is the page that a person is sent to, `base` where the other paths are (None:
    Stripe's API), `token` and `deauthorize` are those.
    """

    authorize: str
    base: str | None
    token: str
    deauthorize: str
    scope: str = ""


def app(base: str = "", link: str = "") -> Way:
    """Of a Stripe App. `base`: another server than Stripe's; `link`: an install link that is not the public one."""
    authorize = link or f"{base.rstrip('/') or 'https://marketplace.stripe.com'}/oauth/v2/authorize"
    return Way(authorize, base or None, "/v1/oauth/token", "/v1/oauth/deauthorize")


def platform(base: str = "") -> Way:
    """Of a Connect platform, asked to let it read."""
    at = base.rstrip("/") or "https://connect.stripe.com"
    return Way(f"{at}/oauth/authorize", at, "/oauth/token", "/oauth/deauthorize", "read_only")


@dataclass(frozen=True, slots=True)
class Registered:
    """What the owner of this hub registered at Stripe: a Stripe App (client id, secret key, install link unless it is
    the public one), the client id of a Connect platform. `api_base`: another server than Stripe's, such as a sandbox.
    """

    app_client_id: str = ""
    app_key: str = field(default="", repr=False)
    app_link: str = ""
    platform_client_id: str = ""
    api_base: str = ""

    @property
    def app(self) -> bool:
        """Whether accounts can be connected by the Stripe App."""
        return bool(self.app_client_id and self.app_key)


class Granted(msgspec.Struct):
    """The access that an account gave."""

    stripe_user_id: str
    livemode: bool
    access_token: str
    refresh_token: str = ""

    def __repr__(self) -> str:
        return f"Granted({self.stripe_user_id}, …)"


_decode = msgspec.json.Decoder(Granted).decode


def authorize_url(way: Way, client_id: str, back: str, state: str) -> str:
    """Where a person gives access; they come back to `back` with a code and the state."""
    asked = {"client_id": client_id, "redirect_uri": back, "state": state}
    if way.scope:
        asked |= {"response_type": "code", "scope": way.scope}
    joined = "&" if "?" in way.authorize else "?"
    return f"{way.authorize}{joined}{urlencode(asked)}"


def exchange(api: StripeApi, way: Way, code: str) -> Granted:
    """The access that a code stands for. Raises StripeRefused (`invalid_grant` for one that is spent or unknown)."""
    asked = {"grant_type": "authorization_code", "code": code}
    return _decode(api.post(way.token, asked, interactive=True).body)


def renew(api: StripeApi, way: Way, refresh_token: str) -> Granted:
    """New tokens. Raises StripeRefused when the access was taken back, or nobody has used it for a year."""
    asked = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return _decode(api.post(way.token, asked, interactive=True).body)


def give_back(api: StripeApi, way: Way, client_id: str, account: str) -> None:
    """Tells Stripe that the access is not wanted any more. Raises the errors of StripeApi."""
    api.post(way.deauthorize, {"client_id": client_id, "stripe_user_id": account}, interactive=True)
