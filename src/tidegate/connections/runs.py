"""Runs: one execution of an import, a catch-up or an audit, with its state and what it did."""

import json
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, text


def process_name() -> str:
    """This process, as host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


def begin(db: Connection, connection: str, kind: str, options: dict[str, Any]) -> int:
    """A new run; returns its id."""
    return int(
        db.scalar(
            text("""
insert into tidegate.runs (connection, kind, options, process)
values (:connection, :kind, cast(:options as jsonb), :process) returning id"""),
            {"connection": connection, "kind": kind, "options": json.dumps(options), "process": process_name()},
        )
        or 0
    )


def go_on(db: Connection, run: int) -> None:
    """Takes up a run that another process left."""
    db.execute(
        text("""
update tidegate.runs set state = 'running', process = :process, heartbeat_at = now(), finished_at = null, error = ''
where id = :run"""),
        {"run": run, "process": process_name()},
    )


def beat(db: Connection, run: int, summary: dict[str, Any]) -> None:
    """Says that the run is alive, and how far it is."""
    db.execute(
        text("update tidegate.runs set heartbeat_at = now(), summary = cast(:summary as jsonb) where id = :run"),
        {"run": run, "summary": json.dumps(summary)},
    )


def end(db: Connection, run: int, state: str, summary: dict[str, Any], error: str = "") -> None:
    """Ends a run as `done`, `incomplete` or `interrupted`."""
    db.execute(
        text("""
update tidegate.runs set state = :state, summary = cast(:summary as jsonb), error = :error, finished_at = now(),
  heartbeat_at = now() where id = :run"""),
        {"run": run, "state": state, "summary": json.dumps(summary), "error": error},
    )


def last(db: Connection, connection: str, kind: str) -> RowMapping | None:
    """The newest run of a kind; None when there is none."""
    return (
        db.execute(
            text("select * from tidegate.runs where connection = :c and kind = :kind order by id desc limit 1"),
            {"c": connection, "kind": kind},
        )
        .mappings()
        .first()
    )


def find(db: Connection, run: int) -> RowMapping | None:
    """A run by its id."""
    return db.execute(text("select * from tidegate.runs where id = :run"), {"run": run}).mappings().first()


@contextmanager
def exclusive(engine: Engine, connection: str, kind: str) -> Generator[bool]:
    """Whether this process alone may do work of this kind on the connection, until the block ends or the process
    dies.
    """
    key = f"{kind}:{connection}"
    with engine.connect() as db:
        held = bool(db.scalar(text("select pg_try_advisory_lock(hashtextextended(:key, 0))"), {"key": key}))
        db.commit()
        try:
            yield held
        finally:
            if held:
                db.execute(text("select pg_advisory_unlock(hashtextextended(:key, 0))"), {"key": key})
                db.commit()
