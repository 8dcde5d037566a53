"""Users: who may sign in to the page, and what each of them may do there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, text, update

from tidegate.errors import LastAdmin, UserExists, UserInvalid, UserUnknown
from tidegate.security import passwords
from tidegate.security.roles import ROLES, allows
from tidegate.security.tables import users

LONGEST_NAME, LONGEST_EMAIL = 200, 320  # characters


@dataclass(frozen=True, slots=True)
class User:
    """A user as it is shown, never the password. Times are UTC; `can_sign_in`: a password is set."""

    id: int
    email: str
    name: str
    role: str
    created_at: datetime
    last_seen_at: datetime | None
    disabled_at: datetime | None
    can_sign_in: bool

    @property
    def actor(self) -> str:
        """How what this user does is written down."""
        return f"user:{self.email}"

    @property
    def state(self) -> str:
        """`disabled`, `invited` (never here, and no password yet) or `active`."""
        return "disabled" if self.disabled_at else "active" if self.can_sign_in or self.last_seen_at else "invited"

    def may(self, scope: str) -> bool:
        """Whether the role allows what the scope is for."""
        return self.disabled_at is None and allows(self.role, scope)


SHOWN = (
    *(users.c[name] for name in ("id", "email", "name", "role", "created_at", "last_seen_at", "disabled_at")),
    users.c.password.is_not(None).label("can_sign_in"),
)


def add(db: Connection, email: str, name: str, role: str) -> User:
    """A new user without a password: a link sets it (`links.make`). Raises UserExists, UserInvalid."""
    values = {"email": checked_email(email), "name": checked_name(name), "role": checked_role(role)}
    _settle_admins(db)
    if _found(db, email) is not None:
        raise UserExists(email=email)
    return User(**db.execute(insert(users).values(values).returning(*SHOWN)).mappings().one())


def checked_email(email: str) -> str:
    """The address without spaces around it. Raises UserInvalid for what cannot be one."""
    email = email.strip()
    local, at, domain = email.rpartition("@")
    if not (local and at and domain) or any(c.isspace() or not c.isprintable() for c in email):
        raise UserInvalid(field="email", problem=f"{email!r} is no e-mail address.")
    if len(email) > LONGEST_EMAIL:
        raise UserInvalid(field="email", problem=f"it may have at most {LONGEST_EMAIL} characters.")
    return email


def checked_name(name: str) -> str:
    """The name without spaces around it. Raises UserInvalid."""
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise UserInvalid(field="name", problem=f"it needs 1 to {LONGEST_NAME} printable characters.")
    return name


def printable_name(name: str, email: str) -> str:
    """A name that another system told, as far as it can be one; else what stands before the @."""
    shown = "".join(c for c in name if c.isprintable()).strip()[:LONGEST_NAME]
    return shown or email.partition("@")[0][:LONGEST_NAME]


def checked_role(role: str) -> str:
    """The role, if there is such a one. Raises UserInvalid."""
    if role not in ROLES:
        raise UserInvalid(field="role", problem=f"there is no role {role!r}. Known: {', '.join(ROLES)}.")
    return role


def listing(db: Connection) -> list[User]:
    """Every user, disabled ones too, by address."""
    return [User(**row) for row in db.execute(select(*SHOWN).order_by(func.lower(users.c.email))).mappings()]


def any_exists(db: Connection) -> bool:
    """Whether there is a user, so that the page asks everybody to sign in."""
    return bool(db.scalar(select(select(users.c.id).exists())))


def by_email(db: Connection, email: str) -> User:
    """The user with that address, however it is written. Raises UserUnknown."""
    found = _found(db, email)
    if found is None:
        raise UserUnknown(user=email)
    return _user(found)


def by_id(db: Connection, user_id: int) -> User:
    """The user of that id. Raises UserUnknown."""
    row = db.execute(select(*SHOWN).where(users.c.id == user_id)).mappings().first()
    if row is None:
        raise UserUnknown(user=user_id)
    return User(**row)


def give_role(db: Connection, user: User, role: str) -> User:
    """The user with another role. Raises LastAdmin when nobody would be left who gives roles."""
    return _changed(db, user, role=checked_role(role))


def disable(db: Connection, user: User) -> User:
    """The user, who may not sign in any more; whoever is signed in as them is signed out. Raises LastAdmin."""
    return _changed(db, user, disabled_at=user.disabled_at or func.now())


def enable(db: Connection, user: User) -> User:
    """The user, who may sign in again."""
    return _changed(db, user, disabled_at=None)


def set_password(db: Connection, user: User, password: str) -> User:
    """The user with this password. Raises UserInvalid for one that is easily guessed."""
    return _changed(db, user, password=passwords.kept(password, user.email))


def verify(db: Connection, email: str, password: str) -> User | None:
    """Whose address and password these are; None when they are nobody's, which takes as long."""
    row = _found(db, email)
    if not passwords.same(row["password"] if row else None, password) or row is None or row["disabled_at"]:
        return None
    return _user(row)


def seen(db: Connection, user_id: int) -> None:
    """Notes that the user is here; at most once a minute."""
    stale = text("(last_seen_at is null or last_seen_at < now() - interval '1 minute')")
    db.execute(update(users).where(users.c.id == user_id, stale).values(last_seen_at=func.now()))


def _found(db: Connection, email: str) -> Mapping[str, Any] | None:
    wanted = select(*SHOWN, users.c.password).where(func.lower(users.c.email) == func.lower(email.strip()))
    return db.execute(wanted).mappings().first()  # pyright: ignore[reportReturnType]


def _user(row: Mapping[str, Any]) -> User:
    return User(**{name: row[name] for name in User.__dataclass_fields__})


def _changed(db: Connection, user: User, **values: Any) -> User:
    _settle_admins(db)
    row = db.execute(update(users).where(users.c.id == user.id).values(values).returning(*SHOWN)).mappings().first()
    if row is None:
        raise UserUnknown(user=user.email)
    after = User(**row)
    if user.may("admin") and user.can_sign_in and not after.may("admin") and not _other_admin(db, user):
        raise LastAdmin(email=user.email)
    return after


def _settle_admins(db: Connection) -> None:
    """One change of users after the other: two admins cannot take each other's role at once."""
    db.execute(text("lock table tidegate.users in share row exclusive mode"))


def _other_admin(db: Connection, but: User) -> bool:
    able = (users.c.role == "admin", users.c.disabled_at.is_(None), users.c.password.is_not(None))
    return bool(db.scalar(select(select(users.c.id).where(users.c.id != but.id, *able).exists())))
