"""Sends what is due to one destination: many requests at a time, one after the other for each contact."""

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple, cast

from tidegate.delivery.exchanging import Exchanging
from tidegate.delivery.messages import Destination, Message, Verdict, Writer
from tidegate.delivery.options import Options
from tidegate.delivery.outcomes import BREAK, Due, Outcome, Outcomes
from tidegate.delivery.queue import LEASE, Settled
from tidegate.errors import DestinationInvalid

MOST = 4000
"""Deliveries that are held in memory, and written down at once."""
FLUSH = 200
"""Outcomes that are written down at once, at the latest."""
SECONDS_AHEAD = 4
"""What is claimed ahead of being sent, at the pace so far."""
MARGIN = 10.0
"""Seconds that a claim has to hold beyond the time-out of what begins."""


class Taken(NamedTuple):
    """What was claimed: see `queue.Claim`. `claimed`: how many; `read` tells what they are, in their order, while the
    next are claimed; it is called in a thread.
    """

    claimed: int
    read: Callable[[], Sequence[Due]]
    put_off: int
    busy: int
    starts_in: float
    open: bool


@dataclass
class Sending:
    """One destination's turn. `take(n)` claims, `settle` writes outcomes down; both are called in threads. `failures`:
    in a row so far; with `BREAK` of them one delivery is tried before others. `shift`: how far the clock is taken to be
    ahead.
    """

    kind: Destination | Writer
    options: Options
    take: Callable[[int], Taken]
    settle: Callable[[Sequence[Settled]], None]
    seconds: float
    stop: threading.Event
    failures: int = 0
    shift: timedelta = timedelta(0)
    chance: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._outcomes = Outcomes(self.options, self.failures, self.shift, self.chance)
        self._lanes: dict[int, deque[tuple[Due, float]]] = {}
        self._ready: asyncio.Queue[int] = asyncio.Queue()
        self._moved = asyncio.Event()
        self._queued = self._working = self._coming = 0
        self._ended = False

    async def run(self) -> Outcome:
        """Sends until nothing is due, the time is over, the destination wants to be left alone, or `stop` is set."""
        self._end = time.monotonic() + self.seconds
        self._began = time.monotonic()
        self._exchanging = Exchanging(self.kind, self.options, self._outcomes.now)
        workers = [asyncio.create_task(self._work()) for _ in range(self._width())]
        writer = asyncio.create_task(self._write_down())
        feeder = asyncio.create_task(self._feed())
        try:
            done, _ = await asyncio.wait([feeder, writer, *workers], return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                await one  # raises what went wrong
            self._outcomes.halted = True
            await self._all_idle()
        finally:
            self._ended = True
            for one in (feeder, *workers):
                one.cancel()
            await asyncio.gather(feeder, *workers, return_exceptions=True)
            self._exchanging.close()
        self._release_all()
        await writer
        return self._outcomes.so_far

    def _width(self) -> int:
        return 1 if self.failures >= BREAK else self.options.in_flight

    def _over(self) -> bool:
        return self._outcomes.halted or self.stop.is_set() or time.monotonic() >= self._end

    async def _all_idle(self) -> None:
        while self._working:
            self._moved.clear()
            await self._moved.wait()

    # ── what is due ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _feed(self) -> None:
        self._reading = asyncio.create_task(self._read(None, 0.0))
        try:
            await self._claim_on()
        finally:
            await asyncio.wait([self._reading])  # what is claimed is given back, if it is not sent
        await self._reading  # raises what went wrong

    async def _claim_on(self) -> None:
        while not self._over():
            wanted = self._wanted() - self._queued - self._coming
            if wanted < self._wanted() / 2:
                await self._moving(0.2)
                continue
            asked = time.monotonic()
            taken = await asyncio.to_thread(self.take, wanted)
            if taken.starts_in:
                self._exchanging.not_before(taken.starts_in)
            await self._reading  # what was claimed before comes before
            self._coming = taken.claimed
            self._reading = asyncio.create_task(self._read(taken, asked + LEASE - MARGIN - self.options.timeout))
            if not taken.open:
                return
            if taken.claimed or taken.put_off > taken.busy:
                continue
            if taken.busy:
                await self._moving(0.3)
            elif not self._queued and not self._working:
                return
            else:
                await self._moving(0.05)
        self._outcomes.so_far.more = True

    async def _read(self, taken: Taken | None, until: float) -> None:
        """Queues what was claimed."""
        for one in await asyncio.to_thread(taken.read) if taken and taken.claimed else ():
            self._queue(one, until)
        self._coming = 0
        self._moved.set()

    def _wanted(self) -> int:
        """How many to hold in memory: what is sent in a few seconds, and before the time is over."""
        so_far = self._outcomes.so_far
        if self.failures >= BREAK and not so_far.delivered:
            return 1
        pace = (so_far.delivered + so_far.passed_over) / max(0.05, time.monotonic() - self._began)
        least = 4 * self._width() * self.kind.batch
        return int(min(MOST, max(least, pace * min(SECONDS_AHEAD, self._end - time.monotonic()))))

    async def _moving(self, seconds: float) -> None:
        self._moved.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._moved.wait()
        except TimeoutError:
            return

    def _queue(self, one: Due, until: float) -> None:
        if self._outcomes.is_held(one):
            self._outcomes.give_back(one)
            return
        lane = self._lane(one)
        if lane not in self._lanes:
            self._lanes[lane] = deque()
            self._ready.put_nowait(lane)
        self._lanes[lane].append((one, until))
        self._queued += 1

    def _lane(self, one: Due) -> int:
        """What is sent one after the other: a contact's, or of batches as many contacts' as there are requests."""
        if self.kind.batch > 1:
            return (one.contact if one.contact is not None else one.id) % self._width()
        return one.contact if one.contact is not None else -one.id

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _work(self) -> None:
        while True:
            lane = await self._ready.get()
            if self._over():
                self._ready.put_nowait(lane)
                await asyncio.sleep(0.02)
                continue
            self._working += 1
            try:
                await self._send(self._next(lane))
            finally:
                self._working -= 1
                if self._lanes.get(lane):
                    self._ready.put_nowait(lane)
                else:
                    self._lanes.pop(lane, None)
                self._moved.set()

    def _next(self, lane: int) -> list[Due]:
        """The first of a lane that may still be sent; whose claim ends too soon is given back."""
        found: list[Due] = []
        waiting = self._lanes[lane]
        while waiting and len(found) < self.kind.batch:
            one, until = waiting.popleft()
            self._queued -= 1
            if time.monotonic() > until or self._outcomes.is_held(one):
                self._outcomes.give_back(one)
            else:
                found.append(one)
        return found

    async def _send(self, due: Sequence[Due]) -> None:
        for one in due:
            if one.message is None:
                self._outcomes.passed_over(one)
        by_id = {one.message.delivery: one for one in due if one.message is not None}
        if by_id:
            await self._send_all([cast("Message", one.message) for one in by_id.values()], by_id)

    async def _send_all(self, messages: Sequence[Message], by_id: dict[int, Due]) -> None:
        """Sends them; of several that are refused for good together each half is tried alone, down to the culprit."""
        try:
            exchanges = self._exchanging.made(messages)
        except DestinationInvalid as error:
            await self._judge(messages, [Verdict("permanent", None, str(error))] * len(messages), by_id)
            return
        covered = {one.delivery for exchange in exchanges for one in exchange.messages}
        for one in messages:
            if one.delivery not in covered:
                self._outcomes.passed_over(by_id[one.delivery])
        for exchange in exchanges:
            if self._outcomes.halted:
                for one in exchange.messages:
                    self._outcomes.give_back(by_id[one.delivery])
                continue
            verdicts = await self._exchanging.exchange(exchange)
            await self._judge(exchange.messages, verdicts, by_id)

    async def _judge(self, messages: Sequence[Message], verdicts: Sequence[Verdict], by_id: dict[int, Due]) -> None:
        if len(messages) > 1 and all(one.kind == "permanent" and one.status != 207 for one in verdicts):
            half = len(messages) // 2
            await self._send_all(messages[:half], by_id)
            await self._send_all(messages[half:], by_id)
            return
        for message, verdict in zip(messages, verdicts, strict=True):
            self._outcomes.judge(by_id[message.delivery], verdict)
        self._moved.set()

    # ── outcomes ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _release_all(self) -> None:
        for lane in self._lanes.values():
            for one, _ in lane:
                self._outcomes.give_back(one)
        self._lanes.clear()

    async def _write_down(self) -> None:
        while self._outcomes.settled or not self._ended:
            if some := self._outcomes.take(MOST):
                await asyncio.to_thread(self.settle, some)
            if len(self._outcomes.settled) < FLUSH and not self._ended:
                await asyncio.sleep(0.05)
