"""Sends prepared HTTP requests at a steady rate over kept-alive connections, and tells how long each answer took.

    python sender.py HOST PORT RATE CONNECTIONS FILE     rate 0: as fast as answers come

FILE holds the requests, each after its length in 4 bytes. A request's time runs from the instant it was due, whether or
not a connection was free by then, so that a slow server cannot slow the load down unseen. The summary is JSON.
"""

import asyncio
import json
import mmap
import resource
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Any

import uvloop

LENGTH = Struct("!I")
STEP = 0.002  # seconds between looks at what is due


def write(path: Path, requests: Iterator[bytes]) -> None:
    """Writes the file of requests that the program reads."""
    with path.open("wb") as file:
        for request in requests:
            file.write(LENGTH.pack(len(request)))
            file.write(request)


def _read(path: Path) -> Iterator[memoryview]:
    with path.open("rb") as file:
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    place = 0
    while place < len(view):
        [length] = LENGTH.unpack_from(view, place)
        yield view[place + 4 : place + 4 + length]
        place += 4 + length


class _Load:
    """What is due, who is free, and what was answered."""

    def __init__(self, requests: list[memoryview], rate: float) -> None:
        self.requests, self.rate = requests, rate
        self.free: deque[_Sender] = deque()
        self.waiting: deque[tuple[memoryview, float]] = deque()
        self.seconds: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.sent = self.lost = 0
        self.last = 0.0
        self.done = asyncio.Event()

    def due(self, number: int, at: float) -> None:
        item = (self.requests[number], at)
        if self.free:
            self.free.popleft().send(*item)
        else:
            self.waiting.append(item)

    def answered(self, sender: "_Sender", status: str, at: float) -> None:
        self.last = time.perf_counter()
        self.seconds.append(self.last - at)
        self.statuses[status] += 1
        if self.waiting:
            sender.send(*self.waiting.popleft())
        elif not self.rate and self.sent < len(self.requests):
            sender.send(self.requests[self.sent], self.last)
            self.sent += 1
        else:
            self.free.append(sender)
        self.check()

    def check(self) -> None:
        if len(self.seconds) + self.lost >= len(self.requests):
            self.done.set()


class _Sender(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._got = b""
        self._at: float | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._load.free.append(self)

    def send(self, request: memoryview, at: float) -> None:
        self._at = at
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0 or self._at is None:
            return
        head = self._got[:end].lower()
        place = head.find(b"content-length:")
        length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
        if len(self._got) < end + 4 + length:
            return
        self._got, at, self._at = b"", self._at, None
        self._load.answered(self, head[9:12].decode(), at)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._load.free:
            self._load.free.remove(self)
        if self._at is not None:
            self._load.lost += 1
            self._load.statuses["connection lost"] += 1
        self._load.check()


async def _run(host: str, port: int, rate: float, connections: int, path: Path) -> dict[str, Any]:
    load = _Load(list(_read(path)), rate)
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: _Sender(load), host, port)
    began = time.perf_counter()
    if rate:
        while load.sent < len(load.requests):
            until = min(len(load.requests), int((time.perf_counter() - began) * rate) + 1)
            while load.sent < until:
                load.due(load.sent, began + load.sent / rate)
                load.sent += 1
            await asyncio.sleep(STEP)
    else:
        for sender in list(load.free):
            load.free.remove(sender)
            sender.send(load.requests[load.sent], time.perf_counter())
            load.sent += 1
    offered = time.perf_counter() - began
    await asyncio.wait_for(load.done.wait(), 120)
    return _summary(load, offered, load.last - began)


def _summary(load: _Load, offered: float, answered: float) -> dict[str, Any]:
    times = sorted(load.seconds)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "offered_per_second": len(load.requests) / offered,
        "answered_per_second": len(times) / answered,
        "statuses": dict(load.statuses),
        "p50_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[int(len(times) * 0.99)],
        "max_ms": 1000 * times[-1],
        "cpu_seconds": used.ru_utime + used.ru_stime,
    }


if __name__ == "__main__":
    host, port, rate, connections, path = sys.argv[1:]
    print(json.dumps(uvloop.run(_run(host, int(port), float(rate), int(connections), Path(path)))))
