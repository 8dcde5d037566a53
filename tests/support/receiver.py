"""A server on this machine that receives what destinations are sent, keeps it, and answers as a test says."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tidegate_client import verify


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers.get("webhook-id", "")


@dataclass
class Reply:
    """How it answers: `delay` in seconds before, `headers` beside those of every answer."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay: float = 0.0
    hang_up: bool = False


class Receiver:
    """What came, in order; `answer` says what to answer to each request."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[Received], Reply] = lambda _: Reply()
        self.url = ""
        self.port = 0
        self._lock = threading.Lock()

    def take(self, request: Received) -> Reply:
        with self._lock:
            self.received.append(request)
        return self.answer(request)

    def says(self, status: int, body: bytes = b"{}", **headers: str) -> None:
        """Answers everything so from now on."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = lambda _: Reply(status, body, named)

    def events(self, secret: str | None = None) -> list[dict[str, Any]]:
        """The events of signed webhooks in the order in which they came, each id once."""
        found: dict[str, dict[str, Any]] = {}
        for one in self.received:
            event = (
                verify(one.body, one.headers, secret, now=float(one.headers["webhook-timestamp"]))
                if secret
                else one.json
            )
            found.setdefault(one.id, event)
        return list(found.values())


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = receiver.take(
                Received(
                    self.command, parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)), headers, body,
                    self.client_address[1],
                )
            )  # fmt: skip
            if reply.delay:
                time.sleep(reply.delay)
            if reply.hang_up:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
            self.wfile.flush()

        do_GET = do_POST = do_PUT = do_PATCH = handle_any  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Keeps quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Who hung up was meant to."""

    server = Server(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    receiver.url = f"http://127.0.0.1:{receiver.port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
