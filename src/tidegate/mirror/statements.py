"""The SQL by which `apply` stages, inserts, replaces and keeps versions, made once per resource from its table."""

from dataclasses import dataclass
from functools import cache

from tidegate.stripe_api.resources.resource import Column, ColumnType, Resource

STAGED: dict[ColumnType, str] = {
    "text": "text",
    "bigint": "bigint",
    "boolean": "boolean",
    "timestamptz": "bigint",
    "text[]": "text[]",
}


@dataclass(frozen=True, slots=True)
class Statements:
    """SQL texts of one resource. `:connection` is the connection's name, `:batch` numbers what was staged together."""

    create_stage: str
    copy: str
    insert_new: str
    compare: str
    keep_stored: str
    keep_incoming: str
    replace: str
    bury: str
    confirm: str
    drop_children: str
    put_children: str


@cache
def statements(resource: Resource) -> Statements:
    """The statements for a resource; children have their own, used with their parent's ids."""
    table, stage = f"stripe.{resource.table}", f"incoming_{resource.table}"
    names = [column.name for column in resource.columns]
    typed = [_read(column) for column in resource.columns]
    key = ["connection", resource.parent, "id"] if resource.parent else ["connection", "id"]
    position = ["position"] if resource.parent else []
    envelope = ["connection", "id", "created", "updated_at", "certainty", "deleted_at", *position]
    told = [":connection", "i.id", "to_timestamp(i.created)", "to_timestamp(i.at)", "i.certainty"]
    told += ["case when i.deleted then to_timestamp(i.at) end", *(f"i.{name}" for name in position)]
    insert = (
        f"insert into {table} ({', '.join([*envelope, *names, 'data'])})\nselect {', '.join([*told, *typed, 'i.data'])}"
    )
    replaced = ["created", "updated_at", "certainty", "deleted_at", *position, *names, "data"]
    mine = "t.connection = :connection and t.id = i.id"
    staged = ["batch", "id", "created", "at", "certainty", "deleted", *position, "event", "previous", *names, "data"]
    return Statements(
        create_stage=f"create temp table if not exists {stage} (batch int, id text, created bigint, at bigint, "
        f"certainty smallint, deleted boolean, {''.join(f'{name} int, ' for name in position)}event text, "
        f"previous jsonb, {''.join(f'{c.name} {STAGED[c.type]}, ' for c in resource.columns)}data jsonb) "
        "on commit delete rows",
        copy=f"copy {stage} ({', '.join(staged)}) from stdin",
        insert_new=f"{insert}\nfrom {stage} i where i.batch = :batch order by i.id\n"
        "on conflict do nothing returning id",
        compare=f"""
select i.id, extract(epoch from t.updated_at)::bigint as at, t.certainty,
       extract(epoch from t.created)::bigint as created, extract(epoch from t.deleted_at)::bigint as deleted_at,
       t.data = i.data as same
from {stage} i join {table} t on {mine}
where i.batch = :batch and i.id <> all(:fresh) order by t.id for update of t""",
        keep_stored=f"""
insert into tidegate.versions (connection, resource, object_id, at, certainty, digest, data)
select t.connection, '{resource.name}', t.id, t.updated_at, t.certainty,
       sha256(convert_to(t.data::text, 'UTF8')), t.data
from {table} t
where t.connection = :connection and t.id = any(:ids) and t.deleted_at is null and not exists (
  select from tidegate.versions v where v.connection = t.connection and v.resource = '{resource.name}'
  and v.object_id = t.id and v.at = t.updated_at and v.digest = sha256(convert_to(t.data::text, 'UTF8')))
on conflict do nothing""",
        keep_incoming=f"""
insert into tidegate.versions (connection, resource, object_id, at, certainty, digest, event, previous, data)
select :connection, '{resource.name}', i.id, to_timestamp(i.at), i.certainty,
       sha256(convert_to(i.data::text, 'UTF8')), i.event, i.previous, i.data
from {stage} i where i.batch = :batch and (i.event <> '' or i.id = any(:ids))
on conflict do nothing""",
        replace=f"""
update {table} t set {", ".join(f"{c} = {e}" for c, e in zip(replaced, [*told[2:], *typed, "i.data"], strict=True))}
from {stage} i where i.batch = :batch and {mine} and i.id = any(:ids)""",
        bury=f"""
update {table} t set updated_at = greatest(t.updated_at, to_timestamp(i.at)), certainty = i.certainty,
  deleted_at = to_timestamp(i.at)
from {stage} i where i.batch = :batch and {mine} and i.id = any(:ids)""",
        confirm=f"""
update {table} t set updated_at = to_timestamp(i.at), certainty = i.certainty
from {stage} i where i.batch = :batch and {mine} and i.id = any(:ids)
  and (to_timestamp(i.at), i.certainty) > (t.updated_at, t.certainty)""",
        drop_children=f"delete from {table} t\n"
        f"where t.connection = :connection and t.{resource.parent} = any(:parents)\n"
        f"and not exists (select from {stage} i where i.batch = :batch and i.{resource.parent} = t.{resource.parent} "
        "and i.id = t.id)",
        put_children=f"{insert}\nfrom {stage} i where i.batch = :batch and i.{resource.parent} = any(:parents)\n"
        f"order by i.{resource.parent}, i.id on conflict ({', '.join(key)}) do update set "
        + ", ".join(f"{name} = excluded.{name}" for name in replaced),
    )


def _read(column: Column) -> str:
    return f"to_timestamp(i.{column.name})" if column.type == "timestamptz" else f"i.{column.name}"
