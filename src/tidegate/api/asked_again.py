"""Requests with an Idempotency-Key are done once: who sends one again gets the answer that the first one got.

The answer is kept for a day, by token and key. Whoever asks while the first is being done waits for it. What did
nothing (a refusal, a conflict, a failure of ours) is not kept: the same key may try again. So may one whose process
ended before it committed anything. A process that ends between what it did and the answer leaves a key that answers 409
until its day is over: nothing is ever done twice.
"""

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.api import auth, problems
from tidegate.api.problems import NOT_DONE
from tidegate.errors import BodyTooLarge, IdempotencyPending
from tidegate.security import kept_answers
from tidegate.security.kept_answers import Kept
from tidegate.wiring import Hub

log = logging.getLogger(__name__)

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
WAIT_SECONDS = 10.0
POLL = 0.05
LONGEST_BODY = 10_000_000  # bytes
NOT_KEPT = frozenset({401, 403, 408, 409, 412, 413, 429})
"""Statuses, besides those of 500 and above, with which nothing was done and the same request may fare better."""

CLAIM = "tidegate.claim"
"""Where the scope of a request with a key has its claim."""

Result = TypeVar("Result")


class AskedAgain:
    """The middleware. Requests without the header pass through."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["method"] not in WRITES:
            return await self._app(scope, receive, send)
        key = Headers(scope=scope).get("idempotency-key")
        if key is None or scope["path"].startswith("/api/webhooks/") or not problems.is_route(scope):
            return await self._app(scope, receive, send)
        try:
            return await self._once(scope, receive, send, kept_answers.checked(key))
        except NOT_DONE as error:
            return await problems.of_any(scope["app"], error)(scope, receive, send)

    async def _once(self, scope: Scope, receive: Receive, send: Send, key: str) -> None:
        hub: Hub = scope["app"].state.hub
        secret = auth.bearer(Headers(scope=scope))
        token = await run_in_threadpool(auth.verified, hub, secret)
        body = await _read(receive)
        if body is None:
            return None
        asked = _digest(scope, body)

        def run(do: Callable[[Connection], Result]) -> Result:
            with hub.engine.begin() as db:
                return do(db)

        deadline = time.monotonic() + WAIT_SECONDS
        while (claim := await run_in_threadpool(run, lambda db: kept_answers.claim(db, token.id, key, asked))) is None:
            known = await run_in_threadpool(run, lambda db: kept_answers.answer(db, token.id, key, asked, secret))
            if known is not None:
                return await _send(send, known, again=True)
            if time.monotonic() > deadline:
                raise IdempotencyPending(key=key, problem="is still being done. Send it again later.")
            await asyncio.sleep(POLL)
        async with _alive(lambda: run(lambda db: kept_answers.renew(db, claim))):
            done = await self._done(
                {**scope, CLAIM: claim}, receive, body, lambda: run(lambda db: kept_answers.release(db, claim))
            )
        if done.status < 500 and done.status not in NOT_KEPT:
            try:
                await run_in_threadpool(run, lambda db: kept_answers.keep(db, claim, done, secret))
            except SQLAlchemyError as error:  # it was done, and who asked has to hear of it
                log.warning("answer_not_kept", extra={"problem": type(error).__name__})
        return await _send(send, done)

    async def _done(self, scope: Scope, receive: Receive, body: bytes, release: Callable[[], None]) -> Kept:
        """The application's answer, whole. What did nothing is forgotten."""
        answer = Answer()
        try:
            with kept_answers.doing(scope[CLAIM]):
                await self._app(scope, replayed(body, receive), answer.take)
        except Exception:
            await run_in_threadpool(release)
            raise
        if answer.status >= 500 or answer.status in NOT_KEPT:
            await run_in_threadpool(release)
        return Kept(answer.status, answer.headers, b"".join(answer.chunks))


@contextlib.asynccontextmanager
async def _alive(renew: Callable[[], None]) -> AsyncGenerator[None]:
    """Renews a claim every second until the block ends. Where that fails, the claim may be lost, which is noticed at
    the next commit.
    """

    async def beat() -> None:
        while True:
            await asyncio.sleep(kept_answers.BEAT)
            try:
                await run_in_threadpool(renew)
            except SQLAlchemyError as error:
                log.warning("claim_not_renewed", extra={"problem": type(error).__name__})

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()


def key_of(scope: Scope) -> str | None:
    """What tells the request apart from all others, where it came with an Idempotency-Key: for what counts in batches,
    in no transaction of the request's own.
    """
    claim: kept_answers.Claim | None = scope.get(CLAIM)
    if claim is None:
        return None
    return f"Idempotency-Key {hashlib.sha256(f'{claim.token} {claim.key}'.encode()).hexdigest()}"


class Answer:
    """Takes what an application sends, to be looked at before it goes on."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: list[tuple[str, str]] = []
        self.chunks: list[bytes] = []

    async def take(self, message: Message) -> None:
        """ASGI's send."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
        elif message["type"] == "http.response.body":
            self.chunks.append(message.get("body", b""))


def replayed(body: bytes, receive: Receive) -> Receive:
    """ASGI's receive, whose body was read already."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _read(receive: Receive) -> bytes | None:
    """The body; None where whoever asked went away before all of it came: part of a request is another request."""
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > LONGEST_BODY:
            raise BodyTooLarge(limit=LONGEST_BODY)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


def _digest(scope: Scope, body: bytes) -> bytes:
    where = (scope["method"], scope["path"], scope["query_string"].decode("latin-1"))
    return hashlib.sha256("\0".join(where).encode(errors="replace") + b"\0" + body).digest()


async def _send(send: Send, kept: Kept, *, again: bool = False) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept.headers]
    if again:
        headers.append((b"idempotent-replayed", b"true"))
    await send({"type": "http.response.start", "status": kept.status, "headers": headers})
    await send({"type": "http.response.body", "body": kept.body})
