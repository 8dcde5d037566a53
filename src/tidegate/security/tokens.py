"""API tokens: made once, kept as a digest, checked on every request."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, exists, func, insert, or_, select, text, update

from tidegate.errors import ScopeUnknown, TokenUnknown
from tidegate.security.digests import digest, secret
from tidegate.security.scopes import SCOPES
from tidegate.security.tables import tokens

PREFIX = "tg_"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is shown: never the token itself. Times are UTC."""

    id: int
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    @property
    def actor(self) -> str:
        """How what is done with it is written down."""
        return f"token:{self.name}"

    def may(self, scope: str) -> bool:
        """Whether its scopes allow `scope`: admin allows operate, operate read, read revenue; entitlements stands
        apart.
        """
        return any(scope in SCOPES.get(own, frozenset()) for own in self.scopes)


_SHOWN = [tokens.c[name] for name in Token.__dataclass_fields__]


def create(db: Connection, name: str, scopes: Iterable[str]) -> tuple[int, str]:
    """Stores a new token and returns its id and the token: `tg_` and 32 random bytes, shown this once.

    Raises ScopeUnknown, also when there is no scope at all.
    """
    wanted = sorted(set(scopes), key=_rank)
    if not wanted:
        raise ScopeUnknown(scope="(none)", known=", ".join(SCOPES))
    token = PREFIX + secret()
    made = insert(tokens).values(name=name, digest=digest(token), scopes=wanted).returning(tokens.c.id)
    return db.execute(made).scalar_one(), token


def is_taken(db: Connection, name: str) -> bool:
    """Whether a token that was not revoked has this name; until the transaction ends no other one gets it."""
    db.execute(text("lock table tidegate.tokens in share row exclusive mode"))
    return bool(db.scalar(select(exists().where(tokens.c.name == name, tokens.c.revoked_at.is_(None)))))


def _rank(scope: str) -> int:
    if scope not in SCOPES:
        raise ScopeUnknown(scope=scope, known=", ".join(SCOPES))
    return list(SCOPES).index(scope)


def listing(db: Connection) -> list[Token]:
    """Every token, revoked ones too, oldest first."""
    return [_token(**row) for row in db.execute(select(*_SHOWN).order_by(tokens.c.id)).mappings()]


def _token(**values: object) -> Token:
    return Token(**{**values, "scopes": tuple(values["scopes"])})  # pyright: ignore[reportArgumentType]


def revoke(db: Connection, token_id: int) -> Token:
    """Ends a token for good; the next request with it is refused.

    Raises TokenUnknown when there is none of that id or it is revoked already.
    """
    ended = (
        update(tokens)
        .where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(*_SHOWN)
    )
    row = db.execute(ended).mappings().first()
    if row is None:
        raise TokenUnknown(id=token_id)
    return _token(**row)


def verify(db: Connection, token: str) -> Token | None:
    """The token that this text is; None when it is unknown or revoked.

    The time it takes tells nothing of the stored ones: the look-up is by digest, and every text is hashed and looked up
    alike. Notes the use, at most once a minute; the caller commits.
    """
    row = (
        db.execute(select(*_SHOWN).where(tokens.c.digest == digest(token), tokens.c.revoked_at.is_(None)))
        .mappings()
        .first()
    )
    if row is None:
        return None
    stale = or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at < func.now() - text("interval '1 minute'"))
    db.execute(update(tokens).where(tokens.c.id == row["id"], stale).values(last_used_at=func.now()))
    return _token(**row)


def active(db: Connection, token_id: int) -> Token | None:
    """The token of that id; None when there is none or it was revoked."""
    found = select(*_SHOWN).where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
    row = db.execute(found).mappings().first()
    return _token(**row) if row else None
