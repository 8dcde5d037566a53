"""Who is asking: the bearer token of a request, and whether its scopes suffice."""

from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from tidegate.errors import ScopeMissing, TokenRefused
from tidegate.security import tokens
from tidegate.security.tokens import Token
from tidegate.wiring import Hub

_bearer = HTTPBearer(auto_error=False, bearerFormat="tg_…", description="A token of `tidegate tokens create`.")


def hub_of(request: Request) -> Hub:
    """The hub that the application serves."""
    return request.app.state.hub


HubOf = Annotated[Hub, Depends(hub_of)]


def requires(scope: str) -> Any:
    """A dependency: the request's token, when its scopes allow `scope`.

    Raises TokenRefused (401) without a valid token, ScopeMissing (403) when it may not.
    """

    def check(hub: HubOf, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Token:
        if given is None:
            raise TokenRefused(problem="Send `Authorization: Bearer tg_…`; `tidegate tokens create` makes a token.")
        with hub.engine.begin() as db:
            token = tokens.verify(db, given.credentials)
        if token is None:
            raise TokenRefused(problem="This token is unknown or was revoked.")
        if not token.may(scope):
            raise ScopeMissing(needed=scope, name=token.name, scopes=", ".join(token.scopes))
        return token

    return Depends(check)
