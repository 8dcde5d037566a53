"""The properties that no destination is told, as they are kept: by name, with why and who said so."""

from typing import Any

from sqlalchemy import Connection, text

from tidegate.delivery.hidden import Hidden
from tidegate.errors import ManagedByFile
from tidegate.store.driver import rows


def hidden(db: Connection) -> Hidden:
    """All of them, to be taken out of what is told."""
    return Hidden(frozenset(row.name for row in rows(db, _NAMES, {})))


def every(db: Connection) -> list[dict[str, Any]]:
    """{name, reason, by, at, managed_by}, by name."""
    return [dict(row) for row in db.execute(_EVERY).mappings()]


def put(db: Connection, name: str, reason: str, by: str, managed_by: str = "") -> bool:
    """Hides a property; False: nothing changed. Raises ManagedByFile for one that tidegate.yaml names."""
    known = next((one for one in every(db) if one["name"] == name), None)
    _refuse_managed(known, managed_by)
    if known is not None and (known["reason"], known["managed_by"]) == (reason, managed_by):
        return False
    db.execute(_PUT, {"name": name, "reason": reason, "by": by, "managed_by": managed_by})
    return True


def drop(db: Connection, name: str, managed_by: str = "") -> bool:
    """Tells it again, every contact as it is now; False: it was not hidden. Raises ManagedByFile."""
    known = next((one for one in every(db) if one["name"] == name), None)
    if known is None:
        return False
    _refuse_managed(known, managed_by)
    db.execute(_DROP, {"name": name})
    db.execute(_NOTE_ALL)
    return True


def release(db: Connection, name: str) -> None:
    """Lets what tidegate.yaml said be changed elsewhere."""
    statement = text("update tidegate.suppressed_properties set managed_by = '' where name = :name")
    db.execute(statement, {"name": name})


def _refuse_managed(known: dict[str, Any] | None, managed_by: str) -> None:
    if known is not None and known["managed_by"] and not managed_by:
        raise ManagedByFile(what=f"That {known['name']} is told to nobody")


_NAMES = text("select name from tidegate.suppressed_properties")

_EVERY = text("select name, reason, by, at, managed_by from tidegate.suppressed_properties order by name")

_PUT = text("""
insert into tidegate.suppressed_properties (name, reason, by, managed_by) values (:name, :reason, :by, :managed_by)
on conflict (name) do update set reason = excluded.reason, by = excluded.by, managed_by = excluded.managed_by""")

_DROP = text("delete from tidegate.suppressed_properties where name = :name")

# Whoever was sent to some destination before; what did not change since is found to be the same and not sent.
_NOTE_ALL = text("""
insert into tidegate.noted_contacts (contacts)
select array_agg(contact) from (
  select contact, row_number() over (order by contact) / 1000 as batch
  from (select distinct contact from tidegate.destination_contacts) sent) numbered
group by batch""")
