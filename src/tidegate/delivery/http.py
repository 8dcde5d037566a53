"""Speaks HTTP/1.1 to a destination: to the address that was looked at, within a time, following no redirect.

Over connections that are kept, as many as there are requests under way. Small on purpose: no cookies, no proxies, no
compression, an answer of which only the beginning is read.
"""

import asyncio
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

import httptools

from tidegate.delivery import addresses
from tidegate.delivery.messages import Answer, Request

KEPT = 8_192
"""Bytes of an answer that are kept, ..."""
MOST = 1_000_000
"""... and after which nobody listens any more."""
AGENT = "tidegate (standardwebhooks.com)"
BARE = "".join(chr(code) for code in range(33, 127))
"""Characters of a URL that are sent as they are."""


class SendFailed(Exception):
    """No answer came; its text says why."""


class Client:
    """One destination's connections, for one event loop. `timeout`: seconds from the beginning to the whole answer."""

    def __init__(self, *, timeout: float, allow_private: bool = False) -> None:
        self._timeout = timeout
        self._allow_private = allow_private
        self._idle: dict[tuple[str, str, int], list[_Connection]] = {}

    async def send(self, request: Request) -> Answer:
        """The answer. Raises SendFailed, and AddressRefused for a host that may not be connected to."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._send(request)
        except TimeoutError as error:
            raise SendFailed(f"no whole answer within {self._timeout:g} s") from error
        except ssl.SSLError as error:
            raise SendFailed(f"TLS: {getattr(error, 'verify_message', '') or error.reason or error}") from error
        except OSError as error:
            raise SendFailed(str(error.strerror or error)) from error

    async def _send(self, request: Request) -> Answer:
        place, data = written(request)
        idle = self._idle.setdefault(place, [])
        while idle:
            connection = idle.pop()
            if connection.closed:
                continue
            try:
                return self._kept(place, connection, await connection.ask(data))
            except ConnectionResetError:
                if connection.heard:
                    raise
                # It was closed as the request came: as if it had not been there.
        connection = await self._connected(place)
        return self._kept(place, connection, await connection.ask(data))

    def _kept(self, place: tuple[str, str, int], connection: "_Connection", answer: Answer) -> Answer:
        if connection.reusable:
            self._idle[place].append(connection)
        else:
            connection.close()
        return answer

    async def _connected(self, place: tuple[str, str, int]) -> "_Connection":
        scheme, host, port = place
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            None, lambda: addresses.checked(host, port, allow_private=self._allow_private)
        )
        secure: dict[str, Any] = {"ssl": _tls(), "server_hostname": host} if scheme == "https" else {}
        failed: OSError | None = None
        for family, address, _ in found:
            try:
                _, connection = await loop.create_connection(_Connection, address, port, family=family, **secure)
            except ssl.SSLError:
                raise
            except OSError as error:
                failed = error
            else:
                return connection
        raise failed or OSError(f"{host} has no address")

    def close(self) -> None:
        """Closes what is kept."""
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()


def written(request: Request) -> tuple[tuple[str, str, int], bytes]:
    """Where a request goes (scheme, host, port), and its bytes. Raises SendFailed for what cannot be sent."""
    place, host, target = _parsed(request.url)
    headers: dict[str, str] = {
        "host": host,
        "user-agent": AGENT,
        "accept": "*/*",
        **{name.lower(): value for name, value in request.headers.items()},
    }
    if request.body or request.method not in ("GET", "HEAD"):
        headers["content-length"] = str(len(request.body))
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise SendFailed("a header holds a line break")
    return place, "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + request.body


@lru_cache(maxsize=256)
def _parsed(url: str) -> tuple[tuple[str, str, int], str, str]:
    """Where a URL leads (scheme, host, port), the Host header, and what is asked for."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode() if not _is_ip(parts.hostname) else str(parts.hostname)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except (UnicodeError, ValueError) as error:
        raise SendFailed(f"its URL cannot be used: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise SendFailed("its URL is none of http:// or https://")
    target = quote(parts.path or "/", safe=BARE) + (f"?{quote(parts.query, safe=BARE)}" if parts.query else "")
    named = f"[{host}]" if ":" in host else host
    default = parts.port is None or parts.port == (443 if parts.scheme == "https" else 80)
    return (parts.scheme, host, port), named if default else f"{named}:{port}", target


def _is_ip(host: str | None) -> bool:
    return bool(host) and (":" in str(host) or str(host).replace(".", "").isdigit())


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Connection(asyncio.Protocol):
    """One connection, with one request under way at a time."""

    def __init__(self) -> None:
        self.closed = False
        self.heard = False
        self.reusable = False
        self._transport: asyncio.Transport | None = None
        self._asked: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    async def ask(self, data: bytes) -> Answer:
        """Sends a request and waits for its answer. Raises ConnectionResetError when the connection ends first."""
        assert self._transport is not None
        self._parser: Any = httptools.HttpResponseParser(self)
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._length = 0
        self.heard = self.reusable = self._began = False
        self._asked = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        try:
            return await self._asked
        except asyncio.CancelledError:
            self.close()  # what it would still say is not the next request's answer
            raise

    def data_received(self, data: bytes) -> None:
        self.heard = True
        if self._asked is None or self._asked.done():
            self.close()  # it speaks without being asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionResetError(f"what answers does not speak HTTP: {error}"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self._began = self._status >= 200

    def on_body(self, body: bytes) -> None:
        self._length += len(body)
        if len(self._body) < KEPT:
            self._body += body[: KEPT - len(self._body)]
        if self._length > MOST:
            self._answer(reusable=False)

    def on_message_complete(self) -> None:
        if self._status < 200:  # it goes on
            self._headers = {}
            return
        self._answer(reusable=self._parser.should_keep_alive())

    def _answer(self, *, reusable: bool) -> None:
        if self._asked is not None and not self._asked.done():
            self.reusable = reusable
            self._asked.set_result(Answer(self._status, self._headers, bytes(self._body)))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        framed: Mapping[str, str] = self._headers if self._asked is not None else {}
        if (
            self._asked is not None
            and not self._asked.done()
            and self._began
            and not {"content-length", "transfer-encoding"} & framed.keys()
        ):
            self._answer(reusable=False)  # its end is that of the connection (RFC 9112, 6.3)
        self._fail(ConnectionResetError("the connection was closed before the whole answer came"))

    def _fail(self, error: Exception) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(error)
        self.close()

    def close(self) -> None:
        """Closes it at once."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()
