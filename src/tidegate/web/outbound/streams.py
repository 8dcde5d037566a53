"""Server-sent events: streams of an application, bounded in number, that end when it is to end."""

import threading
from collections.abc import AsyncIterator, Callable
from functools import cached_property
from typing import TypeVar

import anyio
from anyio import to_thread
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

MOST = 20
"""Streams that an application keeps open."""
THREADS = 4
"""Threads in which they look at the database, apart from those that answer requests."""
CLOSING = threading.Event()
"""Set when the process is to end: streams would keep it for as long as somebody looks."""


T = TypeVar("T")


class Places:
    """How many streams may still be opened, and the threads that they share. Used in one event loop."""

    def __init__(self, most: int = MOST) -> None:
        self.free = most

    async def in_thread(self, look: Callable[[], T]) -> T:
        """What `look` returns, called in one of the threads."""
        return await to_thread.run_sync(look, limiter=self._limiter)

    @cached_property
    def _limiter(self) -> anyio.CapacityLimiter:
        return anyio.CapacityLimiter(THREADS)


class Stream(StreamingResponse):
    """Events for as long as somebody listens; 429 where as many listen already as may."""

    def __init__(self, events: AsyncIterator[str], places: Places) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["method"] == "HEAD":
            await Response(media_type=self.media_type)(scope, receive, send)
            return
        if self._places.free <= 0:
            answer = PlainTextResponse("Too many look on already; reload the page now and then.", 429)
            await answer(scope, receive, send)
            return
        self._places.free -= 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._places.free += 1


def event(name: str, data: str, place: int | None = None) -> str:
    """An event as it is sent; `place`: what the browser gives back as Last-Event-ID when it connects again."""
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    id_ = "" if place is None else f"id: {place}\n"
    return f"event: {name}\n{id_}{lines}\n"


BEAT = ": still here\n\n"
"""What keeps proxies from closing a stream on which nothing happens."""
