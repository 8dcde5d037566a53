"""Runs the web server such that a signal ends it like any other function: what comes after it still happens."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from types import FrameType
from typing import Any

import uvicorn

from tidegate.web.outbound.streams import CLOSING

GRACE = 10  # seconds for requests under way when the server is to end
SWITCH_SECONDS = 0.0005
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Server(uvicorn.Server):
    """uvicorn itself raises the signal again at its end, which would skip what stops the worker and the database."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], parent_pipe: int | None) -> None:
        super().__init__(config)
        self._ready = ready
        self._parent_pipe = parent_pipe

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Within the block a signal asks to end, a second Ctrl-C to end at once. A signal that is ignored stays so."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._leave)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to serve, and says so."""
        await super().startup(sockets)
        if self._parent_pipe is not None:
            self._end_with_parent(self._parent_pipe)
        # A collection of all that was loaded stops every request for a tenth of a second, every other second under
        # load; what is here by now stays to the end.
        gc.collect()
        gc.freeze()
        # The thread that commits webhooks asks for the interpreter a dozen times a batch: with Python's 5 ms each time
        # under load, a batch would wait longer for its turn than for the disk.
        sys.setswitchinterval(SWITCH_SECONDS)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends what is told for as long as somebody listens, and answers the rest."""
        CLOSING.set()
        await super().shutdown(sockets)

    def _end_with_parent(self, pipe: int) -> None:
        loop = asyncio.get_running_loop()

        def read() -> None:
            if not os.read(pipe, 1024):
                loop.remove_reader(pipe)
                self.should_exit = True

        loop.add_reader(pipe, read)

    def _leave(self, number: int, _frame: FrameType | None) -> None:
        self.force_exit = self.should_exit and number == signal.SIGINT
        self.should_exit = True


def run_server(
    site: Any,
    listener: socket.socket,
    ready: Callable[[], None],
    parent_pipe: int | None = None,
    proxies: Sequence[str] = (),
) -> None:
    """Serves until SIGINT, SIGTERM or SIGHUP, or until `parent_pipe` (a descriptor) closes; answers what is under way
    and returns. Calls `ready` once it serves. `proxies`: addresses and networks whose X-Forwarded-Proto and
    X-Forwarded-For are believed.
    """
    config = uvicorn.Config(
        site,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=list(proxies),
        timeout_graceful_shutdown=GRACE,
    )
    server = Server(config, ready, parent_pipe)
    server.run(sockets=[listener])
    if not server.started:
        raise RuntimeError("the web server did not start; its log says why")
