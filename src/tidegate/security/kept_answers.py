"""Answers that are kept for a day, so that a request which is sent again with its key is done once (Idempotency-Key).

A request is claimed before it is done, and whoever does it renews the claim every second. Each transaction in which it
writes something notes that with the claim, and fails where the claim is not its own any more. So what is silent and
wrote nothing was not done, whatever became of its process: whoever sends the request again does it.

Of the request a digest is kept, the answer is encrypted with what only the token's holder knows: the database alone
tells nobody what stood in either.
"""

import base64
import hashlib
import json
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

from cryptography.fernet import Fernet
from sqlalchemy import Connection, Engine, event, text

from tidegate.errors import IdempotencyKeyInvalid, IdempotencyKeyReused, IdempotencyPending

HOURS = 24
LONGEST_KEY = 255
BEAT = 1.0
"""Seconds between renewals of a claim."""
SILENT_AFTER = 5.0
"""Seconds without a renewal after which whoever did the request is taken for ended."""


class Claim(NamedTuple):
    """Who does a request: the `turn` counts the times that it was taken up."""

    token: int
    key: str
    turn: int


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer: HTTP status, headers in order, body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


_OURS = "where token = :token and key = :key and turn = :turn and answer is null"
_CLAIM = text("""
insert into tidegate.kept_answers (token, key, asked) values (:token, :key, :asked)
on conflict (token, key) do update set asked = excluded.asked, begun_at = clock_timestamp(), answer = null,
  turn = kept_answers.turn + 1, seen_at = clock_timestamp(), wrote = false
where kept_answers.begun_at < now() - make_interval(hours => :hours)
  or (kept_answers.answer is null and not kept_answers.wrote and kept_answers.asked = excluded.asked
      and kept_answers.seen_at < clock_timestamp() - make_interval(secs => :silent))
returning turn""")
_FOUND = text("""
select asked, answer, wrote and seen_at < clock_timestamp() - make_interval(secs => :silent) as lost
from tidegate.kept_answers where token = :token and key = :key""")
_RENEW = text(f"update tidegate.kept_answers set seen_at = clock_timestamp() {_OURS}")
_NOTE = text(f"""
update tidegate.kept_answers set wrote = true {_OURS} and pg_current_xact_id_if_assigned() is not null""")
_WROTE = text("select pg_current_xact_id_if_assigned() is not null")
_DOING: ContextVar[Claim | None] = ContextVar("claim", default=None)


def checked(key: str) -> str:
    """The key, if it can be one. Raises IdempotencyKeyInvalid."""
    if not 0 < len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise IdempotencyKeyInvalid(longest=LONGEST_KEY)
    return key


def claim(db: Connection, token: int, key: str, asked: bytes) -> Claim | None:
    """The claim of who is to do the request now; None: it is being done, or was. `asked`: its digest. The caller
    commits at once.
    """
    wanted = {"token": token, "key": key, "asked": asked, "hours": HOURS, "silent": SILENT_AFTER}
    turn = db.execute(_CLAIM, wanted).scalar()
    return Claim(token, key, turn) if turn is not None else None


def answer(db: Connection, token: int, key: str, asked: bytes, secret: str) -> Kept | None:
    """What the request was answered with; None while it is being done, or is to be done again.

    Raises IdempotencyKeyReused when the key came with another request, IdempotencyPending when its process ended after
    it did something.
    """
    row = db.execute(_FOUND, {"token": token, "key": key, "silent": SILENT_AFTER}).first()
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


@contextmanager
def doing(claim: Claim) -> Generator[None]:
    """Within the block, what a watched engine commits in this context is noted with the claim."""
    before = _DOING.set(claim)
    try:
        yield
    finally:
        _DOING.reset(before)


def watch(engine: Engine) -> None:
    """Lets the engine's transactions note with the claim of their context that they write."""
    if not event.contains(engine, "commit", _note):
        event.listen(engine, "commit", _note)


def _note(db: Connection) -> None:
    """Called before each commit. Raises IdempotencyPending, so that nothing is committed, where another process took
    the request up meanwhile.
    """
    claim = _DOING.get()
    if claim is None or db.execute(_NOTE, claim._asdict()).rowcount or not db.scalar(_WROTE):
        return
    raise IdempotencyPending(key=claim.key, problem="was taken up by another process meanwhile. Send it again later.")


def renew(db: Connection, claim: Claim) -> None:
    """Says that whoever does the request is alive."""
    db.execute(_RENEW, claim._asdict())


def keep(db: Connection, claim: Claim, kept: Kept, secret: str) -> None:
    """Keeps the answer to a request that was claimed."""
    said = {"status": kept.status, "headers": kept.headers, "body": base64.b64encode(kept.body).decode()}
    sealed = _lock(secret).encrypt(json.dumps(said).encode())
    told = text(f"update tidegate.kept_answers set answer = :answer {_OURS}")
    db.execute(told, {"answer": sealed, **claim._asdict()})


def release(db: Connection, claim: Claim) -> None:
    """Forgets that the request came: nothing was done, and it may come again."""
    db.execute(text(f"delete from tidegate.kept_answers {_OURS}"), claim._asdict())


def _lock(secret: str) -> Fernet:
    """A token is 256 random bits: its digest is a key without stretching, and another one than what is stored of it."""
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"kept answer\0" + secret.encode()).digest()))
