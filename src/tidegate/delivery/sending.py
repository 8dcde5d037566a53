"""Sends what is due to one destination: many requests at a time, one after the other for each contact."""

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, cast

from tidegate.delivery.http import Client, SendFailed
from tidegate.delivery.judging import backoff
from tidegate.delivery.messages import DELIVERED, Destination, Exchange, Message, Verdict, Writer
from tidegate.delivery.options import Options
from tidegate.delivery.queue import LEASE, Settled
from tidegate.errors import AddressRefused, DestinationInvalid

BREAK = 3
"""Failures in a row after which a destination as a whole is left alone for a while."""
MOST = 4000
"""Deliveries that are held in memory, and written down at once."""
FLUSH = 200
"""Outcomes that are written down at once, at the latest."""
SECONDS_AHEAD = 4
"""What is claimed ahead of being sent, at the pace so far."""
MARGIN = 10.0
"""Seconds that a claim has to hold beyond the time-out of what begins."""


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery in hand. `message` None: there is nothing to send, such as of a contact that did not change.
    `sent`: of a contact, what the destination has once it is delivered, as JSON.
    """

    id: int
    contact: int | None
    attempts: int
    failing_since: datetime | None
    message: Message | None
    sent: str | None = None


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


@dataclass(slots=True)
class Outcome:
    """How a destination stood when its turn ended. `passed_over`: what there was nothing to send of; `failures`: in a
    row; `wait`: seconds until it is tried again (None: at once); `refused`: why nothing will be taken until a person
    mends it; `error`: of the last failure.
    """

    delivered: int = 0
    passed_over: int = 0
    dead: int = 0
    failed: int = 0
    failures: int = 0
    wait: float | None = None
    refused: str = ""
    error: str = ""
    more: bool = False


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
        self._outcome = Outcome(failures=self.failures)
        self._lanes: dict[int, deque[tuple[Due, float]]] = {}
        self._ready: asyncio.Queue[int] = asyncio.Queue()
        self._moved = asyncio.Event()
        self._failed: dict[int, tuple[int, float]] = {}
        self._settled: list[Settled] = []
        self._queued = self._working = self._coming = 0
        self._halted = self._ended = False
        self._pace_at = 0.0

    async def run(self) -> Outcome:
        """Sends until nothing is due, the time is over, the destination wants to be left alone, or `stop` is set."""
        self._end = time.monotonic() + self.seconds
        self._began = time.monotonic()
        self._client = Client(timeout=self.options.timeout, allow_private=self.options.allow_private)
        workers = [asyncio.create_task(self._work()) for _ in range(self._width())]
        writer = asyncio.create_task(self._write_down())
        feeder = asyncio.create_task(self._feed())
        try:
            done, _ = await asyncio.wait([feeder, writer, *workers], return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                await one  # raises what went wrong
            self._halted = True
            await self._all_idle()
        finally:
            self._ended = True
            for one in (feeder, *workers):
                one.cancel()
            await asyncio.gather(feeder, *workers, return_exceptions=True)
            self._client.close()
        self._release_all()
        await writer
        return self._outcome

    def _width(self) -> int:
        return 1 if self.failures >= BREAK else self.options.in_flight

    def _over(self) -> bool:
        return self._halted or self.stop.is_set() or time.monotonic() >= self._end

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
                self._pace_at = max(self._pace_at, time.monotonic() + taken.starts_in)
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
        self._outcome.more = True

    async def _read(self, taken: Taken | None, until: float) -> None:
        """Queues what was claimed."""
        for one in await asyncio.to_thread(taken.read) if taken and taken.claimed else ():
            self._queue(one, until)
        self._coming = 0
        self._moved.set()

    def _wanted(self) -> int:
        """How many to hold in memory: what is sent in a few seconds, and before the time is over."""
        if self.failures >= BREAK and not self._outcome.delivered:
            return 1
        pace = (self._outcome.delivered + self._outcome.passed_over) / max(0.05, time.monotonic() - self._began)
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
        if one.contact in self._failed:
            id_, at = self._failed[one.contact]
            if one.id != id_:
                self._settled.append(Settled(one.id, "released", after=max(0.0, at - time.monotonic())))
                return
            del self._failed[one.contact]
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
            if time.monotonic() > until:
                self._settled.append(Settled(one.id, "released"))
            elif one.contact in self._failed:
                self._settled.append(Settled(one.id, "released", after=self._left(one.contact)))
            else:
                found.append(one)
        return found

    def _left(self, contact: int) -> float:
        return max(0.0, self._failed[contact][1] - time.monotonic())

    async def _send(self, due: Sequence[Due]) -> None:
        for one in due:
            if one.message is None:
                self._nothing_to_send(one)
        by_id = {one.message.delivery: one for one in due if one.message is not None}
        if by_id:
            await self._send_all([cast("Message", one.message) for one in by_id.values()], by_id)

    async def _send_all(self, messages: Sequence[Message], by_id: dict[int, Due]) -> None:
        """Sends them; of several that are refused for good together each half is tried alone, down to the culprit."""
        try:
            exchanges = self._made(messages)
        except DestinationInvalid as error:
            exchanges = None
            verdicts = [Verdict("permanent", None, str(error))] * len(messages)
            await self._judge(messages, verdicts, by_id)
        if exchanges is None:
            return
        covered = {one.delivery for exchange in exchanges for one in exchange.messages}
        for one in messages:
            if one.delivery not in covered:
                self._nothing_to_send(by_id[one.delivery])
        for exchange in exchanges:
            if self._halted:
                for one in exchange.messages:
                    self._settled.append(Settled(one.delivery, "released"))
                continue
            await self._judge(exchange.messages, await self._exchange(exchange), by_id)

    def _made(self, messages: Sequence[Message]) -> list[Exchange]:
        if hasattr(self.kind, "write"):
            return [Exchange((), messages)]
        return cast("Destination", self.kind).exchanges(self.options, messages, self._now())

    async def _judge(self, messages: Sequence[Message], verdicts: Sequence[Verdict], by_id: dict[int, Due]) -> None:
        if len(messages) > 1 and all(one.kind == "permanent" and one.status != 207 for one in verdicts):
            half = len(messages) // 2
            await self._send_all(messages[:half], by_id)
            await self._send_all(messages[half:], by_id)
            return
        for message, verdict in zip(messages, verdicts, strict=True):
            self._note(by_id[message.delivery], verdict)

    async def _exchange(self, exchange: Exchange) -> Sequence[Verdict]:
        messages = exchange.messages
        try:
            if not exchange.requests:
                await self._paced()
                writer = cast("Writer", self.kind)
                return await asyncio.to_thread(writer.write, self.options, messages, self._now())
            verdicts: Sequence[Verdict] = [DELIVERED] * len(messages)
            for request in exchange.requests:
                await self._paced()
                answer = await self._client.send(request)
                verdicts = cast("Destination", self.kind).judged(answer, messages, self._now())
                if any(one.kind != "delivered" for one in verdicts):
                    break
            return verdicts
        except SendFailed as error:
            return [Verdict("temporary", None, str(error))] * len(messages)
        except AddressRefused as error:
            return [Verdict("refused", None, str(error))] * len(messages)
        except DestinationInvalid as error:
            return [Verdict("refused", None, str(error))] * len(messages)

    async def _paced(self) -> None:
        """Waits for the next moment that the destination's own limit allows."""
        if not self.options.rate:
            return
        at = max(time.monotonic(), self._pace_at)
        self._pace_at = at + 1 / self.options.rate
        await asyncio.sleep(max(0.0, at - time.monotonic()))

    def _now(self) -> datetime:
        return datetime.now(UTC) + self.shift

    # ── outcomes ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _nothing_to_send(self, due: Due) -> None:
        """It is settled, and the destination has not been asked."""
        self._outcome.passed_over += 1
        self._settled.append(Settled(due.id, "delivered", sent=due.sent, contact=due.contact))

    def _note(self, due: Due, verdict: Verdict) -> None:
        outcome = self._outcome
        if verdict.kind == "delivered":
            outcome.delivered += 1
            outcome.failures = 0
            self._settled.append(Settled(due.id, "delivered", verdict.status, sent=due.sent, contact=due.contact))
        elif verdict.kind == "permanent":
            outcome.dead += 1
            outcome.failures = 0  # it answers, and takes what it can
            self._settled.append(Settled(due.id, "dead", verdict.status, verdict.error))
        elif verdict.kind == "temporary":
            self._failing(due, verdict)
        else:
            outcome.error = verdict.error
            if verdict.kind == "refused":
                outcome.refused = verdict.error
            else:
                outcome.failures += 1
                outcome.wait = verdict.after or backoff(outcome.failures, self.chance)
            self._put_off(due, "released", verdict, 0.0)
            self._halt()

    def _failing(self, due: Due, verdict: Verdict) -> None:
        outcome = self._outcome
        outcome.failed += 1
        outcome.failures += 1
        outcome.error = verdict.error
        after = verdict.after or backoff(due.attempts + 1, self.chance)
        long = timedelta(days=self.options.retry_days)
        if due.failing_since is not None and self._now() - due.failing_since > long and not self.failures:
            outcome.dead += 1
            self._settled.append(Settled(due.id, "dead", verdict.status, verdict.error))
        else:
            self._put_off(due, "failed", verdict, after)
        if outcome.failures >= BREAK:
            outcome.wait = verdict.after or backoff(outcome.failures - BREAK + 1, self.chance)
            self._halt()

    def _put_off(self, due: Due, state: str, verdict: Verdict, after: float) -> None:
        """This one is due again later, and those of its contact behind it are not before it."""
        self._settled.append(Settled(due.id, state, verdict.status, verdict.error, after))
        if due.contact is not None:
            self._failed[due.contact] = (due.id, time.monotonic() + after)

    def _halt(self) -> None:
        self._halted = True
        self._moved.set()

    def _release_all(self) -> None:
        for lane in self._lanes.values():
            for one, _ in lane:
                after = self._left(one.contact) if one.contact in self._failed else 0.0
                self._settled.append(Settled(one.id, "released", after=after))
        self._lanes.clear()

    async def _write_down(self) -> None:
        while self._settled or not self._ended:
            if self._settled:
                some, self._settled = self._settled[:MOST], self._settled[MOST:]
                await asyncio.to_thread(self.settle, some)
            if len(self._settled) < FLUSH and not self._ended:
                await asyncio.sleep(0.05)
