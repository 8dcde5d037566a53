"""Who looks at the page: a user, who came with an API token, or somebody at this machine before there are users."""

from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from tidegate.security import sessions, users
from tidegate.security.tokens import Token
from tidegate.web.access import is_local
from tidegate.wiring import Hub

COOKIE = "tidegate_session"


class Who(Protocol):
    """A visitor. `known`: signed in; `actor`: how what they do is written down."""

    @property
    def name(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def known(self) -> bool: ...
    def may(self, scope: str) -> bool:
        """Whether they may do what the scope is for."""
        ...


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user, or who came with a token."""

    visitor: sessions.Visitor

    known = True

    @property
    def name(self) -> str:
        """As the page calls them."""
        return f"the token {self.visitor.name}" if isinstance(self.visitor, Token) else self.visitor.name

    @property
    def actor(self) -> str:
        """`user:EMAIL` or `token:NAME`."""
        return self.visitor.actor

    def may(self, scope: str) -> bool:
        """By the role, or the token's scopes."""
        return self.visitor.may(scope)


@dataclass(frozen=True, slots=True)
class SomebodyHere:
    """Whoever sits at this machine, while there are no users: may look."""

    known = False
    name = "somebody at this machine"
    actor = "page:local"

    def may(self, scope: str) -> bool:
        """Looking only."""
        return scope in {"read", "revenue"}


def who_is(request: Request, hub: Hub, bound_to: str) -> Who | None:
    """Who asks; None for who has to sign in."""
    cookie = request.cookies.get(COOKIE, "")
    with hub.engine.begin() as db:
        visitor = sessions.current(db, cookie) if cookie else None
        if visitor is not None:
            return SignedIn(visitor)
        return SomebodyHere() if is_local(request, bound_to) and not users.any_exists(db) else None


def remember(response: Response, cookie: str) -> None:
    """Sets the cookie; browsers send it back over HTTPS only, and never with requests of other sites."""
    age = int(sessions.LASTS.total_seconds())
    response.set_cookie(COOKIE, cookie, max_age=age, secure=True, httponly=True, samesite="strict", path="/")


def forget(response: Response) -> None:
    """Takes the cookie back."""
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict", path="/")
