"""Entity tags: what a single thing looked like when it was read, so that it is not sent twice (`If-None-Match`), nor
changed by somebody who has not seen how it is now (`If-Match`).

A single thing is what a path ends at: `/api/packages/{key}`. A write with `If-Match` is about the thing at its path or
the nearest above it (`/api/packages/{key}/publish` about the package). Such writes of one thing take turns, whichever
process they come to: of two with the same tag the second is answered with 412.
"""

import hashlib
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

from sqlalchemy import Connection, text
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.api import problems
from tidegate.api.asked_again import WRITES, Answer
from tidegate.api.problems import NOT_DONE
from tidegate.api.segments import readable
from tidegate.errors import PreconditionFailed
from tidegate.wiring import Hub

SETTINGS = ("/api/alert-route", "/api/contact-settings", "/api/lifecycle/settings")
"""Single things without a name."""
OWN_TAGS = "/entitlements/"
"""Of what product code asks all the time, whose route makes the tag itself."""
CONDITIONAL = frozenset({b"if-match", b"if-none-match"})


def is_single(path: str) -> bool:
    """Whether a route's path, with its parameters in braces, leads to a single thing."""
    return path in SETTINGS or (path.endswith("}") and OWN_TAGS not in path)


def whose(path: str, things: Iterable[str]) -> str | None:
    """Of the paths of single things the one that a write to `path` is about; None: it is about none."""
    return max((one for one in things if path == one or path.startswith(f"{one}/")), key=len, default=None)


def pattern(things: Iterable[str]) -> re.Pattern[str]:
    """What the addresses of these things look like, from their beginning."""
    return re.compile("|".join(re.sub(r"\{[^}]*\}", "[^/]+", one) for one in sorted(things, key=len, reverse=True)))


class EntityTags:
    """The middleware. `things`: paths of single things that can be read."""

    def __init__(self, app: ASGIApp, things: Iterable[str]) -> None:
        self._app = app
        self._things = pattern(things)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "GET" and OWN_TAGS not in scope["path"] and self._things.fullmatch(scope["path"]):
            await self._read(scope, receive, send)
        elif scope["method"] in WRITES and "if-match" in Headers(scope=scope) and problems.is_route(scope):
            await self._written(scope, receive, send, Headers(scope=scope)["if-match"])
        else:
            await self._app(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = Answer()
        await self._app(scope, receive, answer.take)
        body = b"".join(answer.chunks)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        if answer.status == 200:
            tag = _tag(body)
            headers += [(b"etag", tag.encode()), (b"cache-control", b"private, no-cache"), (b"vary", b"Authorization")]
            if _names(Headers(scope=scope).get("if-none-match", ""), tag):
                kept = [one for one in headers if one[0] not in {b"content-length", b"content-type"}]
                await send({"type": "http.response.start", "status": 304, "headers": kept})
                await send({"type": "http.response.body", "body": b""})
                return
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _written(self, scope: Scope, receive: Receive, send: Send, wanted: str) -> None:
        found = self._things.match(scope["path"])
        thing = found.group() if found and scope["path"][found.end() :][:1] in {"", "/"} else None
        try:
            if thing is None:
                raise PreconditionFailed(path=readable(scope["path"]), problem="nothing there has an entity tag.")
            async with _turn(scope["app"].state.hub, thing):
                tag = await self._tag_now(scope, thing, send)
                if tag is None:
                    return
                if not _names(wanted, tag):
                    raise PreconditionFailed(path=readable(thing), problem=f"its entity tag is {tag or 'none'} now.")
                await self._app(scope, receive, send)
        except NOT_DONE as error:
            await problems.of_any(scope["app"], error)(scope, receive, send)

    async def _tag_now(self, scope: Scope, thing: str, send: Send) -> str | None:
        """The tag of the thing as it is; empty when there is none. Who may not read it is refused, and None."""
        headers = [one for one in scope["headers"] if one[0].lower() not in CONDITIONAL | {b"idempotency-key"}]
        answer = Answer()
        asking = {**scope, "method": "GET", "path": thing, "raw_path": thing.encode(errors="replace")}
        await self._app({**asking, "headers": headers, "state": {}}, _nothing, answer.take)
        body = b"".join(answer.chunks)
        if answer.status in {200, 404}:
            return _tag(body) if answer.status == 200 else ""
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})
        return None


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def _tag(body: bytes) -> str:
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def _names(said: str, tag: str) -> bool:
    """Whether a header names the tag, or any there is."""
    return bool(tag) and (said.strip() == "*" or tag in [one.strip().removeprefix("W/") for one in said.split(",")])


@asynccontextmanager
async def _turn(hub: Hub, thing: str) -> AsyncGenerator[None]:
    """The turn to change a thing, among those who say what they saw of it."""
    session = await run_in_threadpool(hub.turns.connect)
    try:
        await run_in_threadpool(_ask, session, "pg_advisory_lock", thing)
        try:
            yield
        finally:
            await run_in_threadpool(_ask, session, "pg_advisory_unlock", thing)
    finally:
        await run_in_threadpool(session.close)


def _ask(session: Connection, function: str, thing: str) -> None:
    session.execute(text(f"select {function}(hashtextextended(:key, 0))"), {"key": f"if-match:{thing}"})
    session.commit()
