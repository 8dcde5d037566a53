"""The SQL by which `apply` stages, inserts, replaces and keeps versions, made once per resource from its table."""

from dataclasses import dataclass
from functools import cache

from sqlalchemy import TextClause, text

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
    """SQL of one resource. `:connection` is the connection's name, `:batch` numbers what was staged together."""

    create_stage: TextClause
    copy: str
    insert_new: TextClause
    compare: TextClause
    replace: TextClause
    bury: TextClause
    confirm: TextClause
    keep_stored: TextClause
    keep_incoming: TextClause


@dataclass(frozen=True, slots=True)
class ChildStatements:
    """SQL of rows that come and go with their parents; `owner` is the place of the parent's id among the columns."""

    create_stage: TextClause
    copy: str
    owner: int
    drop: TextClause
    put: TextClause
    bury: TextClause


class _Words:
    """The names and lists that the statements of a resource are put together from."""

    def __init__(self, resource: Resource) -> None:
        columns = resource.columns
        self.table, self.stage = f"stripe.{resource.table}", f"incoming_{resource.table}"
        self.names = [column.name for column in columns]
        position = ["position"] if resource.parent else []
        told = [":connection", "i.id", "to_timestamp(i.created)", "to_timestamp(i.at)", "i.certainty"]
        told += ["case when i.deleted then to_timestamp(i.at) end", *(f"i.{name}" for name in position)]
        self.values = [*told, *(_read(column) for column in columns), "i.data"]
        envelope = ["connection", "id", "created", "updated_at", "certainty", "deleted_at", *position]
        self.written = [*envelope, *self.names, "data"]
        self.staged = ["batch", "id", "created", "at", "certainty", "deleted", *position, "event", "previous"]
        self.staged += [*self.names, "data"]
        types = {"batch": "int", "id": "text", "created": "bigint", "at": "bigint", "certainty": "smallint"}
        types |= {"deleted": "boolean", "position": "int", "event": "text", "previous": "jsonb", "data": "jsonb"}
        types |= {column.name: STAGED[column.type] for column in columns}
        self.create = f"create temp table if not exists {self.stage} ("
        self.create += ", ".join(f"{name} {types[name]}" for name in self.staged) + ") on commit delete rows"
        self.copy = f"copy {self.stage} ({', '.join(self.staged)}) from stdin"
        self.insert = f"insert into {self.table} ({', '.join(self.written)})\nselect {', '.join(self.values)}\n"
        self.insert += f"from {self.stage} i where i.batch = :batch"


def _read(column: Column) -> str:
    return f"to_timestamp(i.{column.name})" if column.type == "timestamptz" else f"i.{column.name}"


@cache
def statements(resource: Resource) -> Statements:
    """The statements of a resource that is nobody's child."""
    words = _Words(resource)
    table, staged = words.table, f"from {words.stage} i where i.batch = :batch"
    mine = "t.connection = :connection and t.id = i.id"
    chosen = f"{staged} and {mine} and i.id = any(:ids)"
    sets = ", ".join(f"{name} = {value}" for name, value in zip(words.written[2:], words.values[2:], strict=True))
    return Statements(
        create_stage=text(words.create),
        copy=words.copy,
        insert_new=text(f"{words.insert} order by i.id on conflict do nothing returning id"),
        compare=text(f"""
select i.id, extract(epoch from t.updated_at)::bigint as at, t.certainty,
       extract(epoch from t.created)::bigint as created, extract(epoch from t.deleted_at)::bigint as deleted_at,
       t.data = i.data as same
from {words.stage} i join {table} t on {mine}
where i.batch = :batch and i.id <> all(:fresh) order by t.id for update of t"""),
        replace=text(f"update {table} t set {sets}\n{chosen}"),
        bury=text(f"""
update {table} t set updated_at = greatest(t.updated_at, to_timestamp(i.at)), certainty = i.certainty,
  deleted_at = to_timestamp(i.at)
{chosen}"""),
        confirm=text(f"""
update {table} t set updated_at = to_timestamp(i.at), certainty = i.certainty
{chosen} and (to_timestamp(i.at), i.certainty) > (t.updated_at, t.certainty)"""),
        keep_stored=text(_keep_stored(table, resource.name)),
        keep_incoming=text(f"""
insert into tidegate.versions (connection, resource, object_id, at, certainty, digest, event, previous, data)
select :connection, '{resource.name}', i.id, to_timestamp(i.at), i.certainty,
       sha256(convert_to(i.data::text, 'UTF8')), i.event, i.previous, i.data
{staged} and (i.event <> '' or i.id = any(:ids))
on conflict do nothing"""),
    )


def _keep_stored(table: str, resource: str) -> str:
    digest = "sha256(convert_to(t.data::text, 'UTF8'))"
    return f"""
insert into tidegate.versions (connection, resource, object_id, at, certainty, digest, data)
select t.connection, '{resource}', t.id, t.updated_at, t.certainty, {digest}, t.data
from {table} t
where t.connection = :connection and t.id = any(:ids) and t.deleted_at is null and not exists (
  select from tidegate.versions v where v.connection = t.connection and v.resource = '{resource}'
  and v.object_id = t.id and v.at = t.updated_at and v.digest = {digest})
on conflict do nothing"""


@cache
def child_statements(resource: Resource) -> ChildStatements:
    """The statements of a resource whose rows are replaced together with their parent."""
    words = _Words(resource)
    table, parent = words.table, resource.parent
    sets = ", ".join(f"{name} = excluded.{name}" for name in words.written[2:])
    return ChildStatements(
        create_stage=text(words.create),
        copy=words.copy,
        owner=words.names.index(parent),
        drop=text(f"""
delete from {table} t where t.connection = :connection and t.{parent} = any(:parents) and not exists (
  select from {words.stage} i where i.batch = :batch and i.{parent} = t.{parent} and i.id = t.id)"""),
        put=text(f"""
{words.insert} order by i.{parent}, i.id
on conflict (connection, {parent}, id) do update set {sets}"""),
        bury=text(f"""
update {table} t set deleted_at = to_timestamp(p.at)
from unnest(cast(:parents as text[]), cast(:times as bigint[])) p(id, at)
where t.connection = :connection and t.{parent} = p.id"""),
    )
