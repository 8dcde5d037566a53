"""The committer: batches, answers after storing, bounds what waits, loses no ring."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from sqlalchemy.exc import OperationalError

from tidegate.api.committer import BATCH, Committer, Outcome
from tidegate.errors import EventRefused, InboxBusy
from tidegate.mirror.inbox import Entry

SECONDS = 10.0


def entry(number: int = 0, connection: str = "live", body: str = "{}") -> Entry:
    return Entry(connection, f"evt_{number}", "customer.updated", 1_700_000_000, "webhook", body)


@dataclass
class Shelf:
    """An inlet in memory; `gate` closed holds storing back, `fails` makes a call raise."""

    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    rang: threading.Event = field(default_factory=threading.Event)
    outcome: Callable[[Entry], Outcome] = lambda _entry: True
    fails: list[BaseException] = field(default_factory=list)
    ring_fails: list[BaseException] = field(default_factory=list)
    batches: list[list[Entry]] = field(default_factory=list)
    rings: list[str] = field(default_factory=list)
    closed: bool = False

    def keep(self, entries: Sequence[Entry]) -> list[Outcome]:
        self.entered.set()
        assert self.gate.wait(SECONDS)
        if self.fails:
            raise self.fails.pop()
        self.batches.append(list(entries))
        return [self.outcome(one) for one in entries]

    def ring(self, connection: str) -> None:
        if self.ring_fails:
            raise self.ring_fails.pop()
        self.rings.append(connection)
        self.rang.set()

    def close(self) -> None:
        self.closed = True


def open_shelf(**facts: object) -> Shelf:
    shelf = Shelf(**facts)  # pyright: ignore[reportArgumentType]
    shelf.gate.set()
    return shelf


def run(shelf: Shelf, use: Callable[[Committer], object], **bounds: float) -> object:
    committer = Committer(shelf, **bounds)  # pyright: ignore[reportArgumentType]
    committer.start()

    async def within() -> object:
        return await use(committer)  # pyright: ignore[reportGeneralTypeIssues]

    try:
        return asyncio.run(asyncio.wait_for(within(), SECONDS))
    finally:
        shelf.gate.set()
        committer.stop()
        assert shelf.closed


def test_what_waits_is_stored_together_and_each_is_answered() -> None:
    shelf = Shelf()

    async def use(committer: Committer) -> list[bool]:
        first = committer.offer(entry(0))
        await asyncio.to_thread(shelf.entered.wait, SECONDS)
        rest = [committer.offer(entry(n)) for n in range(1, BATCH + 11)]
        assert not first.done()
        shelf.gate.set()
        return await asyncio.gather(first, *rest)

    assert run(shelf, use) == [True] * (BATCH + 11)
    assert [len(batch) for batch in shelf.batches] == [1, BATCH, 10]


def test_each_event_has_its_own_outcome() -> None:
    refusal = EventRefused(connection="live", problem="no")
    outcomes: dict[str, Outcome] = {"evt_0": True, "evt_1": False, "evt_2": refusal}
    shelf = open_shelf(outcome=lambda one: outcomes[one.event_id])

    async def use(committer: Committer) -> list[object]:
        offers = [committer.offer(entry(n)) for n in range(3)]
        return list(await asyncio.gather(*offers, return_exceptions=True))

    assert run(shelf, use) == [True, False, refusal]


def test_a_failed_batch_is_told_and_the_next_one_is_stored() -> None:
    shelf = open_shelf(fails=[OSError("disk full")])

    async def use(committer: Committer) -> bool:
        with pytest.raises(InboxBusy):
            await committer.offer(entry(1))
        return await committer.offer(entry(1))

    assert run(shelf, use) is True


def test_batches_that_fail_alike_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    shelf = open_shelf(fails=[OperationalError("", {}, Exception("connection refused")) for _ in range(30)])

    async def use(committer: Committer) -> None:
        for n in range(30):
            with pytest.raises(InboxBusy):
                await committer.offer(entry(n))

    run(shelf, use, pause=0.0)
    assert [one.message for one in caplog.records] == ["could not store 1 webhook events: connection refused"]


@pytest.mark.parametrize("bounds", [{"most_waiting": 2}, {"most_bytes": 20}])
def test_more_than_the_bound_is_refused(bounds: dict[str, int]) -> None:
    shelf = Shelf()

    async def use(committer: Committer) -> int:
        offers = [committer.offer(entry(0))]
        await asyncio.to_thread(shelf.entered.wait, SECONDS)
        offers += [committer.offer(entry(n, body="x" * 10)) for n in (1, 2)]
        with pytest.raises(InboxBusy, match="2 events wait"):
            committer.offer(entry(3))
        shelf.gate.set()
        return sum(await asyncio.gather(*offers))

    assert run(shelf, use, **bounds) == 3


def test_a_failed_ring_is_tried_again() -> None:
    shelf = open_shelf(ring_fails=[OSError("gone")])

    async def use(committer: Committer) -> bool:
        await committer.offer(entry())
        return await asyncio.to_thread(shelf.rang.wait, SECONDS)

    assert run(shelf, use) is True
    assert shelf.rings == ["live"]


def test_stopping_stores_what_waits_and_rings_for_it() -> None:
    shelf = Shelf()
    committer = Committer(shelf)
    committer.start()

    async def use() -> list[bool]:
        offers = [committer.offer(entry(0))]
        await asyncio.to_thread(shelf.entered.wait, SECONDS)
        offers += [committer.offer(entry(n, connection="other")) for n in range(1, 4)]
        stopping = asyncio.create_task(asyncio.to_thread(committer.stop))
        shelf.gate.set()
        answers = await asyncio.gather(*offers)
        await stopping
        with pytest.raises(InboxBusy, match="stopping"):
            committer.offer(entry(9))
        return answers

    assert asyncio.run(asyncio.wait_for(use(), SECONDS)) == [True] * 4
    assert sorted(set(shelf.rings)) == ["live", "other"]


def test_a_sender_that_hung_up_disturbs_nobody() -> None:
    shelf = Shelf()

    async def use(committer: Committer) -> bool:
        gone = committer.offer(entry(0))
        await asyncio.to_thread(shelf.entered.wait, SECONDS)
        gone.cancel()
        stays = committer.offer(entry(1))
        shelf.gate.set()
        return await stays

    assert run(shelf, use) is True


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_when_its_thread_ends_nobody_waits_for_ever() -> None:
    """Those whose events are being stored, those behind them and those that come later are all told."""
    shelf = Shelf(fails=[SystemExit()])  # pyright: ignore[reportArgumentType]
    committer = Committer(shelf)
    committer.start()

    async def use() -> list[object]:
        offers = [committer.offer(entry(0))]
        await asyncio.to_thread(shelf.entered.wait, SECONDS)
        offers += [committer.offer(entry(n)) for n in (1, 2)]
        shelf.gate.set()
        answers = await asyncio.gather(*offers, return_exceptions=True)
        with pytest.raises(InboxBusy):
            committer.offer(entry(3))
        return list(answers)

    answers = asyncio.run(asyncio.wait_for(use(), SECONDS))
    assert [type(one) for one in answers] == [InboxBusy] * 3
    committer.stop()
    assert shelf.closed


def test_without_its_thread_nothing_is_taken() -> None:
    committer = Committer(open_shelf())

    async def use() -> None:
        with pytest.raises(InboxBusy, match="restart"):
            committer.offer(entry())

    asyncio.run(use())


def test_between_two_commits_events_gather_until_a_batch_is_full() -> None:
    shelf = open_shelf()

    async def use(committer: Committer) -> None:
        await committer.offer(entry(0))
        offers = [committer.offer(entry(n)) for n in range(1, BATCH)]
        assert len(shelf.batches) == 1
        offers.append(committer.offer(entry(BATCH)))
        await asyncio.gather(*offers)

    run(shelf, use, pause=60)
    assert [len(batch) for batch in shelf.batches] == [1, BATCH]


def test_the_end_waits_for_no_pause() -> None:
    shelf = open_shelf()
    committer = Committer(shelf, pause=60)
    committer.start()

    async def use() -> None:
        await committer.offer(entry(0))
        answer = committer.offer(entry(1))
        await asyncio.to_thread(committer.stop)
        assert await answer

    asyncio.run(asyncio.wait_for(use(), SECONDS))
