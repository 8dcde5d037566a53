"""Users as admins and users themselves handle them: invited, given roles, disabled, and how they set a password."""

from sqlalchemy import Engine

from tidegate.errors import UserUnknown
from tidegate.security import audit_log, links, sessions, users
from tidegate.security.sessions import Visitor
from tidegate.security.users import User


def invite(engine: Engine, email: str, name: str, role: str, actor: str) -> tuple[User, str]:
    """A new user, and the secret of the link by which they set their password. Raises UserExists, UserInvalid."""
    with engine.begin() as db:
        user = users.add(db, email, name, role)
        audit_log.record(db, actor, "user.invited", user.email, role=role)
        return user, links.make(db, user)


def link(engine: Engine, email: str, actor: str) -> tuple[User, str]:
    """Another link for a user, the one before is void; the password holds until it is used. Raises UserUnknown."""
    with engine.begin() as db:
        user = users.by_email(db, email)
        audit_log.record(db, actor, "user.link_made", user.email)
        return user, links.make(db, user)


def first_link(engine: Engine) -> str | None:
    """The secret of a link that makes the first admin; None where there are users. Those made before stay good."""
    with engine.begin() as db:
        return None if users.any_exists(db) else links.make(db, None)


def give_role(engine: Engine, email: str, role: str, actor: str) -> User:
    """The user with another role. Raises UserUnknown, UserInvalid, LastAdmin."""
    with engine.begin() as db:
        before = users.by_email(db, email)
        after = users.give_role(db, before, role)
        audit_log.record(db, actor, "user.role", after.email, before=before.role, after=after.role)
        return after


def disable(engine: Engine, email: str, actor: str) -> User:
    """The user, who is signed out everywhere and may not come in again. Raises UserUnknown, LastAdmin."""
    with engine.begin() as db:
        user = users.disable(db, users.by_email(db, email))
        sessions.end_all(db, user)
        audit_log.record(db, actor, "user.disabled", user.email)
        return user


def enable(engine: Engine, email: str, actor: str) -> User:
    """The user, who may sign in again, with the password from before. Raises UserUnknown."""
    with engine.begin() as db:
        user = users.enable(db, users.by_email(db, email))
        audit_log.record(db, actor, "user.enabled", user.email)
        return user


def set_password(engine: Engine, given: str, password: str, *, email: str = "", name: str = "") -> tuple[User, str]:
    """Spends a link: the user with the new password, signed out elsewhere, and the cookie of a session.

    `email` and `name` are the first admin's. Raises LinkSpent, UserInvalid.
    """
    with engine.begin() as db:
        user = links.spend(db, given, password, email=email, name=name)
        sessions.end_all(db, user)
        audit_log.record(db, user.actor, "user.password_set", user.email)
        return user, sessions.begin(db, user)


def sign_in(engine: Engine, email: str, password: str) -> tuple[User, str]:
    """The user, and the cookie of a session. Raises UserUnknown when address and password are nobody's."""
    with engine.begin() as db:
        user = users.verify(db, email, password)
        if user is None:
            raise UserUnknown(user=email)
        return user, sessions.begin(db, user)


def begin_session(engine: Engine, who: Visitor) -> str:
    """The cookie of a session of who was recognised otherwise, by an API token."""
    with engine.begin() as db:
        return sessions.begin(db, who)
