"""Answers that are kept for a day, so that a request which is sent again with its key is done once (Idempotency-Key).

Of the request a digest is kept, the answer is encrypted with what only the token's holder knows: the database alone
tells nobody what stood in either.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Connection, text

from tidegate.errors import IdempotencyKeyInvalid, IdempotencyKeyReused, IdempotencyPending

HOURS = 24
LONGEST_KEY = 255
LOST_AFTER = "10 minutes"
"""After which a request that was begun and not answered is taken for one whose process ended."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer: HTTP status, headers in order, body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


_CLAIM = text("""
insert into tidegate.kept_answers (token, key, asked) values (:token, :key, :asked)
on conflict (token, key) do update set asked = excluded.asked, begun_at = clock_timestamp(), answer = null
where kept_answers.begun_at < now() - make_interval(hours => :hours)
returning id""")
_FOUND = text(f"""
select asked, answer, begun_at < now() - interval '{LOST_AFTER}' as lost
from tidegate.kept_answers where token = :token and key = :key""")


def checked(key: str) -> str:
    """The key, if it can be one. Raises IdempotencyKeyInvalid."""
    if not 0 < len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise IdempotencyKeyInvalid(longest=LONGEST_KEY)
    return key


def claim(db: Connection, token: int, key: str, asked: bytes) -> bool:
    """Whether the request is to be done now; false: it is being done, or was. `asked`: its digest. The caller commits
    at once.
    """
    wanted = {"token": token, "key": key, "asked": asked, "hours": HOURS}
    return db.execute(_CLAIM, wanted).first() is not None


def answer(db: Connection, token: int, key: str, asked: bytes, secret: str) -> Kept | None:
    """What the request was answered with; None while it is being done.

    Raises IdempotencyKeyReused when the key came with another request, IdempotencyPending when its process ended.
    """
    row = db.execute(_FOUND, {"token": token, "key": key}).first()
    if row is None:
        return None
    if bytes(row.asked) != asked:
        raise IdempotencyKeyReused(key=key)
    if row.answer is None:
        if row.lost:
            raise IdempotencyPending(
                key=key, problem="was begun and never answered. Look at what it was to change, then send a new key."
            )
        return None
    said: dict[str, Any] = json.loads(_lock(secret).decrypt(bytes(row.answer)))
    return Kept(said["status"], [(name, value) for name, value in said["headers"]], base64.b64decode(said["body"]))


def keep(db: Connection, token: int, key: str, kept: Kept, secret: str) -> None:
    """Keeps the answer to a request that was claimed."""
    said = {"status": kept.status, "headers": kept.headers, "body": base64.b64encode(kept.body).decode()}
    sealed = _lock(secret).encrypt(json.dumps(said).encode())
    told = text("update tidegate.kept_answers set answer = :answer where token = :token and key = :key")
    db.execute(told, {"answer": sealed, "token": token, "key": key})


def release(db: Connection, token: int, key: str) -> None:
    """Forgets that the request came: nothing was done, and it may come again."""
    db.execute(
        text("delete from tidegate.kept_answers where token = :token and key = :key and answer is null"),
        {"token": token, "key": key},
    )


def _lock(secret: str) -> Fernet:
    """A token is 256 random bits: its digest is a key without stretching, and another one than what is stored of it."""
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"kept answer\0" + secret.encode()).digest()))
