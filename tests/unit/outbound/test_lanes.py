"""Lanes: side by side, of one lane in turn, never more than there is room for, and an orderly end."""

import threading
from collections import defaultdict
from collections.abc import Iterator

import pytest
from tests.support.waiting import until

from tidegate.outbound.push.lanes import Lanes

Work = tuple[str, int]


def lane(one: Work) -> str:
    return one[0]


def test_of_one_lane_one_after_the_other_in_the_order_given() -> None:
    busy: dict[str, int] = defaultdict(int)
    most: dict[str, int] = defaultdict(int)
    seen: dict[str, list[int]] = defaultdict(list)
    lock = threading.Lock()

    def do(one: Work) -> None:
        with lock:
            busy[one[0]] += 1
            most[one[0]] = max(most[one[0]], busy[one[0]])
        seen[one[0]].append(one[1])
        with lock:
            busy[one[0]] -= 1

    work = [(f"lane {n % 7}", n) for n in range(2_000)]
    Lanes(do, lane, workers=16, room=64).run(work)
    assert set(most.values()) == {1}
    assert {name: sorted(done) for name, done in seen.items()} == dict(seen)
    assert sum(len(done) for done in seen.values()) == 2_000


def test_many_lanes_are_worked_on_at_once_and_no_more_than_there_are_workers() -> None:
    together = threading.Barrier(8)  # passes only when eight are at work at the same time
    running, most, lock = 0, 0, threading.Lock()

    def do(_: Work) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(timeout=20)
        with lock:
            running -= 1

    Lanes(do, lane, workers=8, room=64).run([(str(n), n) for n in range(32)])
    assert most == 8


def test_one_long_lane_keeps_no_other_out() -> None:
    others = threading.Event()

    def do(one: Work) -> None:
        if one[0] == "other":
            others.set()
        else:
            assert others.wait(20), "the other lane was to be worked on meanwhile"

    Lanes(do, lane, workers=2, room=100).run([*(("long", n) for n in range(50)), ("other", 0)])


def test_no_more_is_taken_in_than_there_is_room_for() -> None:
    taken, go = 0, threading.Event()

    def work() -> Iterator[Work]:
        nonlocal taken
        for n in range(50):
            taken = n + 1
            yield str(n), n

    def do(_: Work) -> None:
        assert go.wait(20)

    running = threading.Thread(target=lambda: Lanes(do, lane, workers=2, room=10).run(work()))
    running.start()
    until(lambda: taken == 11, "ten are taken in, and the eleventh is waited with")
    go.set()
    running.join(20)
    assert taken == 50


def test_the_first_failure_is_raised_and_what_had_not_begun_is_not() -> None:
    done: list[int] = []

    def do(one: Work) -> None:
        if one[1] == 3:
            raise OSError("no")
        done.append(one[1])

    with pytest.raises(OSError, match="no"):
        Lanes(do, lane, workers=1, room=4).run([("one", n) for n in range(100)])
    assert done == [0, 1, 2]


def test_an_exception_that_is_none_of_a_request_is_raised_too() -> None:
    def do(_: Work) -> None:
        raise SystemExit(1)

    with pytest.raises(SystemExit):
        Lanes(do, lane, workers=4, room=4).run([("one", 1)])


def test_stopped_what_has_begun_ends_and_nothing_else_begins() -> None:
    stop, begun, go = threading.Event(), threading.Event(), threading.Event()
    done: list[int] = []

    def do(one: Work) -> None:
        begun.set()
        assert go.wait(20)
        done.append(one[1])

    lanes = Lanes(do, lane, workers=1, room=4)
    running = threading.Thread(target=lambda: lanes.run([("one", n) for n in range(100)], stop.is_set))
    running.start()
    assert begun.wait(20)
    stop.set()
    go.set()
    running.join(20)
    assert done == [0]


def test_where_the_work_itself_fails_nothing_else_begins() -> None:
    begun, done = threading.Event(), list[int]()

    def work() -> Iterator[Work]:
        for n in range(10):
            yield "one", n
        assert begun.wait(20)
        raise OSError("the database is gone")

    def do(one: Work) -> None:
        begun.set()
        until(lanes._over.is_set, "the end is known")  # pyright: ignore[reportPrivateUsage]
        done.append(one[1])

    lanes = Lanes(do, lane, workers=1, room=20)
    with pytest.raises(OSError, match="gone"):
        lanes.run(work())
    assert done == [0]
