"""What two syncs take for their own: objects that both find by the same key in their metadata."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from tidegate.outbound.specs import Sync


def alike(db: Connection, sync: Sync, connection: str) -> list[str]:
    """The other syncs of a connection whose rows are matched with the same objects by the same metadata key: a value
    that rows of both say is one object.
    """
    way, name, _ = sync.matched_by
    if way != "metadata":
        return []
    values = {"connection": connection, "resource": sync.resource, "name": name, "key": sync.key}
    return list(db.scalars(_ALIKE, values))


def held(db: Connection, syncs: Sequence[str], ids: Sequence[str]) -> dict[str, int]:
    """How many of these objects rows of these syncs are, by sync."""
    if not syncs or not ids:
        return {}
    found = db.execute(_HELD, {"syncs": list(syncs), "ids": list(ids)})
    return {row.sync: row.objects for row in found}


def stops(sync: Sync, found: dict[str, int]) -> list[str]:
    """Why a first run that would take over objects of other syncs (`held`) does not begin."""
    _, name, column = sync.matched_by
    return [
        f"{count:,} of its rows are {sync.resource} that rows of the sync {other} are already, for both match by "
        f"metadata {name}: where they are to be others, match by a key that no other sync has "
        f"({{metadata: {{{sync.key}_id: {column}}}}})"
        for other, count in found.items()
    ]


_ALIKE = text("""
select key from tidegate.syncs
where connection = :connection and resource = :resource and key <> :key and spec -> 'match' -> 'metadata' ? :name
order by 1""")

_HELD = text("""
select sync, count(distinct object_id) as objects from tidegate.sync_rows
where sync = any(cast(:syncs as text[])) and object_id = any(cast(:ids as text[])) and state <> 'gone'
group by 1 order by 1""")
