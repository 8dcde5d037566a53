"""Keeps one worker alive as a child process: restarted when it dies, ended when this process does."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds before a restart; doubled while the worker keeps dying young
GROWN_UP = 60.0  # seconds after which a worker's death is no sign that the next one dies too
PATIENCE = 15.0  # seconds that an ending worker has for what it is doing


def worker_command(descriptor: int) -> list[str]:
    """How a worker is started: it ends when the pipe of that descriptor closes."""
    return [sys.executable, "-m", "tidegate", "worker", "--parent-pipe", str(descriptor)]


class Keeper:
    """A worker that lives as long as this process.

    The kernel closes the pipe however this process ends, so that no worker outlives it. The worker has a session of its
    own: Ctrl-C reaches this process alone, which then ends the worker in good order.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]] = worker_command,
        *,
        first_wait: float = FIRST_WAIT,
        patience: float = PATIENCE,
    ) -> None:
        self._command = command
        self._first_wait = first_wait
        self._patience = patience
        self._ending = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._ours, self._theirs = -1, -1
        self._thread = threading.Thread(target=self._keep_alive, name="worker-keeper", daemon=True)

    @property
    def pid(self) -> int | None:
        """The process id of the worker that lives now; None between two."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def start(self) -> None:
        """Starts the worker; once."""
        self._theirs, self._ours = os.pipe()
        self._thread.start()

    def stop(self) -> None:
        """Lets the worker end what it does, for 15 s at most; then it is terminated."""
        self._ending.set()
        os.close(self._ours)
        self._thread.join()
        os.close(self._theirs)

    def _keep_alive(self) -> None:
        wait = self._first_wait
        while not self._ending.is_set():
            born = time.monotonic()
            self._process = process = subprocess.Popen(
                self._command(self._theirs),
                pass_fds=[self._theirs],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            code = self._watch(process)
            if self._ending.is_set():
                return
            wait = self._first_wait if time.monotonic() - born > GROWN_UP else wait
            log.error("worker_died", extra={"exit_code": code, "restart_in_seconds": wait})
            self._ending.wait(wait)
            wait = min(LONGEST_WAIT, wait * 2)

    def _watch(self, process: "subprocess.Popen[bytes]") -> int:
        """Waits until the worker ends, or until it is to end and does."""
        while not self._ending.is_set():
            try:
                return process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        try:
            return process.wait(self._patience)
        except subprocess.TimeoutExpired:
            log.warning("worker_terminated", extra={"pid": process.pid})
            process.kill()  # a second signal would end it at once as well; what it did is taken up by the next worker
            return process.wait()
