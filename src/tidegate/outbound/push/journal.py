"""The journal of requests: the intent before one is sent, its outcome after it, and what is open from before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.outbound.plan.decide import Kind
from tidegate.outbound.push.outcomes import Outcome
from tidegate.outbound.push.requests import Request
from tidegate.outbound.stored_json import stored
from tidegate.store.bulk import Texts


@dataclass(frozen=True, slots=True)
class Open:
    """A request whose outcome nobody knows: its process died, or no answer came.

    `kind`, `hash` and `wanted` are those of the decision that it carries out; `matched_by`: the way by which its row
    was matched then, and the metadata key; `age` is in seconds.
    """

    id: int
    run: int
    key: str
    kind: Kind
    hash: int
    wanted: Mapping[str, Any]
    operation: str
    method: str
    path: str
    params: Mapping[str, Any]
    matched_by: Sequence[str]
    idempotency_key: str
    generation: int
    status: int | None
    object_id: str | None
    age: float


class Before(NamedTuple):
    """What the journal knows of a row: the generation of its next request, and whether the outcome of one is open."""

    generation: int
    open: bool


def before(db: Connection, sync: str, connection: str, keys: Sequence[str]) -> dict[str, Before]:
    """What it knows of rows, by key; those that nothing was sent of are left out.

    A row that was forgotten goes on with its generations: else one that comes back within a day would be told what
    Stripe answered when it was made first.
    """
    rows = db.execute(_BEFORE, {"sync": sync, "connection": connection, "keys": list(keys)})
    return {row.key: Before(row.generation, row.open) for row in rows}


def intend(
    db: Connection, run: int, sync: str, connection: str, requests: Sequence[Request], matched_by: Sequence[str] = ()
) -> list[int]:
    """Writes down that these will be sent; returns their ids, in the same order."""
    columns: dict[str, Any] = {name: [getattr(one, name) for one in requests] for name in _PLAIN}
    json = {name: Texts([stored(getattr(one, name)) for one in requests]) for name in _JSON}
    values = {"run": run, "sync": sync, "connection": connection, "by": list(matched_by), **columns, **json}
    return [int(id_) for id_ in db.scalars(_INTEND, values)]


def settle(db: Connection, outcomes: Sequence[tuple[int, Outcome]]) -> None:
    """Writes down what came of requests, by their ids."""
    for id_, outcome in outcomes:
        said = {name: getattr(outcome, name) for name in Outcome.__slots__}
        db.execute(_SETTLE, {"id": id_, **said})


def withdraw(db: Connection, ids: Sequence[int]) -> None:
    """Says of requests that they were never sent."""
    db.execute(_WITHDRAW, {"ids": list(ids)})


def made(db: Connection, sync: str, connection: str, keys: Sequence[str]) -> dict[str, set[str]]:
    """The ids of the objects that were surely made of rows, by key."""
    rows = db.execute(_MADE, {"sync": sync, "connection": connection, "keys": list(keys)})
    return {row.key: set(row.ids) for row in rows}


def half_finished(db: Connection, connection: str) -> list[str]:
    """The syncs of a connection with objects of which nobody knows whether they were finished: runs of other syncs
    finish them too.
    """
    return list(db.scalars(_HALF_FINISHED, {"connection": connection}))


def opened(db: Connection, sync: str, connection: str, kind: str | None = None) -> list[Open]:
    """The sync's requests on a connection whose outcome nobody knows (of this kind), oldest first."""
    return [Open(**row._mapping) for row in db.execute(_OPEN, {"sync": sync, "connection": connection, "kind": kind})]  # pyright: ignore[reportPrivateUsage]


def unsettled(db: Connection, sync: str, connection: str) -> dict[str, int]:
    """How many requests a run of the sync settles, by operation: of its rows, and whatever was being finished."""
    rows = db.execute(_UNSETTLED, {"sync": sync, "connection": connection})
    return {row.operation: row.many for row in rows}


_PLAIN = {
    "key": "text", "kind": "text", "hash": "bigint", "operation": "text", "method": "text", "path": "text",
    "object_id": "text", "generation": "int", "idempotency_key": "text",
}  # fmt: skip
_JSON = ("params", "before", "wanted")

_INTEND = text(f"""
insert into tidegate.requests (run, sync, connection, matched_by, {", ".join((*_PLAIN, *_JSON))})
select :run, :sync, :connection, cast(:by as text[]), {", ".join(_PLAIN)},
  {", ".join(f"cast({name} as jsonb)" for name in _JSON)}
from unnest({", ".join(f"cast(:{name} as {type_}[])" for name, type_ in _PLAIN.items())},
  {", ".join(f":{name}" for name in _JSON)}) with ordinality as t({", ".join((*_PLAIN, *_JSON))}, place)
order by place returning id""")

_SETTLE = text("""
update tidegate.requests set state = :state, status = coalesce(:status, status), request_id = :request_id,
  response = cast(:response as jsonb), error = :error, object_id = coalesce(:object_id, object_id), sent_at = :sent_at,
  answered_at = :answered_at
where id = :id""")

_WITHDRAW = text("""
update tidegate.requests set state = 'unsent' where id = any(cast(:ids as bigint[])) and state = 'intended'""")

_BEFORE = text("""
select key, bool_or(state in ('intended', 'unknown')) as open,
  max(generation + case when state = 'unsent' then 0 else 1 end) as generation
from tidegate.requests
where sync = :sync and connection = :connection and key = any(cast(:keys as text[])) group by key""")

_MADE = text("""
select key, array_agg(object_id) as ids from tidegate.requests
where sync = :sync and connection = :connection and key = any(cast(:keys as text[])) and state = 'done'
  and operation in ('create', 'replace') and object_id is not null
group by key""")

_OPEN = text("""
select id, run, key, kind, hash, wanted, operation, method, path, params, matched_by, idempotency_key, generation,
  status, object_id, extract(epoch from clock_timestamp() - intended_at)::float8 as age
from tidegate.requests where sync = :sync and connection = :connection and state in ('intended', 'unknown')
  and (cast(:kind as text) is null or kind = :kind) order by id""")

_UNSETTLED = text("""
select operation, count(*) as many from tidegate.requests
where connection = :connection and state in ('intended', 'unknown') and (sync = :sync or kind = 'finish')
group by 1 order by 1""")

_HALF_FINISHED = text("""
select distinct sync from tidegate.requests
where connection = :connection and kind = 'finish' and state in ('intended', 'unknown') order by 1""")
