"""Who is asking: the bearer token of a request, and whether its scopes suffice."""

from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers

from tidegate.api.recent import Recent
from tidegate.errors import ScopeMissing, TokenRefused
from tidegate.security import tokens
from tidegate.security.tokens import Token
from tidegate.wiring import Hub

TOKEN_SECONDS = 5.0
"""How long product code's token counts as valid after it was looked up: so long one that was revoked may still be
used.
"""

_bearer = HTTPBearer(auto_error=False, bearerFormat="tg_…", description="A token of `tidegate tokens create`.")
Given = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def hub_of(request: Request) -> Hub:
    """The hub that the application serves."""
    return request.app.state.hub


HubOf = Annotated[Hub, Depends(hub_of)]


def requires(scope: str) -> Any:
    """A dependency: the request's token, when its scopes allow `scope`.

    Raises TokenRefused (401) without a valid token, ScopeMissing (403) when it may not.
    """

    def check(hub: HubOf, given: Given) -> Token:
        return _allowed(verified(hub, _text(given)), scope)

    return Security(check, scopes=[scope])


def requires_recent(*scopes: str) -> Any:
    """As `requires`, for what product code asks all the time: any of the scopes suffices, and a token that was valid
    5 s ago still is.
    """

    async def check(request: Request, given: Given) -> Token:
        return await _recent(request, _text(given), *scopes)

    return Security(check, scopes=scopes)


async def recent_token(request: Request, *scopes: str) -> Token:
    """As `requires_recent`, for a route that reads its request itself."""
    return await _recent(request, bearer(request.headers), *scopes)


def bearer(headers: Headers) -> str:
    """The token that a request brings; empty when it brings none."""
    scheme, _, text = headers.get("authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


async def _recent(request: Request, text: str, *scopes: str) -> Token:
    recent: Recent[str, Token] = request.app.state.recent_tokens
    token = recent.get(text)
    if token is None:
        began = recent.now()
        token = await run_in_threadpool(verified, hub_of(request), text)
        recent.put(text, token, began)
    return _allowed(token, *scopes)


def recent_tokens() -> Recent[str, Token]:
    """Where `requires_recent` keeps what it looked up; one of each application."""
    return Recent(TOKEN_SECONDS)


def _text(given: HTTPAuthorizationCredentials | None) -> str:
    return given.credentials if given is not None else ""


def verified(hub: Hub, text: str) -> Token:
    """The token that a text is. Raises TokenRefused."""
    if not text:
        raise TokenRefused(problem="Send `Authorization: Bearer tg_…`; `tidegate tokens create` makes a token.")
    with hub.engine.begin() as db:
        token = tokens.verify(db, text)
    if token is None:
        raise TokenRefused(problem="This token is unknown or was revoked.")
    return token


def _allowed(token: Token, *scopes: str) -> Token:
    if not any(token.may(scope) for scope in scopes):
        raise ScopeMissing(needed=scopes[0], name=token.name, scopes=", ".join(token.scopes))
    return token
