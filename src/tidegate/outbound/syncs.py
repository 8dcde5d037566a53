"""Sources, models and syncs as they are stored: defined, listed, removed."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Connection, text

from tidegate.connections import runs
from tidegate.errors import ManagedByFile, OutboundInUse, SyncInvalid, SyncUnknown
from tidegate.outbound import specs
from tidegate.outbound.resources import OWN
from tidegate.outbound.schedule import AfterSync, parse
from tidegate.outbound.specs import Model, Sync
from tidegate.secrets import Vault

FILE = "file"


def define_source(
    db: Connection, key: str, *, sealed: bytes | None, env: str, shown: str, managed_by: str = ""
) -> None:
    """A source under a key; one that is there is replaced. `sealed`: its URL, encrypted, or `env`: the variable."""
    _refuse_managed(db, "sources", key, managed_by)
    values = {"key": key, "url": sealed, "env": env, "shown": shown, "managed_by": managed_by}
    db.execute(_SOURCE, values)


def define_model(db: Connection, model: Model, managed_by: str = "") -> None:
    """A model; one that is there is replaced. Raises SyncUnknown for a source that is not there."""
    _refuse_managed(db, "models", model.key, managed_by)
    _known(db, "sources", "source", model.source)
    db.execute(
        _MODEL,
        {"key": model.key, "source": model.source, "sql": model.sql, "table": model.table,
         "primary_key": list(model.primary_key), "managed_by": managed_by},
    )  # fmt: skip


def define_sync(db: Connection, sync: Sync, connection: str, managed_by: str = "") -> None:
    """A sync of a connection; one that is there is replaced and keeps its rows. Raises SyncUnknown for a model that is
    not there, and SyncInvalid where it would go to another connection or resource than its rows are of, run after what
    runs after it, or name rows of a sync that has none such.
    """
    _refuse_managed(db, "syncs", sync.key, managed_by)
    _known(db, "models", "model", sync.model)
    _refuse_circle(db, sync)
    _refuse_references(db, sync, connection)
    there = db.execute(_SYNC_OF, {"key": sync.key}).first()
    if there is not None and (there.connection, there.resource) != (connection, sync.resource) and there.rows:
        problem = (
            f"its rows are {there.resource} of {there.connection}. Give a sync of other objects another key, or forget "
            f"them with `tidegate sync reset {sync.key}`"
        )
        raise SyncInvalid(what="sync", key=sync.key, problem=problem)
    spec = json.dumps(sync.model_dump(mode="json", exclude_unset=True) | {"connection": connection})
    values = {"key": sync.key, "model": sync.model, "connection": connection, "resource": sync.resource, "spec": spec}
    db.execute(_SYNC, values | {"managed_by": managed_by})


def ended(db: Connection, key: str, finish: str, looked_until: datetime | None) -> None:
    """Says that a run of all rows came to its end: how it finished what it made, and until when changes of a sync's
    objects in Stripe were looked at.
    """
    values = {"key": key, "finish": finish, "until": looked_until}
    db.execute(text("update tidegate.syncs set looked_until = :until, ended_with = :finish where key = :key"), values)


def is_first(db: Connection, sync: Sync) -> bool:
    """Whether no run of all rows came to its end yet, or none that finished things as the next one would."""
    said = db.scalar(text("select ended_with from tidegate.syncs where key = :key"), {"key": sync.key})
    return not said or (said != sync.finish and sync.finish != "draft")


def is_own(db: Connection, key: str) -> bool:
    """Whether a sync writes what is the hub's own; of one that is not there: no."""
    found = db.scalar(text("select resource from tidegate.syncs where key = :key"), {"key": key})
    return found in OWN


def source(db: Connection, key: str) -> Any:
    """The stored source: key, url (encrypted), env, shown. Raises SyncUnknown."""
    return _known(db, "sources", "source", key)


def model(db: Connection, key: str) -> Model:
    """Raises SyncUnknown."""
    row = _known(db, "models", "model", key)
    return Model(key=row.key, source=row.source, sql=row.sql, table=row.table_name, primary_key=tuple(row.primary_key))


def sync(db: Connection, key: str) -> Sync:
    """Raises SyncUnknown."""
    return specs.sync(_known(db, "syncs", "sync", key).spec)


def readable(db: Connection, keys: Iterable[str]) -> dict[str, Sync]:
    """These syncs, but for those that cannot be read any more as they are stored, which `status` tells."""
    found: dict[str, Sync] = {}
    for key in keys:
        try:
            found[key] = sync(db, key)
        except SyncInvalid:
            continue
    return found


def remove(db: Connection, table: str, key: str, managed_by: str = "") -> None:
    """Removes a source or model that nothing names any more, or a sync with what it remembers of its rows; what they
    are in Stripe stays there, and so does the journal. Raises SyncUnknown, ManagedByFile and OutboundInUse, and
    SyncInvalid while a run of the sync is under way.
    """
    what = table.removesuffix("s")
    _known(db, table, what, key)
    _refuse_managed(db, table, key, managed_by)
    if namer := {"sources": "models", "models": "syncs"}.get(table):
        by = list(db.scalars(text(f"select key from tidegate.{namer} where {what} = :key order by 1"), {"key": key}))
        if by:
            raise OutboundInUse(what=what, key=key, by=f"the {namer} {', '.join(by)}")
    else:
        if not runs.keep_off(db, f"sync:{key}", "sync"):
            problem = "a run is under way, and its rows would be kept for nothing; `tidegate sync cancel` stops it"
            raise SyncInvalid(what="sync", key=key, problem=problem)
        for of_sync in ("sync_rows", "sync_associations", "sync_plans"):
            db.execute(text(f"delete from tidegate.{of_sync} where sync = :key"), {"key": key})
    db.execute(text(f"delete from tidegate.{table} where key = :key"), {"key": key})


def release(db: Connection, table: str, key: str) -> None:
    """Lets what the file managed be changed elsewhere."""
    db.execute(text(f"update tidegate.{table} set managed_by = '' where key = :key"), {"key": key})


def seal_anew(db: Connection, old: Vault, new: Vault) -> dict[str, int]:
    """Opens every stored URL with the old vault and seals it with the new one: 1 for each source.

    Raises SecretKeyLost, which names the source, when one does not open.
    """
    rows = db.execute(text("select key, url from tidegate.sources where url is not null order by key for update")).all()
    for row in rows:
        sealed = new.seal(old.open(bytes(row.url), f"source {row.key}"))
        db.execute(text("update tidegate.sources set url = :url where key = :key"), {"url": sealed, "key": row.key})
    return {row.key: 1 for row in rows}


def every(db: Connection, table: str) -> Sequence[Mapping[str, Any]]:
    """All of `sources`, `models` or `syncs`, by key; of a source not its URL."""
    columns = {
        "sources": "key, shown as url, env, managed_by, made_at",
        "models": "key, source, sql, table_name, primary_key, managed_by, made_at",
        "syncs": "key, model, connection, resource, spec, enabled, next_at, managed_by, made_at",
    }[table]
    return [dict(row) for row in db.execute(text(f"select {columns} from tidegate.{table} order by key")).mappings()]


def _known(db: Connection, table: str, what: str, key: str) -> Any:
    row = db.execute(text(f"select * from tidegate.{table} where key = :key"), {"key": key}).first()
    if row is None:
        near = get_close_matches(key, list(db.scalars(text(f"select key from tidegate.{table}"))), 1)
        nearest = f" Is it {near[0]}?" if near else ""
        raise SyncUnknown(what=what, key=key, nearest=nearest, list={"sync": "sync"}.get(what, f"{what}s"))
    return row


def _refuse_managed(db: Connection, table: str, key: str, managed_by: str) -> None:
    held = db.scalar(text(f"select managed_by from tidegate.{table} where key = :key"), {"key": key})
    if held == FILE and managed_by != FILE:
        raise ManagedByFile(what=f"The {table.removesuffix('s')} {key}")


def _refuse_circle(db: Connection, sync: Sync) -> None:
    """Raises SyncInvalid for a sync that would run after one that runs after it, for they would run for ever."""
    passed, said = [sync.key], sync.schedule
    while isinstance(after := parse(said), AfterSync) and after.sync not in passed[1:]:
        passed.append(after.sync)
        if after.sync == sync.key:
            named = " after ".join(passed)
            raise SyncInvalid(what="sync", key=sync.key, problem=f"schedule: {named} would never end")
        said = db.scalar(_FOLLOWS, {"key": after.sync}) or ""


def _refuse_references(db: Connection, sync: Sync, connection: str) -> None:
    """Raises SyncInvalid for a field that names rows of a sync which is not there, or whose objects it cannot name."""
    for one in sync.field_map.references:
        if one.way != "sync":
            continue
        row = db.execute(_SYNC_OF, {"key": one.name}).first()
        if row is None:
            problem = f"fields: it names rows of the sync {one.name}, which is not there; define that first"
        elif row.resource != one.resource:
            problem = f"fields: it names {one.resource} by rows of the sync {one.name}, and these are {row.resource}"
        elif row.connection != connection:
            problem = f"fields: it names rows of the sync {one.name}, which is of the connection {row.connection}"
        else:
            continue
        raise SyncInvalid(what="sync", key=sync.key, problem=problem)


_SOURCE = text("""
insert into tidegate.sources (key, url, env, shown, managed_by) values (:key, :url, :env, :shown, :managed_by)
on conflict (key) do update
set url = excluded.url, env = excluded.env, shown = excluded.shown, managed_by = excluded.managed_by""")

_MODEL = text("""
insert into tidegate.models (key, source, sql, table_name, primary_key, managed_by)
values (:key, :source, :sql, :table, cast(:primary_key as text[]), :managed_by)
on conflict (key) do update set source = excluded.source, sql = excluded.sql, table_name = excluded.table_name,
  primary_key = excluded.primary_key, managed_by = excluded.managed_by""")

_SYNC_OF = text("""
select connection, resource, exists (select from tidegate.sync_rows r where r.sync = s.key) as rows
from tidegate.syncs s where key = :key""")

_SYNC = text("""
insert into tidegate.syncs as s (key, model, connection, resource, spec, managed_by)
values (:key, :model, :connection, :resource, cast(:spec as jsonb), :managed_by)
on conflict (key) do update set model = excluded.model, connection = excluded.connection,
  resource = excluded.resource, spec = excluded.spec, managed_by = excluded.managed_by,
  next_at = case when (s.spec -> 'schedule', s.spec -> 'time_zone')
    is not distinct from (excluded.spec -> 'schedule', excluded.spec -> 'time_zone') then s.next_at end""")

_FOLLOWS = text("select spec ->> 'schedule' from tidegate.syncs where key = :key")
