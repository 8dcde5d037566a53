"""The SQL by which `apply` stages, inserts, replaces and keeps versions, made once per resource from its table."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import TextClause, text

from tidegate.stripe_api.resources.resource import Column, ColumnType, Resource

STAGED: dict[ColumnType, str] = {
    "text": "text",
    "bigint": "bigint",
    "boolean": "boolean",
    "timestamptz": "bigint",
    "text[]": "text[]",
}


LONGEST_ID, LONGEST_INDEXED = 1000, 2000
"""Bytes. PostgreSQL refuses an entry of an index above 2,704 and with it the whole statement; the staging table refuses
the one row before.
"""


@dataclass(frozen=True, slots=True)
class Statements:
    """SQL of one resource. `:connection` is the connection's name, `:batch` numbers what was staged together.

    `lists` are the places of the columns of type `text[]` among the columns.
    """

    stage: str
    definition: str
    copy: str
    lists: tuple[int, ...]
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

    stage: str
    definition: str
    copy: str
    lists: tuple[int, ...]
    owner: int
    drop: TextClause
    put: TextClause
    bury: TextClause


class _Words:
    """The names and lists that the statements of a resource are put together from.

    A child is staged without its JSON, which stands in its parent's.
    """

    def __init__(self, resource: Resource) -> None:
        columns, child = resource.columns, bool(resource.parent)
        self.table, self.stage = f"stripe.{resource.table}", f"incoming_{resource.table}"
        self.names = [column.name for column in columns]
        self.values = [":connection", "i.id", "to_timestamp(i.created)", "to_timestamp(i.at)", "i.certainty"]
        self.values += ["null", "i.position"] if child else ["case when i.deleted then to_timestamp(i.at) end"]
        self.values += [*(_read(column) for column in columns), "l.data" if child else "i.data"]
        position = ["position"] if child else []
        self.written = ["connection", "id", "created", "updated_at", "certainty", "deleted_at", *position]
        self.written += [*self.names, "data"]
        staged = {
            "batch": "int",
            "id": "text" + _at_most(LONGEST_ID, "id"),
            "created": "bigint",
            "at": "bigint",
            "certainty": "smallint",
        }
        staged |= {"position": "int"} if child else {"deleted": "boolean", "event": "text", "previous": "jsonb"}
        staged |= {column.name: _staged(column) for column in columns}
        staged |= {} if child else {"data": "jsonb"}
        self.definition = _definition(self.stage, staged)
        self.lists = tuple(place for place, column in enumerate(columns) if column.type == "text[]")
        self.copy = f"copy {self.stage} ({', '.join(staged)}) from stdin"


def copied(values: Sequence[Any], lists: tuple[int, ...]) -> list[Any]:
    """Column values as they are copied: an empty list, the usual case, is written out, since dumping lists is slow."""
    row = list(values)
    for place in lists:
        if row[place] == []:
            row[place] = "{}"
    return row


def _staged(column: Column) -> str:
    bounded = column.indexed and column.type == "text"
    return STAGED[column.type] + (_at_most(LONGEST_INDEXED, column.name) if bounded else "")


def _at_most(longest: int, name: str) -> str:
    return f' constraint "{name} is longer than {longest} bytes" check (octet_length({name}) <= {longest})'


def _definition(stage: str, columns: dict[str, str]) -> str:
    """The staging table's columns; bodies are not compressed on their way through."""
    named = ", ".join(f"{name} {type_}" for name, type_ in columns.items())
    bodies = f"; alter table {stage} alter data set storage external" if "data" in columns else ""
    return f"({named}) on commit preserve rows{bodies}"


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
    owner = next((f"t.{column.name}" for column in resource.columns if column.refers_to == "customers"), "null")
    return Statements(
        stage=words.stage,
        definition=words.definition,
        copy=words.copy,
        lists=words.lists,
        insert_new=text(f"""
insert into {table} ({", ".join(words.written)})
select {", ".join(words.values)}
{staged} order by i.id on conflict do nothing returning id"""),
        compare=text(f"""
select i.id, extract(epoch from t.updated_at)::bigint as at, t.certainty,
       extract(epoch from t.created)::bigint as created, extract(epoch from t.deleted_at)::bigint as deleted_at,
       t.data = i.data as same, {owner} as owner
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
def child_statements(resource: Resource, parents: Resource, field: str) -> ChildStatements:
    """The statements of a resource whose rows stand in the list `field` of `parents`."""
    words = _Words(resource)
    table, parent = words.table, resource.parent
    sets = ", ".join(f"{name} = excluded.{name}" for name in words.written[2:])
    return ChildStatements(
        stage=words.stage,
        definition=words.definition,
        copy=words.copy,
        lists=words.lists,
        owner=words.names.index(parent),
        drop=text(f"""
delete from {table} t where t.connection = :connection and t.{parent} = any(:parents) and not exists (
  select from {words.stage} i where i.batch = :batch and i.{parent} = t.{parent} and i.id = t.id)"""),
        put=text(f"""
insert into {table} ({", ".join(words.written)})
select {", ".join(words.values)}
from incoming_{parents.table} p
cross join lateral jsonb_array_elements(p.data #> '{{{field},data}}') with ordinality l (data, place)
join {words.stage} i on i.{parent} = p.id and i.position = l.place - 1
where p.batch = :batch and i.batch = :batch
order by i.{parent}, i.id
on conflict (connection, {parent}, id) do update set {sets}"""),
        bury=text(f"""
update {table} t set deleted_at = to_timestamp(p.at)
from unnest(cast(:parents as text[]), cast(:times as bigint[])) p(id, at)
where t.connection = :connection and t.{parent} = p.id"""),
    )
