"""The journal as people look at it: requests by run, row and outcome, redacted, newest last, by pages or whole."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, text

from tidegate.outbound.push.redaction import redacted

Status = Literal["done", "failed", "open"]
STATES: Mapping[str, tuple[str, ...]] = {
    "done": ("done",),
    "failed": ("refused", "unknown"),
    "open": ("intended", "unknown"),
}
"""Which states of requests a status is; one whose outcome nobody knows has failed and is open."""
UNSENT = ("failed", "invalid", "conflict", "held")
"""States of rows that are not sent."""
LEFT = (*UNSENT, "skipped", "gone")
"""States of rows about which a run sent nothing, with why."""
SHOWN: tuple[str, ...] = (
    "id", "run", "sync", "connection", "key", "operation", "method", "path", "state", "status", "error", "request_id",
    "object_id", "idempotency_key", "generation", "intended_at", "sent_at", "answered_at",
)  # fmt: skip
"""What a list shows of a request, beside its parameters."""
REDACTED: tuple[str, ...] = ("params", "before", "response")
EQUAL = ("run", "sync", "key", "operation")


@dataclass(frozen=True, slots=True)
class Which:
    """Which requests: of a run, of a sync, of a row, with an outcome, to do one thing."""

    run: int | None = None
    sync: str | None = None
    key: str | None = None
    status: Status | None = None
    operation: str | None = None


def listing(db: Connection, which: Which, limit: int, after: int = 0, *, answers: bool = False) -> list[dict[str, Any]]:
    """The requests with ids after `after`, oldest first, at most `limit`; with their answers where these are wanted."""
    columns = (*SHOWN, *(REDACTED if answers else ("params",)))
    rows = db.execute(_query(which, columns, "limit :limit"), _values(which) | {"limit": limit, "after": after})
    return [_shown(row) for row in rows.mappings()]


def whole(db: Connection, which: Which, after: int = 0) -> Iterator[dict[str, Any]]:
    """All of them with ids after `after`, oldest first, as they come; with their answers."""
    streaming = db.execution_options(stream_results=True, max_row_buffer=500)
    rows = streaming.execute(_query(which, (*SHOWN, *REDACTED), ""), _values(which) | {"after": after})
    return (_shown(row) for row in rows.mappings())


def one(db: Connection, request: int) -> dict[str, Any] | None:
    """A request with its parameters, the values before it and its answer; None: there is none, or it was forgotten."""
    statement = text(f"select {', '.join((*SHOWN, *REDACTED))} from tidegate.requests where id = :id")
    row = db.execute(statement, {"id": request}).mappings().first()
    return _shown(row) if row is not None else None


def last_before(db: Connection, run: int, at: datetime) -> int:
    """The id of a run's last request that was meant before a time; 0: none was. By halves, for ids follow the clock: a
    run's requests have no index by time.
    """
    low, high = 0, int(db.scalar(_NEWEST, {"run": run}) or 0)
    if not high or db.execute(_FROM, {"run": run, "id": high}).one().intended_at < at:
        return high
    while low < high:
        middle = (low + high) // 2
        found = db.execute(_FROM, {"run": run, "id": middle + 1}).first()
        if found is None or found.intended_at >= at:
            high = middle
        else:
            low = int(found.id)
    return low


def newest(db: Connection, run: int, count: int) -> int:
    """After which id the newest so many requests of a run begin; 0: there are no more."""
    return int(db.scalar(_NTH_NEWEST, {"run": run, "count": count}) or 0)


def unsent(
    db: Connection, sync: str, run: int | None = None, key: str | None = None, *, after: str = "",
    limit: int | None = None, state: str = "",
) -> list[dict[str, Any]]:  # fmt: skip
    """The rows that are held, in conflict, invalid or failed, as they stand: {key, state, why, problems, object, at},
    by key, those after `after`. `run`: those of which that run said so last; `state`: those in this one of LEFT.
    """
    states = [state] if state in LEFT else list(UNSENT)
    values = {"sync": sync, "run": run, "key": key, "after": after, "limit": limit, "states": states}
    rows = db.execute(_UNSENT, values)
    return [dict(row) for row in rows.mappings()]


def left(db: Connection, sync: str, run: int) -> dict[str, int]:
    """How many rows stand in each state of LEFT of which that run said so last."""
    rows = db.execute(_LEFT, {"sync": sync, "run": run, "states": list(LEFT)})
    return dict.fromkeys(LEFT, 0) | {row.state: row.n for row in rows}


def open_counts(db: Connection) -> dict[str, dict[str, int]]:
    """How many rows of each sync are in each state but `sent`, of which there may be millions."""
    found: dict[str, dict[str, int]] = {}
    for row in db.execute(_OPEN_COUNTS):
        found.setdefault(row.sync, {})[row.state] = row.n
    return found


def keys_in(db: Connection, sync: str, states: Sequence[str]) -> list[str]:
    """The keys of a sync's rows in one of these states."""
    return list(db.scalars(_KEYS, {"sync": sync, "states": list(states)}))


def _shown(row: RowMapping) -> dict[str, Any]:
    of = str(row["path"]).split("/")[2]
    return {str(name): redacted(value, of) if name in REDACTED else value for name, value in row.items()}


def _query(which: Which, columns: tuple[str, ...], limit: str) -> Any:
    wheres = ["id > :after"]
    wheres += [f"{name} = :{name}" for name in EQUAL if getattr(which, name) is not None]
    if which.status:  # written out, so that PostgreSQL sees that a partial index has them
        states = ", ".join(f"'{state}'" for state in STATES[which.status])
        wheres.append(f"state in ({states})")
    return text(f"select {', '.join(columns)} from tidegate.requests where {' and '.join(wheres)} order by id {limit}")


def _values(which: Which) -> dict[str, Any]:
    return {name: value for name in EQUAL if (value := getattr(which, name)) is not None}


_NEWEST = text("select max(id) from tidegate.requests where run = :run")

_FROM = text("""
select id, intended_at from tidegate.requests where run = :run and id >= :id order by id limit 1""")

_NTH_NEWEST = text("""
select id from tidegate.requests where run = :run order by id desc offset :count limit 1""")

_LEFT = text("""
select state, count(*) as n from tidegate.sync_rows
where sync = :sync and state <> 'sent' and state = any(cast(:states as text[])) and run = :run group by 1""")

_OPEN_COUNTS = text("""
select sync, state, count(*) as n from tidegate.sync_rows where state <> 'sent' group by 1, 2 order by 1, 2""")


_KEYS = text("""
select key from tidegate.sync_rows
where sync = :sync and state <> 'sent' and state = any(cast(:states as text[])) order by key""")

_UNSENT = text("""
select key, state, why, problems, object_id as object, at from tidegate.sync_rows
where sync = :sync and state <> 'sent' and state = any(cast(:states as text[]))
  and (cast(:run as bigint) is null or run = :run)
  and (cast(:key as text) is null or key = :key)
  and key > :after
order by key limit :limit""")
