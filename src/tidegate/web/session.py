"""Log-in with an API token until users exist: a sealed cookie names the token, which must still be valid."""

import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tidegate.errors import SecretKeyLost
from tidegate.security import tokens
from tidegate.security.tokens import Token
from tidegate.wiring import Hub

COOKIE = "tidegate_session"
LASTS = 12 * 3600  # seconds
TRIES, WINDOW = 10, 60.0  # failures that one address may have within so many seconds
MOST_ADDRESSES = 10_000


class _Session(msgspec.Struct):
    token: int
    until: int  # epoch seconds


_decode_session = msgspec.json.Decoder(_Session).decode


def begin(response: Response, hub: Hub, token: Token) -> None:
    """Sets the cookie; browsers send it back over HTTPS only, and never with requests of other sites."""
    session = msgspec.json.encode(_Session(token.id, int(time.time()) + LASTS))
    sealed = hub.vault.seal(session.decode()).decode()
    response.set_cookie(COOKIE, sealed, max_age=LASTS, secure=True, httponly=True, samesite="strict", path="/")


def end(response: Response) -> None:
    """Takes the cookie back."""
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict", path="/")


def current(request: Request, hub: Hub) -> Token | None:
    """The token that the request's cookie names; None without one, when it has run out or the token was revoked."""
    sealed = request.cookies.get(COOKIE)
    if not sealed:
        return None
    try:
        session = _decode_session(hub.vault.open(sealed.encode(), COOKIE))
    except (SecretKeyLost, msgspec.MsgspecError):
        return None  # sealed with another key, or not by us: as good as no cookie
    if session.until < time.time():
        return None
    with hub.engine.connect() as db:
        return tokens.active(db, session.token)


class Attempts:
    """Failed log-ins per address, so that guessing is slow. Times are seconds of a steady clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def exhausted(self, address: str) -> bool:
        """Whether the address has failed too often of late."""
        since = self._clock() - WINDOW
        return sum(at > since for at in self._failed.get(address, ())) >= TRIES

    def failed(self, address: str) -> None:
        """Notes a failure; only the newest addresses are remembered."""
        self._failed[address] = [*self._failed.pop(address, []), self._clock()][-TRIES:]
        while len(self._failed) > MOST_ADDRESSES:
            self._failed.popitem(last=False)
