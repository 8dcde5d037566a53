"""The shared budget on PostgreSQL: its SQL agrees with `pace`, and processes share one rate without bursts."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from tidegate.errors import DatabaseUnreachable
from tidegate.stripe_api.limits import LocalBudget, SharedBudget
from tidegate.stripe_api.shared_limits import SharedLimits

SOURCE = Path(__file__).parents[2] / "src"
LIST = "GET /v1/invoices"

DRAW = """
import sys, threading, time
sys.path.insert(0, {source!r})
from sqlalchemy import create_engine
from tidegate.stripe_api.limits import SharedBudget

budget = SharedBudget(create_engine({url!r}, pool_size=2), "acme", 200, 200)
print("ready", flush=True)
begin = float(sys.stdin.readline())
sent = []

def draw():
    while time.time() < begin:
        time.sleep(max(0, begin - time.time()))
    while time.time() < begin + 2:
        budget.acquire({endpoint!r})
        sent.append(time.time())

threads = [threading.Thread(target=draw) for _ in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(*sent)
"""


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A small pool on a database in which nobody has drawn yet."""
    url = database_url.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url, pool_size=2, max_overflow=0)
    with engine.begin() as connection:
        connection.execute(text("truncate tidegate.rate_budget"))
    yield engine
    engine.dispose()


def row_of(engine: Engine, endpoint: str) -> dict[str, float]:
    with engine.connect() as connection:
        row = connection.execute(
            text(
                """select ceiling, slowed_to, extract(epoch from paused_until - clock_timestamp())::float8 as paused,
                extract(epoch from tat - clock_timestamp())::float8 as ahead
                from tidegate.rate_budget where endpoint = :endpoint"""
            ),
            {"endpoint": endpoint},
        ).one()
    return dict(row._mapping)


@pytest.mark.wide
def test_two_processes_share_one_rate_evenly_and_use_it_up(engine: Engine) -> None:
    script = DRAW.format(source=str(SOURCE), url=engine.url.render_as_string(hide_password=False), endpoint=LIST)
    processes = [
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    begin = time.time() + 0.05
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{begin}\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=30)[0] for process in processes]
    each = [[float(moment) for moment in output.split()] for output in outputs]
    sent = sorted(moment for moments in each for moment in moments)
    assert all(len(moments) > 100 for moments in each), "both processes get a share"
    assert most_in_a_second(sent) <= 220
    rate = (len(sent) - 1) / (sent[-1] - sent[0])
    assert 0.97 * 200 <= rate <= 1.03 * 200


def most_in_a_second(sent: list[float]) -> int:
    """The most moments that any window of one second holds."""
    most, oldest = 0, 0
    for newest, moment in enumerate(sent):
        while sent[oldest] <= moment - 1:
            oldest += 1
        most = max(most, newest - oldest + 1)
    return most


def test_the_table_is_unlogged(engine: Engine) -> None:
    """A reservation is worth no disk write; which columns it has is compared where the migrations are tested."""
    with engine.connect() as connection:
        kind = connection.scalar(
            text("select relpersistence from pg_class where oid = 'tidegate.rate_budget'::regclass")
        )
    assert kind == "u"


def test_reservations_follow_each_other_by_one_step(engine: Engine) -> None:
    limits = SharedLimits(engine, "acme")
    begun = time.monotonic()
    firsts = []
    for _ in range(5):
        slots = limits.reserve(LIST, 10.0, 4, interactive=False)
        assert slots.step == pytest.approx(0.1)
        firsts.append(time.monotonic() - begun + slots.first_in)
    assert [later - earlier for earlier, later in pairwise(firsts)] == pytest.approx([0.4] * 4, abs=0.05)


def test_an_interactive_call_overtakes_the_background_and_pushes_it_back(engine: Engine) -> None:
    limits = SharedLimits(engine, "acme")
    limits.reserve(LIST, 10.0, 100, interactive=False)
    before = row_of(engine, LIST)["ahead"] + time.monotonic()
    first = limits.reserve(LIST, 10.0, 1, interactive=True)
    second = limits.reserve(LIST, 10.0, 1, interactive=True)
    assert first.first_in < 0.1
    assert second.first_in == pytest.approx(1.0, abs=0.1), "a tenth of 10 a second"
    assert row_of(engine, LIST)["ahead"] + time.monotonic() == pytest.approx(before + 0.2, abs=0.05)


def test_an_idle_limit_lets_interactive_calls_pass(engine: Engine) -> None:
    limits = SharedLimits(engine, "acme")
    assert limits.reserve(LIST, 10.0, 1, interactive=True).first_in < 0.05
    assert limits.reserve(LIST, 10.0, 1, interactive=True).first_in < 0.15


def test_a_429_slows_once_per_burst_pauses_everybody_and_recovers(engine: Engine) -> None:
    mine, others = SharedLimits(engine, "acme"), SharedLimits(engine, "acme")
    mine.reserve(LIST, 100.0, 1, interactive=False)
    assert mine.slow(LIST, 100.0, 2.0) is True
    assert [others.slow(LIST, 100.0, 2.0) for _ in range(5)] == [False] * 5
    slots = others.reserve(LIST, 100.0, 1, interactive=False)
    assert slots.first_in == pytest.approx(2.0, abs=0.1)
    assert slots.step == pytest.approx(1 / 75)
    with engine.begin() as connection:
        connection.execute(text("update tidegate.rate_budget set slowed_at = now() - interval '2 seconds'"))
    assert mine.reserve(LIST, 100.0, 1, interactive=False).step == pytest.approx(1 / 85, rel=0.02)
    with engine.begin() as connection:
        connection.execute(text("update tidegate.rate_budget set slowed_at = now() - interval '1 hour'"))
    assert mine.reserve(LIST, 100.0, 1, interactive=False).step == pytest.approx(1 / 100)


def test_slowing_stops_at_one_a_second(engine: Engine) -> None:
    limits = SharedLimits(engine, "acme")
    for _ in range(30):
        limits.slow(LIST, 25.0, 0.0)
        with engine.begin() as connection:
            connection.execute(text("update tidegate.rate_budget set slowed_at = now() - interval '0.501 seconds'"))
    assert row_of(engine, LIST)["slowed_to"] == pytest.approx(1.6, abs=0.7)
    assert row_of(engine, LIST)["slowed_to"] >= 1.0


@pytest.mark.parametrize(
    ("reason", "slowed"),
    [
        (None, {LIST, ""}),
        ("global-rate", {""}),
        ("global-concurrency", {""}),
        ("endpoint-rate", {LIST}),
        ("endpoint-concurrency", {LIST}),
        ("resource-specific", set()),
    ],
)
def test_the_reason_of_a_429_says_which_limit_slows(engine: Engine, reason: str | None, slowed: set[str]) -> None:
    budget = SharedBudget(engine, "acme", 100, 25)
    budget.acquire(LIST)
    budget.note(LIST, 429, None, reason)
    assert {row for row in (LIST, "") if row_of(engine, row)["slowed_to"] < row_of(engine, row)["ceiling"]} == slowed


def test_another_connection_has_a_budget_of_its_own(engine: Engine) -> None:
    SharedLimits(engine, "acme").reserve(LIST, 1.0, 60, interactive=False)
    assert SharedLimits(engine, "globex").reserve(LIST, 1.0, 1, interactive=False).first_in < 0.05


def test_a_new_ceiling_holds_for_everybody_and_an_emptied_table_is_filled_again(engine: Engine) -> None:
    limits = SharedLimits(engine, "acme")
    limits.reserve(LIST, 10.0, 1, interactive=False)
    SharedLimits(engine, "acme").reserve(LIST, 50.0, 1, interactive=False)
    assert limits.reserve(LIST, 10.0, 1, interactive=False).step == pytest.approx(1 / 50)
    with engine.begin() as connection:
        connection.execute(text("truncate tidegate.rate_budget"))
    assert limits.reserve(LIST, 10.0, 1, interactive=False).step == pytest.approx(1 / 10)


def test_no_database_connection_is_held_while_waiting(engine: Engine) -> None:
    checked_out: list[int] = []
    asleep = threading.Event()

    def sleep(seconds: float) -> None:
        checked_out.append(engine.pool.checkedout())  # type: ignore[attr-defined]
        asleep.set()

    budget = SharedBudget(engine, "acme", 2, 2, sleep=sleep)
    for _ in range(3):
        budget.acquire(LIST)
    assert asleep.is_set()
    assert set(checked_out) == {0}


def test_unlimited_asks_no_database() -> None:
    nowhere = create_engine("postgresql+psycopg://nobody:secret@127.0.0.1:1/none")
    for unlimited in (None, 0.0, -1.0):
        budget = SharedBudget(nowhere, "acme", unlimited, unlimited)
        assert budget.acquire(LIST) == 0
        budget.note(LIST, 429, 1.0, "global-rate")


def test_a_database_that_is_down_is_named_without_its_password() -> None:
    budget = SharedBudget(create_engine("postgresql+psycopg://nobody:secret@127.0.0.1:1/none"), "acme", 10, 10)
    with pytest.raises(DatabaseUnreachable) as caught:
        budget.acquire(LIST)
    assert "127.0.0.1:1" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_lost_database_connection_is_replaced(engine: Engine) -> None:
    limits = SharedLimits(engine, "acme")
    limits.reserve(LIST, 10.0, 1, interactive=False)
    killer = create_engine(engine.url)
    with killer.connect() as other:
        other.execute(
            text("""select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()""")
        )
    killer.dispose()
    assert limits.reserve(LIST, 10.0, 1, interactive=False).step == pytest.approx(0.1)


def test_local_budget_agrees_with_the_shared_one(engine: Engine) -> None:
    """The same draws take the same time, whichever keeps the pace."""
    took = []
    for budget in (LocalBudget(100, 50), SharedBudget(engine, "acme", 100, 50)):
        begun = time.monotonic()
        for _ in range(10):
            budget.acquire(LIST)
        took.append(time.monotonic() - begun)
    assert took == pytest.approx([9 / 50] * 2, abs=0.06)
