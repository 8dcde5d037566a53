"""The SQL by which `apply` stages, inserts, replaces and keeps versions, made once per resource from its table."""

from dataclasses import dataclass
from functools import cache

from sqlalchemy import TextClause, text

from tidegate.mirror.decide import Certainty
from tidegate.mirror.rows import layout
from tidegate.mirror.sightings import known_at
from tidegate.store.bulk import Target, target
from tidegate.stripe_api.resources.resource import Resource

READ = int(Certainty.READ)


@dataclass(frozen=True, slots=True)
class Statements:
    """SQL of one resource. `:connection` is the connection's name, `:batch` numbers what was staged together. `owners`:
    the customers of these `:parents`, where `owned_by` names one.

    `staged` and `direct` take rows whose last values are those of `rows.Layout.row`. `look` tells what has to be known
    before anything is written: whether the connection has forgotten customers and unreadable objects, and whether any
    of the objects is stored.
    """

    stage: str
    definition: str
    staged: Target
    direct: Target
    insert_new: TextClause
    look: bytes
    spare: TextClause
    compare: TextClause
    replace: TextClause
    bury: TextClause
    confirm: TextClause
    keep_stored: TextClause
    keep_incoming: TextClause
    owners: TextClause | None


@dataclass(frozen=True, slots=True)
class ChildStatements:
    """SQL of rows that come and go with their parents."""

    stage: str
    definition: str
    staged: Target
    direct: Target
    drop: TextClause
    put: TextClause
    bury: TextClause


class _Words:
    """The names and lists that the statements of a resource are put together from."""

    def __init__(self, resource: Resource) -> None:
        self.table, self.stage = f"stripe.{resource.table}", f"incoming_{resource.table}"
        written = layout(resource).columns
        staged = {"batch": "int"} if resource.parent else {"batch": "int", "event": "text", "previous": "jsonb"}
        staged |= written
        self.written = list(written)
        self.definition = _definition(self.stage, staged, layout(resource).bounds)
        self.staged, self.direct = target(self.stage, staged), target(self.table, written)


def _definition(stage: str, columns: dict[str, str], bounds: dict[str, int]) -> str:
    """The staging table's columns; bodies are not compressed on their way through."""
    checks = [
        f'constraint "{name} is longer than {most} bytes" check (octet_length({name}) <= {most})'
        for name, most in bounds.items()
    ]
    named = ", ".join([*(f"{name} {type_}" for name, type_ in columns.items()), *checks])
    return f"({named}) on commit preserve rows; alter table {stage} alter data set storage external"


@cache
def statements(resource: Resource) -> Statements:
    """The statements of a resource that is nobody's child."""
    words = _Words(resource)
    table, staged = words.table, f"from {words.stage} i where i.batch = :batch"
    mine = "t.connection = :connection and t.id = i.id"
    chosen = f"{staged} and {mine} and i.id = any(:ids)"
    sets = ", ".join(f"{name} = i.{name}" for name in words.written[2:])
    at = known_at(resource.name)
    owner = next((f"t.{column.name}" for column in resource.columns if column.refers_to == "customers"), "null")
    return Statements(
        stage=words.stage,
        definition=words.definition,
        staged=words.staged,
        direct=words.direct,
        look=_look(table, resource).encode(),
        insert_new=text(f"""
insert into {table} ({", ".join(words.written)})
select {", ".join(f"i.{name}" for name in words.written)}
{staged} order by i.id on conflict do nothing returning id"""),
        spare=text(f"""
select i.id from {words.stage} i join {table} t on {mine}
where i.batch = :batch and i.event = '' and i.deleted_at is null and t.deleted_at is null and t.certainty > 0
  and t.updated_at <= i.updated_at and t.data = i.data order by i.id"""),
        compare=text(f"""
select i.id, extract(epoch from {at})::bigint as at,
       case when {at} > t.updated_at then {READ} else t.certainty end as certainty,
       extract(epoch from t.created)::bigint as created, extract(epoch from t.deleted_at)::bigint as deleted_at,
       t.data = i.data as same, {_alike(resource)} as alike, {owner} as owner
from {words.stage} i join {table} t on {mine}
where i.batch = :batch and i.id <> all(:fresh) order by t.id for update of t"""),
        replace=text(f"update {table} t set {sets}\n{chosen}"),
        bury=text(_bury(table, chosen)),
        confirm=text(_confirm(table, chosen)),
        keep_stored=text(_keep_stored(table, resource)),
        keep_incoming=text(_keep_incoming(staged, resource)),
        owners=_owners(resource),
    )


def _alike(resource: Resource) -> str:
    """Whether nothing differs that customers who name the object have in common."""
    told = (", ".join(f"nullif({side}.data -> '{name}', 'null')" for name in resource.shared) for side in "ti")
    return "({}) is not distinct from ({})".format(*told) if resource.shared else "true"


def _look(table: str, resource: Resource) -> str:
    """With psycopg's placeholders, for `store.driver.run`."""
    unreadable = f"tidegate.unreadable where connection = %(connection)s and resource = '{resource.name}'"
    return f"""
select exists(select from tidegate.forgotten where connection = %(connection)s) as forgotten,
  exists(select from {unreadable}) as unreadable,
  exists(select from unnest(cast(%(ids)s as text[])) i(id) cross join lateral (
    select from {table} t where t.connection = %(connection)s and t.id = i.id limit 1) stored) as stored"""


def _owners(resource: Resource) -> TextClause | None:
    owner = next((column.refers_to for column in resource.columns if column.name == resource.owned_by), None)
    if owner is None:
        return None
    return text(f"""
select distinct customer from stripe.{owner.replace("/", "_")}
where connection = :connection and id = any(cast(:parents as text[])) and customer is not null""")


def _bury(table: str, chosen: str) -> str:
    return f"""
update {table} t set updated_at = greatest(t.updated_at, i.updated_at), certainty = i.certainty,
  deleted_at = i.deleted_at
{chosen}"""


def _confirm(table: str, chosen: str) -> str:
    return f"""
update {table} t set updated_at = i.updated_at, certainty = i.certainty
{chosen} and (i.updated_at, i.certainty) > (t.updated_at, t.certainty)"""


def _keep_incoming(staged: str, resource: Resource) -> str:
    return f"""
insert into tidegate.versions (connection, resource, object_id, at, certainty, digest, event, previous, data)
select :connection, '{resource.name}', i.id, i.updated_at, i.certainty,
       sha256(convert_to(i.data::text, 'UTF8')), i.event, i.previous, i.data
{staged} and (i.event <> '' or i.id = any(:ids))
on conflict do nothing"""


def _keep_stored(table: str, resource: Resource) -> str:
    """A version is dated by when its content was first seen, not by when it was last confirmed.

    Each object is looked up by its key (`limit 1` forbids any other plan): versions are many times the objects.
    """
    at = "coalesce(t.told_at, t.updated_at)" if resource.versions else "t.updated_at"
    return f"""
insert into tidegate.versions (connection, resource, object_id, at, certainty, digest, data)
select :connection, '{resource.name}', i.id, t.at, t.certainty, t.digest, t.data
from unnest(cast(:ids as text[])) i(id)
cross join lateral (
  select {at} as at, t.certainty, t.data, sha256(convert_to(t.data::text, 'UTF8')) as digest
  from {table} t where t.connection = :connection and t.id = i.id and t.deleted_at is null limit 1) t
left join lateral (
  select true as known from tidegate.versions v
  where v.connection = :connection and v.resource = '{resource.name}' and v.object_id = i.id
    and v.at = t.at and v.digest = t.digest limit 1) v on true
where v.known is null
on conflict do nothing"""


@cache
def child_statements(resource: Resource) -> ChildStatements:
    """The statements of a resource whose rows stand in a list of their parents."""
    words = _Words(resource)
    table, parent = words.table, resource.parent
    sets = ", ".join(f"{name} = excluded.{name}" for name in words.written[2:])
    return ChildStatements(
        stage=words.stage,
        definition=words.definition,
        staged=words.staged,
        direct=words.direct,
        drop=text(f"""
delete from {table} t where t.connection = :connection and t.{parent} = any(:parents) and not exists (
  select from {words.stage} i where i.batch = :batch and i.{parent} = t.{parent} and i.id = t.id)"""),
        put=text(f"""
insert into {table} ({", ".join(words.written)})
select {", ".join(f"i.{name}" for name in words.written)}
from {words.stage} i where i.batch = :batch order by i.{parent}, i.id
on conflict (connection, {parent}, id) do update set {sets}"""),
        bury=text(f"""
update {table} t set deleted_at = to_timestamp(p.at)
from unnest(cast(:parents as text[]), cast(:times as bigint[])) p(id, at)
where t.connection = :connection and t.{parent} = p.id"""),
    )
