"""Usage told to Stripe's meters by processes that are killed, wherever: the meter's total is what was used."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.support import killing
from tests.support.desk import Desk, opened
from tests.support.forwarding import Counting
from tests.support.killing import points
from tests.support.usage import FIELDS, counted, identifiers, now, ready, row
from tests.support.waiting import until

from tidegate.errors import SyncRunning
from tidegate.outbound import rows
from tidegate.outbound.rows import Row

PLACES = 12
"""A run is killed at so many of its steps; the soak kills at every one."""


@pytest.fixture
def desk(fresh_database_url: str, secret_key: str, tmp_path: Path) -> Iterator[Desk]:
    with opened(fresh_database_url, secret_key, tmp_path, as_of=now()) as desk:
        yield desk


def arguments(desk: Desk) -> dict[str, Any]:
    settings = desk.hub.settings
    return {"database_url": settings.database_url, "secret_key": settings.secret_key.get_secret_value()}


# Rows of a warehouse.


def prepared(desk: Desk, name: str) -> str:
    """A sync over four rows of usage, one of which was told before."""
    at = now() - 3600
    desk.table(name, row(1, calls=1, at=at))
    desk.sync(name, "meter_events", {}, FIELDS)
    with desk.hub.engine.begin() as db:
        rows.keep(db, name, 0, [Row("no row", 0, "gone")])
    desk.run(name)
    desk.table(name, row(1, calls=1, at=at), row(2, calls=20, at=at), row(3, "bo", 300, at), row(4, "bo", 4_000, at))
    return name


def run_again(desk: Desk, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        try:
            return desk.run(name)
        except SyncRunning:
            return None

    done = until(look, "the killed process's lock is let go of")
    assert done
    return done


def kill_syncs(desk: Desk, run: killing.Run, places: list[int] | None) -> None:
    ada, bo = ready(desk)
    steps = run("sync", **arguments(desk), sync=prepared(desk, "clean")).steps
    killed = 0
    for number, place in enumerate(places or range(1, steps + 1), 2):
        name = prepared(desk, f"u{place}")
        ended = run("sync", place, **arguments(desk), sync=name)
        where = f"killed at step {place} of {steps}: {ended.last}"
        killed += ended.killed
        done = run_again(desk, name)
        assert (done["state"], done["failed"]) == ("done", 0), where
        assert counted(desk.sandbox) == {ada: 21 * number, bo: 4_300 * number}, where
        told = identifiers(desk.sandbox)
        assert len(told) == len(set(told)) == 4 * number, where
        assert {state for key, (state, _) in desk.states(name).items() if key != "no row"} == {"sent"}, where
        assert desk.run(name)["sent"] == {}, where
        with desk.hub.engine.connect() as db:
            open_ = db.scalar(text("select count(*) from tidegate.requests where state in ('intended', 'unknown')"))
        assert open_ == 0, where
    assert killed >= number - 3, "the last places may lie behind the end"


@pytest.mark.timeout(300)
@pytest.mark.wide
def test_a_sync_of_usage_killed_anywhere_and_run_again_counts_each_row_once(desk: Desk, run: killing.Run) -> None:
    kill_syncs(desk, run, points(90, PLACES, seed=3))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_sync_of_usage_killed_at_every_step_counts_each_row_once(desk: Desk, run: killing.Run) -> None:
    kill_syncs(desk, run, None)


# What was consumed.


def kill_forwards(desk: Desk, run: killing.Run, count: int | None) -> None:
    counting = Counting(desk)
    task = {"name": "forward_usage", "arguments": {"connection": "acme"}}

    def consumed() -> int:
        """Four debits, one of which gives an event back that was told before."""
        counting.consume(7)
        counting.forward()
        for amount in (1, 20):
            counting.consume(amount)
        counting.use("release", 7)
        counting.consume(2)
        return 23

    total = consumed()
    steps = run("task", **arguments(desk), **task).steps
    assert counted(desk.sandbox) == {counting.ada: total}
    killed = 0
    places = points(steps, count, seed=5) if count else range(1, steps + 1)
    for place in places:
        total += consumed()
        ended = run("task", place, **arguments(desk), **task)
        where = f"killed at step {place} of {steps}: {ended.last}"
        killed += ended.killed

        def told() -> bool:
            counting.again()
            return counting.forward()["state"] == "done"

        until(told, "the killed process's lock is let go of")
        assert counted(desk.sandbox) == {counting.ada: total}, where
        events = identifiers(desk.sandbox)
        assert len(events) == len(set(events)), where
        assert counting.states().keys() <= {"sent", "taken_back"}, where
    assert killed >= len(list(places)) - 2
    assert total == sum(desk.sandbox.call(lambda: [float(one.value) for one in live(desk)]))


def live(desk: Desk) -> list[Any]:
    return [one for one in desk.sandbox.state.metering.known.values() if not one.canceled]


@pytest.mark.timeout(300)
@pytest.mark.wide
def test_a_worker_killed_while_it_tells_what_was_consumed_counts_each_debit_once(desk: Desk, run: killing.Run) -> None:
    kill_forwards(desk, run, PLACES)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_worker_killed_at_every_step_counts_each_debit_once(desk: Desk, run: killing.Run) -> None:
    kill_forwards(desk, run, None)
