"""However a worker ends, its jobs do not: killed, stopped, or left by its parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.support import queue
from tests.support.waiting import until

from tidegate.workflows.doorbell import Doorbell

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture(autouse=True)
def _empty_jobs(engine: Engine) -> None:
    queue.empty(engine)
    queue.prepare_seen(engine)


def test_the_job_of_a_killed_worker_goes_on_elsewhere(database_url: str, engine: Engine) -> None:
    with queue.process(database_url, "first") as first, queue.process(database_url, "second") as second:
        queue.wait_for_workers(engine, 4)
        Doorbell(engine).ring("drain", connection="acme")
        [name] = until(lambda: queue.seen(engine), "one of the two has the job")
        victim, other = (first, "second") if name == "first" else (second, "first")
        victim.kill()
        assert until(lambda: queue.seen(engine)[1:], "the other has it") == [other]
    assert queue.jobs(engine) == [("drain", "acme", "doing")]


def test_a_stopped_worker_puts_its_job_back(database_url: str, engine: Engine) -> None:
    Doorbell(engine).ring("drain", connection="acme")
    with queue.process(database_url, "first") as worker:
        until(lambda: queue.seen(engine) == ["first"], "it has the job")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    assert queue.jobs(engine) == [("drain", "acme", "succeeded"), ("drain", "acme", "todo")]
    assert queue.workers_alive(engine) == 0


def test_a_second_signal_ends_a_worker_at_once(database_url: str, engine: Engine) -> None:
    Doorbell(engine).ring("drain", connection="acme")
    with queue.process(database_url, "stubborn", heeds_stop=False) as worker:
        until(lambda: queue.seen(engine) == ["stubborn"], "it has the job")
        worker.send_signal(signal.SIGTERM)
        until(lambda: queue.seen(engine) == ["stubborn", "asked"], "it was asked to stop")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 128 + signal.SIGTERM
    assert queue.jobs(engine) == [("drain", "acme", "doing")]


def test_a_worker_ends_when_its_parent_does(database_url: str, engine: Engine) -> None:
    reading, writing = os.pipe()
    try:
        with queue.process(database_url, "child", pipe=reading) as worker:
            Doorbell(engine).ring("drain", connection="acme")
            until(lambda: queue.seen(engine) == ["child"], "it has the job")
            os.close(writing)
            assert worker.wait(20) == 0
    finally:
        os.close(reading)
    assert queue.jobs(engine, "todo") == [("drain", "acme", "todo")]


@pytest.mark.wide
def test_the_command_ends_with_its_parent(database_url: str, engine: Engine, tmp_path: Path) -> None:
    """As `tidegate serve` starts it: its own session, a pipe that closes when the parent ends."""
    reading, writing = os.pipe()
    environment = os.environ | {"DATABASE_URL": database_url, "TIDEGATE_HOME": str(tmp_path), "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-m", "tidegate", "worker", "--concurrency", "3", "--parent-pipe", str(reading)]
    with subprocess.Popen(command, env=environment, pass_fds=[reading], start_new_session=True) as worker:
        try:
            queue.wait_for_workers(engine, 3)
            os.close(writing)
            assert worker.wait(20) == 0
        finally:
            worker.kill()
            os.close(reading)
    assert queue.workers_alive(engine) == 0
