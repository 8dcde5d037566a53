"""API tokens as admins handle them: made, shown once, revoked; each is written down."""

from collections.abc import Iterable

from sqlalchemy import Engine

from tidegate.errors import UserInvalid
from tidegate.security import audit_log, tokens, users
from tidegate.security.tokens import Token


def create(engine: Engine, name: str, scopes: Iterable[str], actor: str) -> tuple[int, str]:
    """The number of a new token and the token itself, which is not kept. Raises UserInvalid for a name that is none, or
    that a token has which was not revoked: what is done with it is written down, and kept, by its name. ScopeUnknown.
    """
    name, wanted = users.checked_name(name), list(scopes)
    with engine.begin() as db:
        if tokens.is_taken(db, name):
            raise UserInvalid(
                field="name", problem="there is a token of this name; revoke that first, or choose another."
            )
        number, token = tokens.create(db, name, wanted)
        audit_log.record(db, actor, "token.created", name, id=number, scopes=wanted)
    return number, token


def revoke(engine: Engine, number: int, actor: str) -> Token:
    """The token, which ended for good; who is signed in with it is signed out. Raises TokenUnknown."""
    with engine.begin() as db:
        token = tokens.revoke(db, number)
        audit_log.record(db, actor, "token.revoked", token.name, id=token.id)
    return token
