"""Two web processes and three workers of the product on one database, killed at random and started again; and a client
that asks the other web process where one does not answer.
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
from httpx import Client, Response
from tests.support import forking
from tests.support.forking import Forked
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.support.working import worker

from tidegate.wiring import Hub

WEBS, WORKERS = 2, 3
PATIENCE = 90.0
"""Seconds within which a request has to be answered, by one web process or the other."""
TRIES = 15.0
"""Seconds until a client takes a web process for dead that holds its connection and says nothing."""


class Fleet:
    """The processes, by place: the web processes first. `killed`: how many of each kind were."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.ports: list[int] = []
        while len(self.ports) < WEBS:
            if (port := free_port()) not in self.ports:
                self.ports.append(port)
        self.killed: Counter[str] = Counter()
        self._alive: list[ExitStack] = [ExitStack() for _ in range(WEBS + WORKERS)]
        self._processes: list[Forked] = []

    @property
    def urls(self) -> list[str]:
        """Of the web processes."""
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    @contextmanager
    def running(self) -> Generator[None]:
        """All of them, until the block ends, when they are killed."""
        try:
            self._processes = [self._start(place) for place in range(WEBS + WORKERS)]
            self.all_serve()
            yield
        finally:
            for one in self._alive:
                one.close()

    def all_serve(self) -> None:
        """Waits until both web processes can work."""
        for url in self.urls:
            until(lambda url=url: _ready(url), f"{url} serves", seconds=PATIENCE, pause=0.1)

    def kill(self, place: int) -> None:
        """SIGKILL to one, which is started again at once."""
        self._processes[place].kill()
        self._processes[place].wait(20)
        self.killed["web" if place < WEBS else "worker"] += 1
        self._alive[place].close()
        self._processes[place] = self._start(place)

    def kill_at_random(self, chance: random.Random, seconds: float) -> None:
        """Any of them at any time, for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(chance.uniform(0.6, 2.2))
            self.kill(chance.randrange(WEBS + WORKERS))

    def _start(self, place: int) -> Forked:
        own = _web(self.hub, self.ports[place]) if place < WEBS else worker(self.hub)
        return self._alive[place].enter_context(own)


@contextmanager
def _web(hub: Hub, port: int) -> Generator[Forked]:
    """`tidegate serve` without a worker."""
    environment = forking.FIXED | {
        "PATH": os.environ["PATH"],
        "TIDEGATE_HOME": str(hub.settings.home),
        "DATABASE_URL": hub.settings.database_url,
        "TIDEGATE_SECRET_KEY": hub.settings.secret_key.get_secret_value(),
    }
    command = ["-m", "tidegate", "serve", "--no-worker", "--host", "127.0.0.1", "--port", str(port)]
    with open(os.devnull, "r+") as nothing, open(hub.settings.home / f"web-{port}.log", "a") as said:
        started = forking.start(
            command, environment, stdin=nothing.fileno(), stdout=nothing.fileno(), stderr=said.fileno()
        )
    try:
        yield started
    finally:
        started.kill()
        started.wait(20)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=TRIES).status_code == 200
    except httpx.TransportError:
        return False


class Asking:
    """A client that knows both web processes and, where one does not answer, or says to come again later, asks the
    other one the same. `retried`: why it did; `lost`: writes of which it was told that they were done, and not what
    they were answered with.
    """

    def __init__(self, fleet: Fleet, headers: dict[str, str], chance: random.Random) -> None:
        self._clients = [Client(base_url=url, headers=headers, timeout=TRIES) for url in fleet.urls]
        self._chance = chance
        self.asked = 0
        self.retried: Counter[str] = Counter()
        self.lost: list[str] = []

    def __call__(self, method: str, path: str, **sent: Any) -> Response | None:
        """What it was answered in the end; None for an answer that was lost. Fails where nobody answers in time."""
        self.asked += 1
        place = self._chance.randrange(WEBS)
        end = time.monotonic() + PATIENCE
        trouble = ""
        while time.monotonic() < end:
            try:
                answer = self._clients[place].request(method, path, **sent)
            except httpx.TransportError as error:
                trouble = type(error).__name__
            else:
                trouble = _later(answer)
                if trouble == "lost":
                    self.lost.append(f"{method} {path}")
                    return None
                if not trouble:
                    return answer
            self.retried[trouble] += 1
            place = (place + 1) % WEBS
            time.sleep(0.05)
        raise AssertionError(f"{method} {path} was not answered within {PATIENCE} s: {trouble}")

    def close(self) -> None:
        for one in self._clients:
            one.close()


def _later(answer: Response) -> str:
    """Why the same is to be asked again; `lost` where it was done by who cannot answer any more; else empty."""
    if answer.status_code >= 500:
        return str(answer.status_code)
    if answer.status_code == 409 and answer.json()["type"] == "urn:tidegate:problem:idempotency-pending":
        return "pending" if "Send it again later" in answer.text else "lost"
    return ""


@contextmanager
def all_at_once(*works: Callable[[], None]) -> Generator[None]:
    """Each work again and again, in a thread of its own, until the block ends. Raises what any of them raised."""
    over = threading.Event()
    troubles: list[BaseException] = []

    def go_on(work: Callable[[], None]) -> None:
        try:
            while not over.wait(0.02):
                work()
        except BaseException as trouble:
            troubles.append(trouble)

    threads = [threading.Thread(target=go_on, args=(work,)) for work in works]
    for one in threads:
        one.start()
    try:
        yield
    finally:
        over.set()
        for one in threads:
            one.join()
    if troubles:
        raise troubles[0]
