"""The arithmetic of a rate limit, and that waiting threads keep to it: on a clock that only sleeping moves."""

import threading
import time
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import WorkStopped
from tidegate.stripe_api import pace
from tidegate.stripe_api.lanes import CONNECTION, PacedBudget
from tidegate.stripe_api.limits import LocalBudget, OwnLimits
from tidegate.stripe_api.pace import Slots

LIST = "GET /v1/invoices"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Slow(OwnLimits):
    """Limits whose first reservation waits to be let go; remembers how much each took."""

    def __init__(self, let_go: threading.Event) -> None:
        super().__init__(time.monotonic)
        self.let_go = let_go
        self.reserved: list[int] = []

    def reserve(self, row: str, ceiling: float, count: int, *, interactive: bool) -> Slots:
        self.reserved.append(count)
        self.let_go.wait(20)
        return super().reserve(row, ceiling, count, interactive=interactive)


def local(per_second: float | None, endpoint_per_second: float | None) -> tuple[LocalBudget, Clock]:
    clock = Clock()
    return LocalBudget(per_second, endpoint_per_second, clock=clock, sleep=clock.sleep), clock


@given(
    draws=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 20)), min_size=1, max_size=30),
    ceiling=st.floats(0.5, 500),
)
def test_reserved_moments_are_at_least_one_step_apart(draws: list[tuple[float, int]], ceiling: float) -> None:
    now, moments = 50.0, list[float]()
    state = pace.untouched(ceiling, now)
    for later, count in draws:
        now += later
        state, slots = pace.reserve(state, now, count)
        assert slots.first_in >= -pace.LATE - 1e-9
        moments += [now + slots.first_in + place * slots.step for place in range(count)]
    assert all(after - before >= 1 / ceiling - 1e-9 for before, after in pairwise(moments))


@given(st.lists(st.tuples(st.floats(0, 20), st.booleans(), st.floats(0, 5)), max_size=40), st.floats(0.2, 200))
def test_the_rate_stays_between_floor_and_ceiling(steps: list[tuple[float, bool, float]], ceiling: float) -> None:
    now = 0.0
    state = pace.untouched(ceiling, now)
    for later, limited, retry_after in steps:
        now += later
        if limited:
            state = pace.slow(state, now, retry_after)
        assert min(pace.FLOOR, ceiling) <= pace.rate(state, now) <= ceiling


def test_a_429_slows_and_quiet_gives_back() -> None:
    state = pace.slow(pace.untouched(100, 0), 0, retry_after=2)
    assert [pace.rate(state, now) for now in (0, 2, 4, 6, 7, 100)] == pytest.approx([75, 75, 85, 95, 100, 100])
    assert pace.reserve(state, 0.5, 1)[1].first_in == 1.5, "silent until Retry-After"


def test_the_429s_of_one_burst_slow_once() -> None:
    state = pace.slow(pace.untouched(100, 0), 0, 0)
    again = pace.slow(state, 0.3, 1)
    assert again == replace(state, paused_until=1.3)
    assert pace.rate(pace.slow(again, 0.8, 0), 0.8) == pytest.approx(0.75 * (75 + 4))


def test_a_retry_after_beyond_reason_is_cut() -> None:
    assert pace.slow(pace.untouched(100, 0), 0, 1e9).paused_until == pace.LONGEST_PAUSE


def test_interactive_calls_have_a_tenth_and_the_sum_stays_within_the_rate() -> None:
    state, _ = pace.reserve(pace.untouched(10, 0), 0, 50)
    moments = []
    for _ in range(3):
        state, slots = pace.reserve_interactive(state, 0)
        moments.append(slots.first_in)
    assert moments == pytest.approx([0, 1, 2])
    assert pace.reserve(state, 0, 1)[1].first_in == pytest.approx(5.3)


def test_interactive_calls_of_an_idle_connection_soon_go_in_step() -> None:
    state, first = pace.reserve_interactive(pace.untouched(10, 0), 0)
    state, second = pace.reserve_interactive(state, 0)
    _, third = pace.reserve_interactive(state, 0)
    assert [slots.first_in for slots in (first, second, third)] == pytest.approx([0, 0, 0.2])


@pytest.mark.parametrize(
    ("per_second", "endpoint_per_second", "rate"),
    [(100, 25, 25), (20, 50, 20), (40, None, 40), (None, 40, 40), (0, -1, None), (0.5, 0.5, 0.5)],
)
def test_a_request_needs_both_slots(
    per_second: float | None, endpoint_per_second: float | None, rate: float | None
) -> None:
    budget, clock = local(per_second, endpoint_per_second)
    waited = sum(budget.acquire(LIST) for _ in range(11))
    assert waited == pytest.approx(clock.now - 1000)
    assert waited == pytest.approx(10 / rate if rate else 0, rel=0.01)


def test_endpoints_share_the_connection() -> None:
    budget, clock = local(40, 25)
    for _ in range(20):
        budget.acquire(LIST)
        budget.acquire("GET /v1/customers")
    assert clock.now - 1000 == pytest.approx(39 / 40, rel=0.01)


def test_the_connection_is_asked_only_when_the_endpoint_s_slot_has_come() -> None:
    clock, asked = Clock(), list[tuple[str, float]]()

    class Watched(OwnLimits):
        def reserve(self, row: str, ceiling: float, count: int, *, interactive: bool) -> Slots:
            asked.append((row, clock.now - 1000))
            return super().reserve(row, ceiling, count, interactive=interactive)

    budget = PacedBudget(Watched(clock), 100, 2, clock=clock, sleep=clock.sleep)
    budget.acquire(LIST)
    budget.acquire(LIST)
    assert asked == [(LIST, 0), (CONNECTION, 0), (LIST, 0), (CONNECTION, 0.5)]


def test_unused_time_is_not_made_up_by_a_burst() -> None:
    budget, clock = local(100, None)
    budget.acquire(LIST)
    clock.now += 60
    begun = clock.now
    for _ in range(21):
        budget.acquire(LIST)
    assert clock.now - begun == pytest.approx(0.2, abs=0.011)


def test_a_chunk_is_as_many_as_want_a_slot_at_most_50_ms_worth() -> None:
    """The keeper of the limit is slow: while one thread asks, the others gather."""
    gathered = threading.Event()
    limits = Slow(gathered)
    budget = PacedBudget(limits, 200, None)
    threads = [threading.Thread(target=budget.acquire, args=(LIST,)) for _ in range(25)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while budget._lane(CONNECTION).wanting < 25 and time.monotonic() < deadline:
        threading.Event().wait(0.001)
    gathered.set()
    for thread in threads:
        thread.join()
    assert limits.reserved == [1, 10, 10, 4]
    assert not budget._lane(CONNECTION).slots, "none was reserved in vain"


def test_a_keeper_that_fails_is_asked_again_by_the_next() -> None:
    clock = Clock()
    limits = OwnLimits(clock)
    budget = PacedBudget(limits, 10, None, clock=clock, sleep=clock.sleep)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "reserve", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            budget.acquire(LIST)
    assert budget._lane(CONNECTION).wanting == 0
    assert budget.acquire(LIST) == 0


def test_a_429_voids_what_was_reserved() -> None:
    budget, clock = local(100, 100)
    for _ in range(20):
        budget.acquire(LIST)
    noted = clock.now
    budget.note(LIST, 429, 3.0, "endpoint-rate")
    budget.acquire(LIST)
    assert clock.now >= noted + 3
    begun = clock.now
    budget.acquire("GET /v1/customers")
    assert clock.now - begun < 0.1, "another endpoint goes on"


@pytest.mark.parametrize(
    ("per_second", "endpoint_per_second", "reason", "list_waits", "other_waits"),
    [
        (10, 10, "global-rate", True, True),
        (10, 10, "global-concurrency", True, True),
        (10, 10, "endpoint-rate", True, False),
        (10, 10, "endpoint-concurrency", True, False),
        (10, 10, None, True, True),
        (10, 10, "something-new", True, True),
        (10, 10, "resource-specific", False, False),
        (10, None, "endpoint-rate", True, True),
        (None, 10, "global-rate", True, False),
        (None, None, "global-rate", False, False),
    ],
)
def test_the_reason_of_a_429_says_who_waits(
    per_second: float | None, endpoint_per_second: float | None, reason: str | None, list_waits: bool, other_waits: bool
) -> None:
    budget, _ = local(per_second, endpoint_per_second)
    budget.note(LIST, 429, 5.0, reason)
    assert (budget.acquire("GET /v1/customers") >= 5) is other_waits
    budget, _ = local(per_second, endpoint_per_second)
    budget.note(LIST, 429, 5.0, reason)
    assert (budget.acquire(LIST) >= 5) is list_waits


@pytest.mark.parametrize("status", [200, 400, 409, 500, 503])
def test_only_429_slows(status: int) -> None:
    budget, clock = local(10, 10)
    budget.note(LIST, status, 60.0, None)
    budget.acquire(LIST)
    assert clock.now == 1000


def test_a_429_while_threads_wait_sends_them_back_to_the_queue() -> None:
    clock = Clock()
    budget = LocalBudget(None, 10, clock=clock, sleep=lambda seconds: waits.append(seconds) or on_sleep(seconds))
    waits: list[float] = []

    def on_sleep(seconds: float) -> None:
        if len(waits) == 1:
            budget.note(LIST, 429, 30.0, "endpoint-rate")
        clock.sleep(seconds)

    budget.acquire(LIST)
    assert budget.acquire(LIST) >= 30


def test_many_threads_lose_no_slot() -> None:
    """Real threads, real clock: 16 of them use up 400 a second."""
    budget = LocalBudget(400, 400)
    moments, begin = list[float](), threading.Barrier(16)

    def draw() -> None:
        begin.wait()
        for _ in range(10):
            budget.acquire(LIST)
            moments.append(budget._clock())

    threads = [threading.Thread(target=draw) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(moments) == 160
    assert max(moments) - min(moments) == pytest.approx(159 / 400, rel=0.08)


def test_a_moment_that_has_just_passed_is_still_taken() -> None:
    state, _ = pace.reserve(pace.untouched(10, now=50.0), 50.0, 1)
    _, slots = pace.reserve(state, 50.15, 1)
    assert slots.first_in == pytest.approx(-0.05)
    _, slots = pace.reserve(state, 50.25, 1)
    assert slots.first_in == 0, "but not one from longer ago"


def test_a_wait_for_a_slot_ends_when_asked_and_what_needs_no_wait_goes() -> None:
    stop = threading.Event()
    stop.set()
    budget = LocalBudget(0.001, None)
    assert budget.acquire(LIST, stop=stop) < 1
    with pytest.raises(WorkStopped, match=LIST):
        budget.acquire(LIST, stop=stop)
