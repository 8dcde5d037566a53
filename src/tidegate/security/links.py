"""Links by which a password is set: each good once, for some days; the first of all makes the first admin."""

from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from tidegate.errors import LinkSpent
from tidegate.security import users
from tidegate.security.digests import digest, secret
from tidegate.security.tables import user_links
from tidegate.security.users import User

LASTS = timedelta(days=3)


def make(db: Connection, user: User | None) -> str:
    """The secret of a new link for the user, whose links from before are void; or (None) for who becomes the first
    admin: of these each is good until there is one, for several processes print theirs.
    """
    if user is None:
        db.execute(delete(user_links).where(user_links.c.user.is_(None), user_links.c.expires_at <= func.now()))
    else:
        db.execute(delete(user_links).where(user_links.c.user == user.id))
    made = secret()
    values = {"digest": digest(made), "user": user and user.id, "expires_at": func.now() + LASTS}
    db.execute(insert(user_links).values(values))
    return made


def whose(db: Connection, given: str) -> User | None:
    """Whose password the link sets; None: the first admin's, who is still to be named. Raises LinkSpent."""
    row = db.execute(select(user_links.c.user).where(*_good(given))).first()
    if row is None or (row.user is None and users.any_exists(db)):
        raise LinkSpent()
    return None if row.user is None else users.by_id(db, row.user)


def spend(db: Connection, given: str, password: str, *, email: str = "", name: str = "") -> User:
    """Sets the password of the link's user, who may sign in with it; `email` and `name` are the first admin's.

    Raises LinkSpent, and UserInvalid, after which the link is still good once the transaction is rolled back.
    """
    spent = db.execute(delete(user_links).where(*_good(given)).returning(user_links.c.user)).first()
    if spent is None:
        raise LinkSpent()
    if spent.user is not None:
        return users.set_password(db, users.by_id(db, spent.user), password)
    made = users.add(db, email, name, "admin")  # takes turns: of two who spend theirs at once one finds the other
    if any(one.id != made.id for one in users.listing(db)):
        raise LinkSpent()
    return users.set_password(db, made, password)


def _good(given: str) -> tuple[ColumnElement[bool], ...]:
    return user_links.c.digest == digest(given), user_links.c.expires_at > func.now()
