"""The journal of requests: the intent before one is sent, its outcome after it, and what is open from before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, text

from tidegate.outbound.push.requests import Request
from tidegate.store.bulk import Texts

State = Literal["done", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request. `status`: of the answer, None where none came; `response`: its body, redacted."""

    state: State
    status: int | None = None
    request_id: str = ""
    response: str | None = None
    error: str = ""
    object_id: str | None = None
    sent_at: datetime | None = None
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """A request whose outcome nobody knows: its process died, or no answer came."""

    id: int
    run: int
    key: str
    operation: str
    method: str
    path: str
    params: Mapping[str, Any]
    idempotency_key: str
    generation: int
    status: int | None
    object_id: str | None
    age: float


def intend(db: Connection, run: int, sync: str, connection: str, requests: Sequence[Request]) -> list[int]:
    """Writes down that these will be sent; returns their ids, in the same order."""
    columns: dict[str, Any] = {name: [getattr(one, name) for one in requests] for name in _PLAIN}
    json = {name: Texts([_encode(getattr(one, name)) for one in requests]) for name in ("params", "before")}
    values = {"run": run, "sync": sync, "connection": connection, **columns, **json}
    return [int(id_) for id_ in db.scalars(_INTEND, values)]


def settle(db: Connection, outcomes: Sequence[tuple[int, Outcome]]) -> None:
    """Writes down what came of requests, by their ids."""
    for id_, outcome in outcomes:
        db.execute(_SETTLE, {"id": id_, **{name: getattr(outcome, name) for name in Outcome.__slots__}})


def opened(db: Connection, sync: str) -> list[Open]:
    """The sync's requests whose outcome nobody knows, oldest first; `age` in seconds."""
    return [Open(**row._mapping) for row in db.execute(_OPEN, {"sync": sync})]  # pyright: ignore[reportPrivateUsage]


def _encode(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()


_PLAIN = {
    "key": "text", "operation": "text", "method": "text", "path": "text", "object_id": "text", "generation": "int",
    "idempotency_key": "text",
}  # fmt: skip

_INTEND = text(f"""
insert into tidegate.requests (run, sync, connection, {", ".join(_PLAIN)}, params, before)
select :run, :sync, :connection, {", ".join(_PLAIN)}, cast(params as jsonb), cast(before as jsonb)
from unnest({", ".join(f"cast(:{name} as {type_}[])" for name, type_ in _PLAIN.items())}, :params, :before)
  with ordinality as t({", ".join(_PLAIN)}, params, before, place)
order by place returning id""")

_SETTLE = text("""
update tidegate.requests set state = :state, status = :status, request_id = :request_id,
  response = cast(:response as jsonb), error = :error, object_id = coalesce(:object_id, object_id), sent_at = :sent_at,
  answered_at = :answered_at
where id = :id""")

_OPEN = text("""
select id, run, key, operation, method, path, params, idempotency_key, generation, status, object_id,
  extract(epoch from clock_timestamp() - intended_at)::float8 as age
from tidegate.requests where sync = :sync and state in ('intended', 'unknown') order by id""")
