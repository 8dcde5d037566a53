"""Runs work side by side, and what is of one lane one after the other, in the order given."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Lanes(Generic[T]):
    """Hands work to threads: at most `workers` at a time, of one lane one, and no more taken in than `room`.

    What is taken in waits behind its lane: with little room one long lane keeps the others out. The first failure of
    `do` ends everything, and is raised by `run`.
    """

    def __init__(self, do: Callable[[T], None], lane: Callable[[T], str], *, workers: int, room: int) -> None:
        self._do, self._lane = do, lane
        self._workers, self._room = workers, threading.Semaphore(room)
        self._lock = threading.Lock()
        self._queues: dict[str, deque[T]] = {}
        self._failed: list[BaseException] = []
        self._over = threading.Event()

    def run(self, work: Iterable[T], stopped: Callable[[], bool] = lambda: False) -> None:
        """Does all work. When `stopped` says so, something failed or `work` raises, what has begun is ended and nothing
        else begun.
        """
        try:
            with ThreadPoolExecutor(self._workers, thread_name_prefix="push") as pool:
                try:
                    for one in work:
                        self._room.acquire()
                        if self._over.is_set() or stopped():
                            break
                        self._put(pool, one, stopped)
                except BaseException:
                    self._over.set()  # before the pool waits for what it was given
                    raise
        except BaseException:
            self._over.set()  # an interrupt while the pool waits
            raise
        if self._failed:
            raise self._failed[0]

    def _put(self, pool: ThreadPoolExecutor, one: T, stopped: Callable[[], bool]) -> None:
        name = self._lane(one)
        with self._lock:
            if name in self._queues:
                self._queues[name].append(one)
                return
            self._queues[name] = deque()
        pool.submit(self._work, name, one, stopped)

    def _work(self, name: str, one: T, stopped: Callable[[], bool]) -> None:
        following: T | None = one
        while following is not None:
            try:
                if not (self._over.is_set() or stopped()):
                    self._do(following)
            except BaseException as failure:  # told by `run`
                self._failed.append(failure)
                self._over.set()
            finally:
                self._room.release()
            with self._lock:
                queue = self._queues[name]
                following = queue.popleft() if queue else None
                if following is None:
                    del self._queues[name]
