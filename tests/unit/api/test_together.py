"""Work of many requests done together by one thread: order, refusals, errors, the end."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tidegate.api.recent import Recent
from tidegate.api.together import BATCH, MOST_WAITING, Together
from tidegate.errors import ContactUnknown, HubBusy

Story = Callable[[Together[int]], Any]


def played(work: Callable[[Sequence[int]], Sequence[Any]], story: Story) -> Any:
    together = Together[int]("test", work)
    together.start()
    try:
        return asyncio.run(story(together))
    finally:
        together.stop()


async def all_of(together: Together[int], asks: Sequence[int]) -> list[Any]:
    return await asyncio.gather(*(together.do(ask) for ask in asks), return_exceptions=True)


def test_what_waits_is_done_together_and_in_order() -> None:
    begun, go_on = threading.Event(), threading.Event()
    batches: list[list[int]] = []

    def work(asks: Sequence[int]) -> list[int]:
        batches.append(list(asks))
        begun.set()
        assert go_on.wait(20)
        return [10 * ask for ask in asks]

    async def story(together: Together[int]) -> list[int]:
        first = asyncio.create_task(together.do(0))
        await asyncio.to_thread(begun.wait, 20)
        rest = asyncio.create_task(all_of(together, range(1, BATCH + 3)))
        await asyncio.sleep(0)
        go_on.set()
        return [await first, *await rest]

    assert played(work, story) == [10 * n for n in range(BATCH + 3)]
    assert batches == [[0], list(range(1, BATCH + 1)), [BATCH + 1, BATCH + 2]]


def test_an_error_among_the_outcomes_is_raised_to_whoever_asked() -> None:
    def work(asks: Sequence[int]) -> list[Any]:
        return [ContactUnknown(contact="x") if ask % 2 else ask for ask in asks]

    found = played(work, lambda together: all_of(together, range(4)))
    assert [one if isinstance(one, int) else type(one) for one in found] == [0, ContactUnknown, 2, ContactUnknown]
    assert found[1] is not found[3]


def test_when_the_work_fails_everybody_hears_and_the_next_is_done() -> None:
    failing = True

    def work(asks: Sequence[int]) -> list[int]:
        if failing:
            raise OSError("the database is away")
        return list(asks)

    async def story(together: Together[int]) -> None:
        nonlocal failing
        assert [type(one) for one in await all_of(together, [1, 2, 3])] == [OSError] * 3
        failing = False
        assert await all_of(together, [1, 2]) == [1, 2]

    played(work, story)


def test_too_many_are_refused_and_so_is_everybody_at_the_end() -> None:
    go_on = threading.Event()

    def work(asks: Sequence[int]) -> list[int]:
        assert go_on.wait(20)
        return list(asks)

    async def story(together: Together[int]) -> None:
        tasks = [asyncio.create_task(together.do(n)) for n in range(MOST_WAITING + BATCH + 5)]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert all(isinstance(one.exception(), HubBusy) for one in done)
        go_on.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(together.stop)
        with pytest.raises(HubBusy, match="stopping"):
            await together.do(1)

    played(work, story)


def test_a_caller_that_hung_up_is_no_trouble() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(asks: Sequence[int]) -> list[int]:
        begun.set()
        assert go_on.wait(20)
        return list(asks)

    async def story(together: Together[int]) -> int:
        gone = asyncio.create_task(together.do(1))
        await asyncio.to_thread(begun.wait, 20)
        gone.cancel()
        go_on.set()
        return await together.do(2)

    assert played(work, story) == 2


def test_what_was_looked_up_lately_is_kept_so_long_and_no_longer() -> None:
    now = 100.0
    recent: Recent[str, int] = Recent(5, clock=lambda: now)
    recent.put("a", 1, recent.now() - 2)
    assert (recent.get("a"), recent.get("b")) == (1, None)
    now = 102.99
    assert recent.get("a") == 1
    now = 103.0
    assert recent.get("a") is None
