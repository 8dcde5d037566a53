"""A server on loopback that answers what a test tells it to, in order."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass(frozen=True)
class Reply:
    """One answer; `sent` bytes of the body go out (None: all), `reset` closes the connection instead of answering.

    `trickle`: seconds between one byte of the body and the next.
    """

    status: int = 200
    body: bytes = b'{"object": "list", "data": []}'
    headers: dict[str, str] = field(default_factory=dict)
    sent: int | None = None
    reset: bool = False
    silent: bool = False
    trickle: float = 0.0


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: str


class Stub(ThreadingHTTPServer):
    """Answers the first reply first; the last one for ever."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies: list[Reply] = [Reply()]
        self.seen: list[Seen] = []
        self.when_seen: Callable[[], None] = lambda: None
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.accepted = 0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, *replies: Reply) -> None:
        self.replies = list(replies)

    def next_reply(self, seen: Seen) -> Reply:
        with self.lock:
            self.seen.append(seen)
            self.when_seen()
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def process_request(self, request: Any, client_address: Any) -> None:
        self.accepted += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Stub

    def reply(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        reply = self.server.next_reply(Seen(self.command, self.path, dict(self.headers), body))
        if reply.silent:
            self.server.over.wait(60)
        if reply.reset or reply.silent:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        self.send_response_only(reply.status)
        for name, value in {"Request-Id": "req_stub", **reply.headers}.items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if reply.trickle:
            for byte in reply.body:
                self.wfile.write(bytes([byte]))
                self.server.over.wait(reply.trickle)
        else:
            self.wfile.write(reply.body[: reply.sent])
        self.close_connection = reply.sent is not None

    do_GET = do_POST = do_DELETE = reply  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent: the tests look at `Stub.seen`."""


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def reply() -> type[Reply]:
    """The builder of what a stub answers (conftest modules cannot be imported by name)."""
    return Reply
