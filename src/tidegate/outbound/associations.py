"""Which objects the associations of a sync's rows stood for when they were sent, and which stand for others by now."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from sqlalchemy import Connection, text

from tidegate.mirror import lookups
from tidegate.outbound.field_map.fill import Sought
from tidegate.outbound.field_map.nodes import Reference

Finder = Callable[[str, Collection[str]], Mapping[str, tuple[str, ...]]]
"""Finds the customers that values name, for a name: `own_id` asks contacts."""
Found = tuple[Sought, tuple[str, ...]]
"""What a row names, and the ids of the objects that it stands for."""


def moved(
    db: Connection, sync: str, connection: str, references: Iterable[Reference], own_ids: Finder
) -> dict[Sought, tuple[str, ...]]:
    """The associations that stand for other objects than when they were sent, with those of now; few or none.

    Of e-mail addresses, lookup keys and the like only those are looked up that an object has, or had, which changed in
    Stripe since all were looked at (`syncs.looked_until`).
    """
    found: dict[Sought, tuple[str, ...]] = {}
    for resource, way, name in sorted({(one.resource, one.way, one.name) for one in references if one.way != "id"}):
        of = {"sync": sync, "connection": connection, "resource": resource, "way": way, "name": name}
        match way:
            case "sync":
                now = {row.value: tuple(row.ids) for row in db.execute(_OF_SYNC, of)}
            case "own_id":
                stood = _stood(db, _ALL, of)
                is_now = own_ids(name, stood)
                now = {value: is_now.get(value, ()) for value, ids in stood.items() if is_now.get(value, ()) != ids}
            case _:
                stood = _stood(db, _TOUCHED.format(resource=resource, by=lookups.BY[way], all=_ALL), of)
                is_now = lookups.find(db, connection, resource, way, name, stood)
                now = {value: is_now.get(value, ()) for value, ids in stood.items() if is_now.get(value, ()) != ids}
        found |= {Sought(resource, way, name, value): ids for value, ids in now.items()}
    return found


def keep(db: Connection, sync: str, noted: Iterable[Sequence[Sequence[str]]], *, anew: bool) -> None:
    """Remembers what associations stand for (`staging.Staging.noted`), those that stand for nothing left out; `anew`:
    also of those of which it is remembered otherwise, for every row that has them was looked at.
    """
    statement = text(_KEEP.format(does="update set ids = excluded.ids" if anew else "nothing"))
    for some in noted:
        resource, way, name, value, ids = (list(column) for column in zip(*some, strict=True))
        said = {"resource": resource, "way": way, "name": name, "value": value, "ids": ids}
        db.execute(statement, {"sync": sync, **said})


def forget(db: Connection, sync: str, some: Collection[Sought]) -> None:
    """Forgets associations."""
    for one in some:
        said = {"sync": sync, "resource": one.resource, "way": one.way, "name": one.name, "value": one.value}
        db.execute(_FORGET, said)


def _stood(db: Connection, sql: str, of: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {row.value: tuple(row.ids) for row in db.execute(text(sql), of)}


_ALL = """
select value, ids from tidegate.sync_associations a
where a.sync = :sync and a.resource = :resource and a.way = :way and a.name = :name"""
# Stripe's times are whole seconds: what happened in the last one that was looked at may be new.
_TOUCHED = """
with changed as materialized (
  select o.id, {by} as value from stripe.{resource} o, tidegate.syncs s
  where s.key = :sync and o.connection = :connection
    and (s.looked_until is null or o.updated_at >= s.looked_until - interval '1 second'))
{all} and (a.value in (select value from changed) or a.ids && array(select id from changed))"""
_OF_SYNC = text("""
select a.value, array_remove(array[r.object_id], null) as ids from tidegate.sync_associations a
left join tidegate.sync_rows r on r.sync = a.name and r.key = a.value and r.state <> 'gone'
where a.sync = :sync and a.resource = :resource and a.way = :way and a.name = :name
  and array_remove(array[r.object_id], null) <> a.ids""")
_KEEP = """
insert into tidegate.sync_associations (sync, resource, way, name, value, ids)
select :sync, resource, way, name, value, string_to_array(ids, ',')
from unnest(cast(:resource as text[]), cast(:way as text[]), cast(:name as text[]), cast(:value as text[]),
  cast(:ids as text[])) as t(resource, way, name, value, ids)
where ids <> ''
on conflict (sync, resource, way, name, value) do {does}"""
_FORGET = text("""
delete from tidegate.sync_associations
where sync = :sync and resource = :resource and way = :way and name = :name and value = :value""")
