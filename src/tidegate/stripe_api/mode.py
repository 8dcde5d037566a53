"""Live or test: which of the two a key is of, and whether what Stripe answers is of the same."""

from typing import TYPE_CHECKING

import msgspec

from tidegate.errors import StripeKeyInvalid, StripeModeWrong, StripeRefused

if TYPE_CHECKING:
    from tidegate.stripe_api.client import StripeApi

BALANCE = "/v1/balance"
"""An object that every account has and that tells its mode; the account itself does not (SDK: Account, Balance)."""


class _Told(msgspec.Struct):
    livemode: bool | None = None


_decode = msgspec.json.Decoder(_Told).decode


def livemode_of(key: str) -> bool | None:
    """Whether a secret or restricted key is of live mode; None for what says neither."""
    kind, _, rest = key.strip().partition("_")
    if kind not in {"sk", "rk"} or not rest.startswith(("live_", "test_")):
        return None
    return rest.startswith("live_")


def require_mode(api: "StripeApi", endpoint: str, what: str, livemode: bool | None) -> None:
    """Raises StripeModeWrong when something that was read is not of the key's mode; what tells no mode passes."""
    if None in (livemode, api.livemode) or livemode == api.livemode:
        return
    raise StripeModeWrong(endpoint=endpoint, what=what, found=_name(livemode), wanted=_name(api.livemode))


def check_mode(api: "StripeApi", *, interactive: bool = False) -> None:
    """Asks Stripe for the balance, and raises StripeModeWrong when it is not of the key's mode.

    A key that may not read the balance tells nothing; then what it reads is judged, object by object. Raises the errors
    of StripeApi that concern more than the balance.
    """
    try:
        told, _ = api.read(BALANCE, _decode, interactive=interactive)
    except StripeKeyInvalid:
        raise
    except StripeRefused:
        return
    require_mode(api, f"GET {BALANCE}", "the balance", told.livemode)


def _name(livemode: bool | None) -> str:
    return "live" if livemode else "test"
