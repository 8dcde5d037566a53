"""Who is signed in to the page: a random cookie, kept as a digest, good for half a day or until it is ended."""

from datetime import timedelta

from sqlalchemy import Connection, delete, func, insert, select

from tidegate.security import tokens, users
from tidegate.security.digests import digest, secret
from tidegate.security.tables import sessions
from tidegate.security.tokens import Token
from tidegate.security.users import User

LASTS = timedelta(hours=12)

Visitor = User | Token
"""Who is signed in: a user, or who came with an API token."""


def begin(db: Connection, who: Visitor) -> str:
    """The cookie of a new session; sessions that have run out are forgotten."""
    db.execute(delete(sessions).where(sessions.c.expires_at < func.now()))
    cookie = secret()
    whose = {"user": who.id} if isinstance(who, User) else {"token": who.id}
    db.execute(insert(sessions).values(digest=digest(cookie), expires_at=func.now() + LASTS, **whose))
    return cookie


def current(db: Connection, cookie: str) -> Visitor | None:
    """Whose session the cookie is of; None when it has run out or was ended, and for who may not sign in any more.

    Notes that a user was seen, at most once a minute; the caller commits.
    """
    session = of_cookie(db, cookie)
    return None if session is None else whose(db, session)


def of_cookie(db: Connection, cookie: str) -> int | None:
    """The id of the session that the cookie is of; None when it has run out or was ended."""
    wanted = sessions.c.digest == digest(cookie), sessions.c.expires_at > func.now()
    return db.scalar(select(sessions.c.id).where(*wanted))


def whose(db: Connection, session: int) -> Visitor | None:
    """As `current`, by the session's id."""
    wanted = sessions.c.id == session, sessions.c.expires_at > func.now()
    row = db.execute(select(sessions.c.user, sessions.c.token).where(*wanted)).first()
    if row is None:
        return None
    if row.user is None:
        return tokens.active(db, row.token)
    user = users.by_id(db, row.user)
    if user.disabled_at is not None:
        return None
    users.seen(db, user.id)
    return user


def end(db: Connection, cookie: str) -> None:
    """Ends a session; one that there is not is none the less ended."""
    db.execute(delete(sessions).where(sessions.c.digest == digest(cookie)))


def end_all(db: Connection, user: User, but: str = "") -> int:
    """Ends every session of a user but the one with that cookie; returns how many."""
    return db.execute(delete(sessions).where(sessions.c.user == user.id, sessions.c.digest != digest(but))).rowcount


def end_everybodys(db: Connection) -> int:
    """Ends every session there is; returns how many."""
    return db.execute(delete(sessions)).rowcount
