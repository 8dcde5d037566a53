"""A ring is a job in the caller's transaction, and one that waits answers for all."""

import threading
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.support import queue

from tidegate.errors import DatabaseUnreachable
from tidegate.store.engine import open_engine
from tidegate.workflows import doorbell
from tidegate.workflows.doorbell import BELLS, Doorbell


@pytest.fixture(autouse=True)
def _empty_jobs(engine: Engine) -> None:
    queue.empty(engine)


def test_a_ring_is_a_job_once_its_transaction_commits(engine: Engine) -> None:
    bell = Doorbell(engine)
    with engine.connect() as db:
        assert bell.ring("drain", connection="acme", db=db)
        assert queue.jobs(engine) == []
        db.commit()
    assert queue.jobs(engine) == [("drain", "acme", "todo")]


def test_a_ring_in_a_transaction_that_is_rolled_back_never_was(engine: Engine) -> None:
    with engine.connect() as db:
        assert Doorbell(engine).ring("drain", connection="acme", db=db)
        db.rollback()
    assert queue.jobs(engine) == []
    assert Doorbell(engine).ring("drain", connection="acme")


def test_ringing_twice_is_one_job_and_leaves_the_transaction_sound(engine: Engine) -> None:
    bell = Doorbell(engine)
    assert bell.ring("drain", connection="acme")
    with engine.begin() as db:
        assert not bell.ring("drain", connection="acme", db=db)
        assert bell.ring("drain", connection="other", db=db)
        assert bell.ring("catch_up", connection="acme", db=db)
    assert queue.jobs(engine) == [("drain", "acme", "todo"), ("drain", "other", "todo"), ("catch_up", "acme", "todo")]


def test_a_ring_that_another_answers_queues_nothing_that_the_server_has_to_refuse(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Doorbell(engine).ring("drain", connection="acme")
    monkeypatch.setattr(doorbell, "_app", lambda: pytest.fail("it was queued"))
    assert not Doorbell(engine).ring("drain", connection="acme")


@pytest.mark.parametrize(
    ("rings", "full", "resources"),
    [
        ([{"full": False, "resources": ["prices"]}, {"full": False, "resources": ["discounts"]}], False,
         ["discounts", "prices"]),
        ([{}, {"full": True}], True, []),
        ([{"full": True, "resources": ["prices"]}, {}], True, []),
        ([{"resources": ["prices"]}, {"full": True, "resources": []}, {"resources": ["quotes"]}], True, []),
    ],
)  # fmt: skip
def test_an_import_that_waits_does_what_the_next_ring_asks_for_too(
    engine: Engine, rings: list[dict[str, Any]], full: bool, resources: list[str]
) -> None:
    bell = Doorbell(engine)
    answers = [bell.ring("import_account", connection="acme", attempt=0, **one) for one in rings]
    assert answers == [True, *[False] * (len(rings) - 1)]
    with engine.connect() as db:
        args = db.scalars(text("select args from tidegate.procrastinate_jobs")).all()
    assert args == [{"connection": "acme", "attempt": 0, "full": full, "resources": resources}]


def test_a_job_that_runs_does_not_answer_for_a_new_ring(engine: Engine) -> None:
    bell = Doorbell(engine)
    assert bell.ring("drain", connection="acme")
    _start_next(engine)
    assert bell.ring("drain", connection="acme"), "the one that runs may have looked before"
    assert queue.jobs(engine) == [("drain", "acme", "doing"), ("drain", "acme", "todo")]


def test_a_job_that_waits_does_not_start_before_the_transaction_that_counts_on_it_ends(engine: Engine) -> None:
    bell = Doorbell(engine)
    assert bell.ring("drain", connection="acme")
    with engine.begin() as db:
        assert not bell.ring("drain", connection="acme", db=db)
        assert _start_next(engine) is None, "it would look, and not see what this transaction has made"
    assert _start_next(engine) == "drain"


def test_many_ring_at_the_same_time(engine: Engine) -> None:
    bell = Doorbell(engine)
    rung: list[bool] = []

    def ring() -> None:
        for number in range(20):
            rung.append(bell.ring("drain", connection=f"c{number}"))

    threads = [threading.Thread(target=ring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(queue.jobs(engine)) == sorted(("drain", f"c{number}", "todo") for number in range(20))
    assert rung.count(True) == 20
    assert len(rung) == 80


def test_one_import_per_connection_and_one_by_hand_does_not_wait_for_a_later_try(engine: Engine) -> None:
    bell = Doorbell(engine)
    assert bell.ring("import_again", connection="acme", delay=600, attempt=3)
    assert _start_next(engine) is None, "its time has not come"
    assert bell.ring("import_account", connection="acme", full=True)
    assert bell.ring("import_account", connection="other")
    assert _start_next(engine) == "import_account"
    assert _start_next(engine) == "import_account"
    assert bell.ring("import_account", connection="acme")
    assert _start_next(engine) is None, "one import of a connection runs at a time"


def test_the_arguments_reach_the_job(engine: Engine) -> None:
    Doorbell(engine).ring("import_account", connection="acme", resources=["customers"], full=True)
    with engine.connect() as db:
        args, queue_name = db.execute(text("select args, queue_name from tidegate.procrastinate_jobs")).one()
    assert args == {"connection": "acme", "resources": ["customers"], "full": True}
    assert queue_name == BELLS["import_account"].queue


def test_a_lost_database_is_said() -> None:
    engine = open_engine("postgresql://nobody@127.0.0.1:9/none")
    with pytest.raises(DatabaseUnreachable, match=r"127\.0\.0\.1:9"):
        Doorbell(engine).ring("drain", connection="acme")


def _start_next(engine: Engine) -> str | None:
    """What a worker would take now."""
    with engine.begin() as db:
        row = db.execute(text("select task_name from procrastinate_fetch_job_v2(null, null)")).one()
    return row.task_name
