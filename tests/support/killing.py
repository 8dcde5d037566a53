"""Runs work in forked children of a process that has everything imported, and SIGKILLs a child at a numbered step.

A new interpreter takes seconds to import the project, a fork of one that has it takes milliseconds. A step is a request
to Stripe or to a destination sent or answered, a statement sent to PostgreSQL, a transaction about to be committed, or
committed, a file about to be replaced, or replaced.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]


class Ended(NamedTuple):
    """How a child ended: killed at its step or by itself; the steps it took, and what the last one was."""

    killed: bool
    steps: int
    last: str


Run = Callable[..., Ended]
"""`run(work, kill_at, **arguments)`: the named work in a child of its own; with `kill_at` 0 it is only counted."""


@contextmanager
def parent(program: Path) -> Iterator[Run]:
    """Starts a program that ends in `serve`, and lets it run its works one by one."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "src")))},
    )
    assert process.stdin
    assert process.stdout

    def run(work: str, kill_at: int = 0, **arguments: Any) -> Ended:
        print(json.dumps([work, kill_at, arguments]), file=process.stdin, flush=True)
        line = process.stdout.readline() if process.stdout else ""
        assert line, f"the parent ended with {process.wait(20)} instead of answering"
        told = json.loads(line)
        assert not told["problem"], f"{work} failed after {told['last']}:\n{told['problem']}"
        return Ended(told["killed"], told["steps"], told["last"])

    try:
        yield run
    finally:
        process.stdin.close()
        code = process.wait(20)
        process.stdout.close()
    assert code == 0


def points(steps: int, number: int, seed: int) -> list[int]:
    """So many steps to kill at, one at random in each equal part of all steps."""
    chance = random.Random(seed)
    return [1 + int((n + chance.random()) * steps / number) for n in range(number)]


def serve(works: Mapping[str, Callable[..., object]]) -> None:
    """The parent's side: forks a child for every line it reads, and answers how it ended. One thread, no connections:
    a child inherits nothing that is open.
    """
    for line in sys.stdin:
        name, kill_at, arguments = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _work(works[name], kill_at, arguments, writing)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            told = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answer = json.loads(told) if told else {"steps": 0, "last": "", "problem": f"it ended with {status}"}
        print(json.dumps(answer | {"killed": status == -signal.SIGKILL}), flush=True)  # noqa: T201


def _work(work: Callable[..., object], kill_at: int, arguments: dict[str, Any], writing: int) -> None:
    steps = _Steps(kill_at, writing)
    try:
        _watch(steps)
        work(**arguments)
        steps.tell("")
    except BaseException:
        steps.tell(traceback.format_exc())
    os._exit(0)


class _Steps:
    """Counts the steps of this process, and ends it at one."""

    def __init__(self, kill_at: int, writing: int) -> None:
        self._kill_at = kill_at
        self._writing = writing
        self._lock = threading.Lock()
        self._taken = 0
        self._last = ""

    def step(self, what: str) -> None:
        with self._lock:
            self._taken += 1
            self._last = what
            if self._taken == self._kill_at:
                self.tell("")
                os.kill(os.getpid(), signal.SIGKILL)

    def tell(self, problem: str) -> None:
        told = {"steps": self._taken, "last": self._last, "problem": problem}
        os.write(self._writing, json.dumps(told).encode())


def _watch(steps: _Steps) -> None:
    """Makes steps of what psycopg, SQLAlchemy at a commit, urllib3 and `os.replace` do in this process."""
    import psycopg
    import urllib3
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

    from tidegate.delivery.http import Client

    commit, send, replace = PGDialect_psycopg.do_commit, urllib3.PoolManager.urlopen, os.replace
    execute, execute_many = psycopg.Cursor.execute, psycopg.Cursor.executemany

    def statement(sql: Any) -> None:
        steps.step(f"statement {' '.join((sql.decode() if isinstance(sql, bytes) else str(sql)).split())[:60]}")

    def executing(cursor: Any, sql: Any, *args: Any, **options: Any) -> Any:
        statement(sql)
        return execute(cursor, sql, *args, **options)

    def executing_many(cursor: Any, sql: Any, *args: Any, **options: Any) -> Any:
        statement(sql)
        return execute_many(cursor, sql, *args, **options)

    def committing(dialect: Any, connection: Any) -> None:
        steps.step("about to commit")
        commit(dialect, connection)
        steps.step("committed")

    def sending(pool: Any, method: str, url: str, *args: Any, **options: Any) -> Any:
        steps.step(f"sending {method} {url}"[:100])
        answer = send(pool, method, url, *args, **options)
        steps.step(f"answered {method} {url}"[:100])
        return answer

    def replacing(*files: Any) -> None:
        steps.step(f"replacing {files[-1]}")
        replace(*files)
        steps.step(f"replaced {files[-1]}")

    async def telling(client: Any, request: Any) -> Any:
        steps.step(f"sending {request.method} {request.url}"[:100])
        answer = await tell(client, request)
        steps.step(f"answered {request.method} {request.url}"[:100])
        return answer

    tell = Client.send
    Client.send = telling  # type: ignore[method-assign]
    os.replace = replacing  # type: ignore[assignment]
    psycopg.Cursor.execute = executing  # type: ignore[method-assign]
    psycopg.Cursor.executemany = executing_many  # type: ignore[method-assign]
    PGDialect_psycopg.do_commit = committing
    urllib3.PoolManager.urlopen = sending  # type: ignore[method-assign]
