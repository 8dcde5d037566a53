"""Runs work side by side, and what is of one lane one after the other, in the order given."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Lanes(Generic[T]):
    """Hands work to threads: at most `workers` at a time, of one lane one, and no more waiting than `waiting`.

    The first failure of `do` stops what has not begun, and is raised by `run`.
    """

    def __init__(self, do: Callable[[T], None], lane: Callable[[T], str], *, workers: int, waiting: int) -> None:
        self._do, self._lane = do, lane
        self._workers, self._room = workers, threading.Semaphore(waiting)
        self._lock = threading.Lock()
        self._queues: dict[str, deque[T]] = {}
        self._failed: list[BaseException] = []
        self._stopped = threading.Event()

    def run(self, work: Iterable[T], stop: threading.Event | None = None) -> None:
        """Does all work, or what was begun when `stop` is set."""
        with ThreadPoolExecutor(self._workers, thread_name_prefix="push") as pool:
            for one in work:
                self._room.acquire()
                if self._stopped.is_set() or (stop and stop.is_set()):
                    self._room.release()
                    break
                self._put(pool, one)
        if self._failed:
            raise self._failed[0]

    def _put(self, pool: ThreadPoolExecutor, one: T) -> None:
        name = self._lane(one)
        with self._lock:
            if name in self._queues:
                self._queues[name].append(one)
                return
            self._queues[name] = deque()
        pool.submit(self._work, name, one)

    def _work(self, name: str, one: T) -> None:
        following: T | None = one
        while following is not None:
            try:
                if not self._stopped.is_set():
                    self._do(following)
            except BaseException as failure:  # told by `run`
                self._failed.append(failure)
                self._stopped.set()
            finally:
                self._room.release()
            with self._lock:
                queue = self._queues[name]
                following = queue.popleft() if queue else None
                if following is None:
                    del self._queues[name]
