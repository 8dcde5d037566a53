"""Breaks off what is being read from Stripe, so that a process that is to end need not wait for an answer."""

import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

LOOK_SECONDS = 0.25
"""How often it is looked whether to break off, and again for what was begun in the meantime."""


class Reads:
    """The sockets whose last request reads. One that writes is left to end: nobody could tell whether it was done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: WeakSet[socket.socket] = WeakSet()

    def note(self, connection: HTTPConnection, method: str) -> None:
        """Learns of a request that a connection is about to send."""
        if connection.sock is None:
            connection.connect()
        assert connection.sock is not None, "connected"
        with self._lock:
            (self._sockets.add if method == "GET" else self._sockets.discard)(connection.sock)

    def break_off(self) -> None:
        """Ends every read, whoever waits for it: they find the connection closed."""
        with self._lock:
            for one in self._sockets:
                try:
                    # Not SSLSocket's own: that drops the session under whoever reads.
                    socket.socket.shutdown(one, socket.SHUT_RDWR)
                except OSError:
                    continue  # it is closed already

    @contextmanager
    def ended_by(self, stop: threading.Event, grace: float) -> Generator[None]:
        """Within the block, reads end `grace` seconds after `stop` is set, those begun later as well."""
        over = threading.Event()

        def watch() -> None:
            asked: float | None = None  # the moment at which it was asked to stop
            while not over.wait(LOOK_SECONDS):
                if stop.is_set():
                    asked = asked or time.monotonic()
                    if time.monotonic() - asked >= grace:
                        self.break_off()

        watcher = threading.Thread(target=watch, name="stripe-break-off", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def pools(self) -> dict[str, type[urllib3.HTTPConnectionPool]]:
        """The connection pools by scheme, as a PoolManager takes them, whose connections tell of their requests."""
        reads = self

        class Plain(HTTPConnection):
            def __str__(self) -> str:
                return f"{self.host}:{self.port}"  # as errors show it

            def request(self, method: str, *words: Any, **named: Any) -> None:
                reads.note(self, method)
                super().request(method, *words, **named)

        class Secure(HTTPSConnection):
            def __str__(self) -> str:
                return f"{self.host}:{self.port}"  # as errors show it

            def request(self, method: str, *words: Any, **named: Any) -> None:
                reads.note(self, method)
                super().request(method, *words, **named)

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain  # pyright: ignore[reportAssignmentType]  urllib3's own do not fit its protocol either

        class SecurePool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Secure  # pyright: ignore[reportAssignmentType]

        return {"http": PlainPool, "https": SecurePool}
