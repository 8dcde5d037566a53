"""Delivers events to the registered URLs: signed, several at once, tried a few times, counted."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from tidegate.sandbox.ids import Ids
from tidegate.sandbox.old_versions import in_version
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.signatures import signature_header
from tidegate.sandbox.state import API_VERSION, State

AT_ONCE = 32
TRIES = 4
FIRST_PAUSE = 0.05
ANSWER_WITHIN = 20.0

Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]


@dataclass
class Endpoint:
    """Where events go. `lose` and `duplicate` are probabilities; with `shuffle` the events of one advance go out in
    random order; `delayed` is the probability that a delivery comes `delay` seconds later, after newer ones.
    `enabled_events` are exact types or `*`. With `connect` it gets the events of connected accounts, else those of the
    account itself."""

    id: str
    url: str
    secret: str
    api_version: str = API_VERSION
    enabled_events: tuple[str, ...] = ("*",)
    lose: Probability = 0.0
    duplicate: Probability = 0.0
    shuffle: bool = False
    delayed: Probability = 0.0
    delay: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    created: int = 0
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    disabled: bool = False

    connect: bool = False

    def wants(self, event: Obj) -> bool:
        """Whether this event is sent here."""
        return (
            not self.disabled
            and self.connect == ("account" in event)
            and ("*" in self.enabled_events or event["type"] in self.enabled_events)
        )


class Webhooks:
    """The registered endpoints and the deliveries under way. Lives on the server's event loop."""

    def __init__(self, state: State, seed: int) -> None:
        self.state = state
        self.endpoints: dict[str, Endpoint] = {}
        self.outcomes: Counter[str] = Counter()
        self.ids = Ids(f"webhooks-{seed}")
        """Of the endpoints: their own, so that registering one changes nothing that the company does later."""
        self._random = random.Random(f"webhooks-{seed}")
        self._batch: list[Obj] = []
        self._accounts: dict[str, State] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._idle: dict[str, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = {}
        state.listeners.append(self._batch.append)

    def add(self, endpoint: Endpoint) -> None:
        """Registers an endpoint or replaces the one with the same id."""
        self.endpoints[endpoint.id] = endpoint
        self.state.webhook_endpoints = len(self.endpoints)

    def remove(self, identifier: str) -> bool:
        """Forgets an endpoint; False when there was none."""
        known = self.endpoints.pop(identifier, None) is not None
        self.state.webhook_endpoints = len(self.endpoints)
        return known

    def flush(self) -> None:
        """Starts delivering the events emitted since the last call."""
        events, self._batch[:] = list(self._batch), []
        for endpoint in self.endpoints.values():
            for event in self._sequence(endpoint, events):
                held = endpoint.delay if endpoint.delayed and self._random.random() < endpoint.delayed else 0.0
                self.outcomes["delayed"] += held > 0
                task = asyncio.get_running_loop().create_task(self._deliver(endpoint, event, held))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def report(self) -> dict[str, Any]:
        """Outcome counts and how many deliveries are not finished."""
        names = ("delivered", "failed", "retried", "lost", "duplicated", "delayed")
        return {name: self.outcomes[name] for name in names} | {"pending": len(self._tasks)}

    async def close(self) -> None:
        """Gives up what is under way and closes idle connections."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _, writer in (pair for pairs in self._idle.values() for pair in pairs):
            writer.close()

    def _sequence(self, endpoint: Endpoint, events: list[Obj]) -> list[Obj]:
        sequence: list[Obj] = []
        for event in events:
            if not endpoint.wants(event):
                continue
            if endpoint.lose and self._random.random() < endpoint.lose:
                self.outcomes["lost"] += 1
                continue
            sequence.append(event)
            if endpoint.duplicate and self._random.random() < endpoint.duplicate:
                self.outcomes["duplicated"] += 1
                sequence.append(event)
        if endpoint.shuffle:
            self._random.shuffle(sequence)
        return sequence

    def hear(self, state: State, account: str) -> None:
        """Takes the events of a connected account, too, from now on."""
        self._accounts[account] = state
        state.listeners.append(lambda event: self._batch.append(event | {"account": account}))

    async def _deliver(self, endpoint: Endpoint, event: Obj, held: float) -> None:
        """Delivers an event after `held` seconds, trying it a few times."""
        state = self._accounts.get(event.get("account", ""), self.state)
        body = msgspec.json.encode(in_version(event, endpoint.api_version, state))
        await asyncio.sleep(held)
        async with self._slots:
            for attempt in range(TRIES):
                try:
                    status = await asyncio.wait_for(self._post(endpoint, body), ANSWER_WITHIN)
                except (TimeoutError, OSError, asyncio.IncompleteReadError, ValueError):
                    status = 0
                if 200 <= status < 300:
                    self.outcomes["delivered"] += 1
                    return
                if attempt + 1 < TRIES:
                    self.outcomes["retried"] += 1
                    await asyncio.sleep(FIRST_PAUSE * 4**attempt)
            self.outcomes["failed"] += 1

    async def _post(self, endpoint: Endpoint, body: bytes) -> int:
        url = urlsplit(endpoint.url)
        signature = signature_header(body, endpoint.secret, int(time.time()))
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        lines = (
            f"POST {target} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json; charset=utf-8\r\n"
            f"User-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\nStripe-Signature: {signature}\r\n"
            f"Content-Length: {len(body)}\r\nAccept: */*\r\n\r\n"
        )
        idle = self._idle.setdefault(url.netloc, [])
        reader, writer = idle.pop() if idle else await asyncio.open_connection(url.hostname, url.port or 80)
        try:
            writer.write(lines.encode() + body)
            status, keep = await read_answer(reader)
        except BaseException:
            writer.close()
            raise
        if keep:
            idle.append((reader, writer))
        else:
            writer.close()
        return status


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """The status of an HTTP/1.1 answer, read to its end, and whether the connection can be used again.

    Raises asyncio.IncompleteReadError or ValueError when the answer is cut off or no HTTP.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest if line)}
    status = int(first.split(" ")[1])
    if "content-length" in headers:
        await reader.readexactly(int(headers["content-length"]))
        return status, headers.get("connection", "").lower() != "close"
    return status, status == 204
