"""Outcomes are written down together, again where others stood in the way, and nothing more once that fails."""

import threading
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from tidegate.workflows.outbound.sync_keeping import TOGETHER, Keeper

DEADLOCK = "do $$ begin raise sqlstate '40P01' using message = 'deadlock detected'; end $$"


class Kept:
    """What was kept, in which company; a statement may fail a transaction for its first times."""

    def __init__(self, engine: Engine, fails: str = "", times: int = 0) -> None:
        self.engine, self.fails, self.left = engine, fails, times
        self.together: list[list[int]] = []
        self.tries = 0
        self.over = threading.Event()

    def keep(self, db: Connection, some: Sequence[int]) -> None:
        self.tries += 1
        if self.left:
            self.left -= 1
            db.execute(text(self.fails))
        db.execute(text("select 1"))

    def kept(self, some: Sequence[int]) -> None:
        self.together.append(list(some))

    def keeper(self) -> Keeper[int]:
        return Keeper(self.engine, self.keep, self.kept, self.over.set)


def test_everything_is_kept_in_order_and_many_together(engine: Engine) -> None:
    kept = Kept(engine)
    with kept.keeper() as keeper:
        for n in range(1_000):
            keeper.put(n)
    assert [n for some in kept.together for n in some] == list(range(1_000))
    assert len(kept.together) < 1_000
    assert max(map(len, kept.together)) <= TOGETHER


def test_a_deadlock_is_tried_again_and_counted_once(engine: Engine) -> None:
    kept = Kept(engine, DEADLOCK, times=2)
    with kept.keeper() as keeper:
        keeper.put(1)
    assert (kept.together, kept.tries, kept.over.is_set()) == ([[1]], 3, False)


def test_a_failure_is_told_at_once_nothing_more_is_written_and_it_is_raised_at_the_end(engine: Engine) -> None:
    kept = Kept(engine, "select * from no_such_table", times=1)

    def work() -> None:
        with kept.keeper() as keeper:
            keeper.put(1)
            assert kept.over.wait(20), "whoever puts is told before the end"
            keeper.put(2)

    with pytest.raises(ProgrammingError, match="no_such_table"):
        work()
    assert (kept.together, kept.tries) == ([], 1)


def test_what_the_block_raises_itself_comes_first(engine: Engine) -> None:
    kept = Kept(engine, "select * from no_such_table", times=1)

    def work() -> None:
        with kept.keeper() as keeper:
            keeper.put(1)
            assert kept.over.wait(20)
            raise OSError("mine")

    with pytest.raises(OSError, match="mine"):
        work()


def test_who_is_told_of_what_was_kept_may_fail_too(engine: Engine) -> None:
    over = threading.Event()

    def told(_: Sequence[int]) -> None:
        raise OperationalError("a report", {}, Exception("the database is away"))

    def work() -> None:
        with Keeper(engine, Kept(engine).keep, told, over.set) as keeper:
            keeper.put(1)
            assert over.wait(20)

    with pytest.raises(DBAPIError, match="away"):
        work()
