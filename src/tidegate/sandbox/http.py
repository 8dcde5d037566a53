"""HTTP/1.1 over asyncio: bytes in, requests out, answers back in order, late or broken when told."""

import asyncio
import sys
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qsl

import httptools

from tidegate.sandbox.answers import Request

REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes out: `head` and `body`, after `delay` seconds; `broken` resets the connection or cuts the body."""

    head: bytes
    body: bytes
    delay: float = 0.0
    broken: str | None = None


Respond = Callable[[Request], Reply]


class Connection(asyncio.Protocol):
    """One client connection; requests that arrive while one is being answered wait their turn."""

    def __init__(self, respond: Respond, open_connections: "set[Connection]") -> None:
        self._respond = respond
        self._open = open_connections
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._busy = False
        self._parser: httptools.HttpRequestParser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._start()

    def _start(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's class does not inherit asyncio's
        self._transport.set_write_buffer_limits(high=8 << 20)
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._open.discard(self)

    def close(self) -> None:
        """Ends the connection."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as problem:  # what the parser makes of an exception of ours
            sys.stderr.write("sandbox: answering failed\n" + "".join(traceback.format_exception(problem)))
            self._give_up(500)
        except httptools.HttpParserError:
            self._give_up(400)

    def _give_up(self, status: int) -> None:
        if self._transport is not None:
            line = b"HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % (status, REASONS[status])
            self._transport.write(line)
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value
        if name.lower() == b"expect" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        path, _, query = self._url.decode("latin-1").partition("?")
        pairs = parse_qsl(query, keep_blank_values=True) if query else []
        method = self._parser.get_method().decode()
        request = Request(method, path, pairs, self._headers, b"".join(self._body))
        self._waiting.append((request, self._parser.should_keep_alive()))
        self._start()
        if not self._busy:
            self._next()

    def _next(self) -> None:
        while self._waiting and not self._busy and self._transport is not None:
            request, keep = self._waiting.popleft()
            reply = self._respond(request)
            if reply.delay > 0:
                self._busy = True
                asyncio.get_running_loop().call_later(reply.delay, self._late, reply, keep)
            else:
                self._send(reply, keep)

    def _late(self, reply: Reply, keep: bool) -> None:
        self._busy = False
        self._send(reply, keep)
        self._next()

    def _send(self, reply: Reply, keep: bool) -> None:
        transport = self._transport
        if transport is None:
            return
        if reply.broken == "reset":
            transport.abort()
            return
        connection = b"Connection: keep-alive\r\n\r\n" if keep else b"Connection: close\r\n\r\n"
        body = reply.body[: len(reply.body) // 2] if reply.broken == "truncate" else reply.body
        transport.writelines([reply.head, connection, body])
        if not keep or reply.broken == "truncate":
            transport.close()


def head(status: int, length: int, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """A status line and headers, without the blank line that ends them."""
    lines = [b"HTTP/1.1 %d %s\r\nContent-Length: %d\r\n" % (status, REASONS[status], length)]
    if not any(name == b"Content-Type" for name, _ in headers):
        lines.append(b"Content-Type: application/json\r\n")
    lines += [b"%s: %s\r\n" % header for header in headers]
    return b"".join(lines)
