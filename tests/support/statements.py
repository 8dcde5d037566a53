"""A plugin of pytest that notes which SQL each test sends, and leaves out those that send nothing new.

On another server it is SQL that may fail, and tests of one thing send much the same. `tools/statements.py` works out
which of them others stand for; every test that its list does not name is run.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

ANYTHING = re.compile(r"tidegate_test_\w+|'[^']*'|\d+|\s+")
"""What may differ from one time that a statement is sent to the next."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("statements")
    group.addoption("--note-statements", metavar="FOLDER", help="write here what each test sends, a file per process")
    group.addoption("--leave-out", metavar="FILE", help="tests that are not run, one a line")


def pytest_configure(config: pytest.Config) -> None:
    if folder := config.getoption("--note-statements"):
        config.pluginmanager.register(Noting(Path(folder)))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not (named := config.getoption("--leave-out")):
        return
    left_out = set(Path(named).read_text().splitlines())
    if gone := {one.split("::")[0] for one in left_out if not (config.rootpath / one.split("::")[0]).exists()}:
        raise pytest.UsageError(f"{named} names files that are no more; make it anew with tools/statements.py: {gone}")
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
    items[:] = [item for item in items if item.nodeid not in left_out]


class Noting:
    """Notes the statements of the test that runs, and how long it takes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._test: str | None = None
        self._sent: dict[str, set[str]] = {}
        self._seconds: dict[str, float] = {}
        self._further: list[str] = []
        for name in ("execute", "executemany", "copy"):
            setattr(psycopg.Cursor, name, self._noting(getattr(psycopg.Cursor, name)))

    def _noting(self, send: Callable[..., Any]) -> Callable[..., Any]:
        def sending(cursor: Any, query: Any, *given: Any, **more: Any) -> Any:
            if self._test is not None:
                self._sent.setdefault(self._test, set()).add(digest(query, cursor.connection))
            return send(cursor, query, *given, **more)

        return sending

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._test = item.nodeid
        try:
            return (yield)  # pyright: ignore[reportReturnType]
        finally:
            self._test = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0) + report.duration

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._further = [item.nodeid for item in session.items if item.get_closest_marker("further")]

    def pytest_sessionfinish(self) -> None:
        told = {
            "sent": {test: sorted(statements) for test, statements in self._sent.items()},
            "seconds": self._seconds,
            "further": self._further,
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"{os.getpid()}.json").write_text(json.dumps(told))


def digest(query: Any, connection: Any) -> str:
    """What tells a statement from others, whatever names of databases, literals and numbers are in it."""
    if isinstance(query, bytes):
        query = query.decode()
    told = query if isinstance(query, str) else query.as_string(connection)
    return hashlib.sha256(ANYTHING.sub(" ", told).encode()).hexdigest()[:16]


def spared(sent: dict[str, set[str]], seconds: dict[str, float], further: Sequence[str]) -> list[str]:
    """The tests that need not run for every statement to be sent: all but those that `further` names, which run
    anyway, and those that send most of what is missing in the least time.
    """
    missing = set[str]().union(*sent.values()) - set[str]().union(*(sent.get(test, set()) for test in further))
    rest = {test: sent.get(test, set()) for test in seconds if test not in set(further)}
    while missing:
        test = max(rest, key=lambda test: (len(rest[test] & missing) / (seconds[test] + 0.1), test))
        missing -= rest.pop(test)
    return sorted(rest)
