"""What is remembered of a sync's rows: what each was sent as, what it is in Stripe, and why it was not sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from tidegate.outbound.plan.decide import Sent
from tidegate.outbound.resources import INSERT_ONLY, OWN
from tidegate.outbound.stored_json import stored
from tidegate.store.bulk import Texts

OPEN = ("held", "conflict", "invalid", "failed")
"""States of rows that are tried again on every run until they pass or leave the model."""


@dataclass(slots=True)  # not frozen: each of the fields would be set by a call, for every row that is decided about
class Row:
    """A row as it is remembered; `hash`: of what it said when it was looked at last. See `tables.sync_rows`."""

    key: str
    hash: int
    state: str
    object_id: str | None = None
    ours: bool = False
    generation: int = 0
    why: str = ""
    seen_at: datetime | None = None
    parent: str | None = None
    retires: str | None = None
    wrote: dict[str, Any] = field(default_factory=dict[str, Any])
    showed: dict[str, Any] = field(default_factory=dict[str, Any])
    problems: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def was_there(self) -> bool:
        """Whether the model had it when it was looked at last."""
        return self.state != "gone"

    @property
    def sent(self) -> Sent | None:
        """What was written last; None: nothing was."""
        return Sent(self.wrote, self.showed) if self.wrote else None


def of(db: Connection, sync: str, keys: Sequence[str]) -> dict[str, Row]:
    """The rows of these keys, by key."""
    found = db.execute(_OF, {"sync": sync, "keys": list(keys)}).all()
    return {row[0]: _row(*row) for row in found}


def _row(
    key: str, hash_: int, state: str, object_id: str | None, ours: bool, generation: int, why: str,
    seen_at: datetime | None, parent: str | None, retires: str | None, wrote: str, showed: str | None, problems: str,
) -> Row:  # fmt: skip
    """A row as `_OF` reads it: the documents as JSON, `showed` None where it is what was written."""
    read = msgspec.json.decode
    said = read(wrote)
    shown = dict(said) if showed is None else read(showed)
    wrong: list[dict[str, Any]] = read(problems) if problems != "[]" else []
    return Row(key, hash_, state, object_id, ours, generation, why, seen_at, parent, retires, said, shown, wrong)


def left(db: Connection, sync: str) -> list[tuple[str, int]]:
    """Key and hash of the rows that left the model, and whose objects this sync made or adopted and has not removed."""
    found = db.execute(_LEFT, {"sync": sync})
    return [(row.key, row.hash) for row in found]


def touched(db: Connection, sync: str, connection: str, resource: str) -> list[str]:
    """The keys of rows whose objects changed in Stripe since they were looked at.

    Objects that stand as they did when all were looked at last (`syncs.looked_until`) are not asked about: whatever
    Stripe did before that time was known then (`told_until`).
    """
    if resource in INSERT_ONLY | OWN:
        return []
    values = {"sync": sync, "connection": connection, "since": looked_until(db, sync)}
    return list(db.scalars(text(_TOUCHED.format(resource=resource)), values))


def skipped(db: Connection, sync: str) -> list[str]:
    """The keys of rows that were left alone, because Stripe had what they are matched with, or had it not."""
    statement = text("select key from tidegate.sync_rows where sync = :sync and state = 'skipped'")
    return list(db.scalars(statement, {"sync": sync}))


def looked_until(db: Connection, sync: str) -> datetime | None:
    """Stripe's time until which changes of a sync's objects were looked at; None: no run of all rows ended yet."""
    return db.scalar(text("select looked_until from tidegate.syncs where key = :sync"), {"sync": sync})


def told_until(db: Connection, connection: str) -> datetime | None:
    """Stripe's time until which the mirror has all that Stripe did; None: it was not imported whole yet.

    What waits in the inbox is read and not yet in the mirror.
    """
    return db.scalar(_TOLD_UNTIL, {"connection": connection})


def all_holders(db: Connection, sync: str, ids: Sequence[str]) -> list[tuple[str, str]]:
    """The rows that are these objects: the object's id, and the row's key; of rows that left the model none."""
    return [(row.object_id, row.key) for row in db.execute(_HOLDERS, {"sync": sync, "ids": list(ids)})] if ids else []


def known(db: Connection, sync: str, wanted: Mapping[str, str | None]) -> dict[str, Row]:
    """The rows of these keys, by key. Of one that was no object yet and is to be this one (its id) what is remembered
    of the row that was it, for that is the same row under another key.
    """
    found = of(db, sync, list(wanted))
    heirs = {key: id_ for key, id_ in wanted.items() if id_ and (key not in found or found[key].object_id is None)}
    if heirs:
        keys = db.scalars(_OF_OBJECTS, {"sync": sync, "ids": sorted(set(heirs.values()))})
        left = {row.object_id: row for row in of(db, sync, list(keys)).values()}
        found |= {key: replace(left[id_], key=key) for key, id_ in heirs.items() if id_ in left}
    return found


def holders(db: Connection, sync: str, ids: Sequence[str]) -> dict[str, str]:
    """The keys of the rows that are these objects, by the object's id: of several the one that made or adopted it; of
    rows that left the model none.
    """
    if not ids:
        return {}
    return {row.object_id: row.key for row in db.execute(_HOLDERS, {"sync": sync, "ids": list(ids)})}


def keep(db: Connection, sync: str, run: int, rows: Sequence[Row]) -> None:
    """Remembers these rows, in the place of what was remembered of them."""
    if not rows:
        return
    columns: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in _PLAIN}
    json = {name: Texts([stored(getattr(row, name)) for row in rows]) for name in _JSON}
    db.execute(_KEEP, {"sync": sync, "run": run, **columns, **json})


def forget(db: Connection, sync: str, keys: Sequence[str]) -> int:
    """Forgets rows; what they are in Stripe stays there."""
    return db.execute(_FORGET, {"sync": sync, "keys": list(keys)}).rowcount


_PLAIN = {
    "key": "text", "hash": "bigint", "state": "text", "object_id": "text", "ours": "boolean", "generation": "int",
    "why": "text", "seen_at": "timestamptz", "parent": "text", "retires": "text",
}  # fmt: skip
_JSON = ("wrote", "showed", "problems")
"""Both in the order in which `Row` has them."""
_ALL = (*_PLAIN, *_JSON)

# Stripe's times are whole seconds: what happened in the one until which everything was known may be new, and an object
# of which two versions of one second were told was asked for again (certainty 2).
_TOUCHED = """
select r.key from stripe.{resource} o
join tidegate.sync_rows r on r.sync = :sync and r.object_id = o.id
where o.connection = :connection and (o.updated_at is distinct from r.seen_at or o.certainty = 2)
  and r.state <> 'reverted'
  and (cast(:since as timestamptz) is null or o.updated_at >= cast(:since as timestamptz) - interval '1 second')"""

_TOLD_UNTIL = text("""
select least(c.complete_as_of,
  (select min(i.created) from tidegate.inbox i where i.connection = c.name and i.state = 'waiting'),
  (select min(i.created) from tidegate.inbox i where i.connection = c.name and i.state = 'parked'))
from tidegate.connections c where c.name = :connection and c.complete_as_of is not null""")

_HOLDERS = text("""
select object_id, key from tidegate.sync_rows
where sync = :sync and object_id = any(cast(:ids as text[])) and state <> 'gone' order by ours""")

_LEFT = text("""
select key, hash from tidegate.sync_rows
where sync = :sync and state = 'gone' and ours and object_id is not null""")

_OF_OBJECTS = text("""
select key from tidegate.sync_rows
where sync = :sync and object_id = any(cast(:ids as text[])) order by state <> 'gone', at""")

_OF = text(f"""
select {", ".join(_PLAIN)}, wrote::text, nullif(showed, wrote)::text, problems::text from tidegate.sync_rows
where sync = :sync and key = any(cast(:keys as text[]))""")

_KEEP = text(f"""
insert into tidegate.sync_rows as r (sync, run, {", ".join(_ALL)})
select :sync, :run, {", ".join(_PLAIN)}, {", ".join(f"cast({name} as jsonb)" for name in _JSON)}
from unnest({", ".join(f"cast(:{name} as {type_}[])" for name, type_ in _PLAIN.items())},
  {", ".join(f":{name}" for name in _JSON)}) as t({", ".join(_ALL)})
on conflict (sync, key) do update
set at = clock_timestamp(), run = excluded.run, {", ".join(f"{name} = excluded.{name}" for name in _ALL[1:])}""")

_FORGET = text("delete from tidegate.sync_rows where sync = :sync and key = any(cast(:keys as text[]))")
