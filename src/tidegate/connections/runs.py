"""Runs: one execution of an import, a catch-up or an audit, with its state and what it did."""

import json
import logging
import os
import secrets
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, text
from sqlalchemy.exc import OperationalError

log = logging.getLogger(__name__)

QUIET_SECONDS = 5
"""After this long without a sign of life, a running import whose lock nobody holds is taken for dead."""

_HELD = """exists (
    select from pg_locks l where l.locktype = 'advisory' and l.granted and l.objsubid = 1
    and l.database = (select oid from pg_database where datname = current_database())
    and (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended({key}, 0))"""
"""Whether a session holds the advisory lock of that key; pg_locks shows the 64-bit key as two halves."""

# Work holds the lock of `exclusive` or `alive` as long as its process lives, and of exclusive work only the newest run
# can be alive. The lock alone does not tell: one that ends just now may have let go of it while its row still says
# running here.
AS_IT_STANDS = f"""
select r.id, r.connection, r.kind, case when d.died then 'interrupted' else r.state end as state, r.options,
  r.started_at, r.heartbeat_at, case when d.died then r.heartbeat_at else r.finished_at end as finished_at,
  r.process, r.summary, case when d.died then 'the process ' || r.process || ' died' else r.error end as error
from tidegate.runs r cross join lateral (
  select r.state = 'running' and r.heartbeat_at < clock_timestamp() - interval '{QUIET_SECONDS} seconds'
  and not {_HELD.format(key="'run:' || r.id")}
  and (not {_HELD.format(key="r.kind || ':' || r.connection")} or exists (
    select from tidegate.runs n where n.connection = r.connection and n.kind = r.kind and n.id > r.id)) as died) d"""


def new_owner() -> str:
    """Whoever takes up a run: host and process id, and a token, for processes in containers may share both."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def begin(db: Connection, connection: str, kind: str, options: dict[str, Any], owner: str) -> int:
    """A new run; returns its id."""
    return int(
        db.scalar(
            text("""
insert into tidegate.runs (connection, kind, options, process)
values (:connection, :kind, cast(:options as jsonb), :process) returning id"""),
            {"connection": connection, "kind": kind, "options": json.dumps(options), "process": owner},
        )
        or 0
    )


def go_on(db: Connection, run: int, owner: str) -> None:
    """Takes up a run that another process left."""
    db.execute(
        text("""
update tidegate.runs set state = 'running', process = :process, heartbeat_at = now(), finished_at = null, error = ''
where id = :run"""),
        {"run": run, "process": owner},
    )


def beat(db: Connection, run: int, summary: dict[str, Any], owner: str) -> None:
    """Says that the run is alive, and how far it is; nothing of one that is another's by now."""
    db.execute(
        text("""
update tidegate.runs set heartbeat_at = now(), summary = cast(:summary as jsonb)
where id = :run and process = :process"""),
        {"run": run, "summary": json.dumps(summary), "process": owner},
    )


def end(db: Connection, run: int, state: str, summary: dict[str, Any], owner: str, error: str = "") -> None:
    """Ends a run as `done`, `incomplete` or `interrupted`; one that another took up stays as that has it."""
    db.execute(
        text("""
update tidegate.runs set state = :state, summary = cast(:summary as jsonb), error = :error, finished_at = now(),
  heartbeat_at = now() where id = :run and process = :process"""),
        {"run": run, "state": state, "summary": json.dumps(summary), "error": error, "process": owner},
    )


def connection_of_range(db: Connection, range_: int) -> str:
    """The connection whose import a range belongs to; empty when it was purged."""
    query = text(
        "select r.connection from tidegate.runs r join tidegate.import_ranges i on i.run = r.id where i.id = :id"
    )
    return db.scalar(query, {"id": range_}) or ""


def last(db: Connection, connection: str, kind: str) -> RowMapping | None:
    """The newest run of a kind, in the state of `find`; None when there is none."""
    return (
        db.execute(
            text(f"{AS_IT_STANDS} where r.connection = :c and r.kind = :kind order by r.id desc limit 1"),
            {"c": connection, "kind": kind},
        )
        .mappings()
        .first()
    )


def listing(db: Connection, connection: str, kind: str, limit: int | None) -> Sequence[RowMapping]:
    """The newest runs of a kind, the newest first, in the state of `find`; `limit` None: all of them."""
    return (
        db.execute(
            text(
                f"{AS_IT_STANDS} where r.connection = :c and r.kind = :kind "
                "order by r.id desc limit cast(:limit as bigint)"
            ),
            {"c": connection, "kind": kind, "limit": limit},
        )
        .mappings()
        .all()
    )


def imports(db: Connection, connection: str) -> Sequence[RowMapping]:
    """The imports that say how the mirror stands, newest first, in the state of `find`: back to the last one of
    everything that reached its end.
    """
    return (
        db.execute(
            text(f"""
{AS_IT_STANDS} where r.connection = :c and r.kind = 'import' and r.id >= coalesce((
  select max(id) from tidegate.runs where connection = :c and kind = 'import' and state = 'done'
  and coalesce(options -> 'resources', '[]') = '[]'), 0)
order by r.id desc"""),
            {"c": connection},
        )
        .mappings()
        .all()
    )


def ever_whole(db: Connection, connection: str) -> bool:
    """Whether an import of everything ever reached its end."""
    return bool(
        db.scalar(
            text("""
select exists (select from tidegate.runs where connection = :c and kind = 'import' and state = 'done'
  and coalesce(options -> 'resources', '[]') = '[]')"""),
            {"c": connection},
        )
    )


def whole_since(db: Connection, connection: str) -> datetime | None:
    """Stripe's time from which on only its events tell what happened; None when not everything was imported once.

    That is the beginning of the last import or sweep that also looked for what had vanished, else of the first import.
    """
    return db.scalar(
        text("""
select to_timestamp(greatest(max(r.began) filter (where r.kind = 'sweep' or r.full), min(r.began) filter (
  where r.kind = 'import')))
from (select kind, (options ->> 'began')::bigint as began, coalesce((options ->> 'full')::boolean, false) as full
      from tidegate.runs where connection = :c and kind in ('import', 'sweep') and state = 'done'
      and coalesce(options -> 'resources', '[]') = '[]') r"""),
        {"c": connection},
    )


def left_out(db: Connection, connection: str) -> list[str]:
    """What the last import of everything was refused and none has read since, by the resource's name."""
    rows = db.scalars(
        text("""
select name from tidegate.runs r cross join jsonb_object_keys(coalesce(r.summary -> 'left_out', '{}')) as name
where r.id = (select max(id) from tidegate.runs where connection = :c and kind = 'import' and state = 'done'
              and coalesce(options -> 'resources', '[]') = '[]')
  and not exists (
    select from tidegate.runs n where n.connection = :c and n.kind = 'import' and n.state = 'done' and n.id > r.id
    and n.options -> 'resources' ? name and not coalesce(n.summary -> 'left_out', '{}') ? name)
order by name"""),
        {"c": connection},
    )
    return list(rows)


def find(db: Connection, run: int) -> RowMapping | None:
    """A run by its id. One whose process died shows as `interrupted`, finished when it was last heard of."""
    return db.execute(text(f"{AS_IT_STANDS} where r.id = :run"), {"run": run}).mappings().first()


@contextmanager
def exclusive(engine: Engine, connection: str, kind: str) -> Generator[bool]:
    """Whether this process alone may do work of this kind on the connection, until the block ends or the process
    dies.
    """
    with engine.connect() as db, alone(db, connection, kind) as held:
        yield held


@contextmanager
def alone(db: Connection, connection: str, *kinds: str) -> Generator[bool]:
    """The same for all of these kinds of work, for as long as the database connection lives; it may hold more."""
    with _locked(db, *(f"{kind}:{connection}" for kind in kinds)) as held:
        yield held


def keep_off(db: Connection, connection: str, kind: str) -> bool:
    """Keeps work of this kind from beginning on the connection until the caller's transaction ends; false: some is at
    work.
    """
    wanted = {"key": f"{kind}:{connection}"}
    return bool(db.scalar(text("select pg_try_advisory_xact_lock(hashtextextended(:key, 0))"), wanted))


def is_held(engine: Engine, connection: str, kind: str) -> bool:
    """Whether a process is in a block of `exclusive` now."""
    with engine.connect() as db:
        return bool(db.scalar(text(f"select {_HELD.format(key=':key')}"), {"key": f"{kind}:{connection}"}))


@contextmanager
def alive(engine: Engine, run: int) -> Generator[None]:
    """Shows that a run of work which several processes may do at a time lives, until the block ends or the process
    dies.
    """
    with engine.connect() as db, _locked(db, f"run:{run}"):
        yield


@contextmanager
def _locked(db: Connection, *keys: str) -> Generator[bool]:
    held: list[str] = []
    for key in keys:
        if not db.scalar(text("select pg_try_advisory_lock(hashtextextended(:key, 0))"), {"key": key}):
            break
        held.append(key)
    db.commit()
    try:
        yield len(held) == len(keys)
    finally:
        if held and not db.invalidated:  # else another lock of its session told that it is lost, with all of them
            _let_go(db, held)


def _let_go(db: Connection, keys: Sequence[str]) -> None:
    try:
        for key in keys:
            db.execute(text("select pg_advisory_unlock(hashtextextended(:key, 0))"), {"key": key})
        db.commit()
    except OperationalError as error:
        if not error.connection_invalidated:
            raise
        log.warning("lock_lost", extra={"lock": ", ".join(keys)})  # with its session: what was done stands all the same
