"""When the processes of a plan come up, and when what differs is worth them."""

from concurrent.futures import Future
from typing import Any

import pytest
from sqlalchemy import create_engine

from tidegate.outbound import specs
from tidegate.outbound.staging import Counts
from tidegate.workflows.outbound import processes
from tidegate.workflows.outbound.deciding_beside import DIFFER, DIFFER_AT_HAND, READ, Beside

USAGE = {"event_name": {"value": "calls"}, "customer": {"email": "owner"}, "value": "calls", "timestamp": "at"}
SPEC = {"key": "many", "model": "rows", "match": {"email": "email"}, "fields": {"name": "name"}}


class Pool:
    """Processes that come up when a test says so."""

    def __init__(self) -> None:
        self.asked: list[Future[None]] = []
        self.ended: list[bool] = []

    def submit(self, *_: Any) -> Future[None]:
        self.asked.append(Future())
        return self.asked[-1]

    def shutdown(self, *, wait: bool, cancel_futures: bool) -> None:
        assert cancel_futures
        self.ended.append(wait)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    found = Pool()
    monkeypatch.setattr(processes, "processors", lambda: 2)
    monkeypatch.setattr(processes, "pool", lambda *_: found)
    return found


def a_plan(differed: int | None, resource: str = "customers", **more: Any) -> Beside:
    sync = specs.sync({**SPEC, "resource": resource, **more})
    return Beside(create_engine("postgresql+psycopg://nowhere/none"), sync, "acme", differed)


def worth(plan: Beside, differing: int) -> bool:
    staged: Any = None
    return plan.deciding(staged, Counts(differing, 0, differing - 2, 1, 1, 0, 0)) is not None


def test_they_come_up_once_many_rows_were_read_and_are_not_waited_for(pool: Pool) -> None:
    plan = a_plan(None)
    plan.read(READ - 1)
    assert pool.asked == []
    plan.read(READ)
    plan.read(READ + 1)
    assert len(pool.asked) == 2
    assert not worth(plan, DIFFER - 1), "they are coming up"
    pool.asked[0].set_result(None)
    plan.end()
    assert pool.ended == [False]


def test_fewer_rows_are_worth_those_that_are_there(pool: Pool) -> None:
    plan = a_plan(None)
    plan.read(READ)
    for one in pool.asked:
        one.set_result(None)
    assert worth(plan, DIFFER_AT_HAND)
    assert not worth(plan, DIFFER_AT_HAND - 1)
    plan.end()
    assert pool.ended == [True]


def test_where_they_could_not_come_up_this_process_decides(pool: Pool) -> None:
    plan = a_plan(None)
    plan.read(READ)
    for one in pool.asked:
        one.set_exception(OSError("no memory"))
    assert not worth(plan, DIFFER - 1)


def test_where_few_are_expected_none_comes_up_before_many_differ(pool: Pool) -> None:
    plan = a_plan(DIFFER_AT_HAND - 1)
    plan.read(READ)
    assert pool.asked == []
    assert not worth(plan, DIFFER - 1)
    plan.end()
    assert pool.ended == []
    assert worth(plan, DIFFER)
    plan.end()
    assert pool.ended == [True]


def test_many_are_expected_where_many_differed(pool: Pool) -> None:
    a_plan(DIFFER_AT_HAND).read(READ)
    assert len(pool.asked) == 2


def test_a_single_processor_has_none(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "processors", lambda: 1)
    plan = a_plan(None)
    plan.read(READ)
    assert not worth(plan, 10**6)
    assert pool.asked == []


def test_usage_has_none(pool: Pool) -> None:
    plan = a_plan(None, "meter_events", match={}, mode="insert", fields=USAGE)
    plan.read(READ)
    assert not worth(plan, 10**6)
    assert pool.asked == []
