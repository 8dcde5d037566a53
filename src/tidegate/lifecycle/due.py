"""The queue of contacts whose facts may be others by now; the refresh writes it in its transaction."""

from collections.abc import Sequence

from sqlalchemy import Connection, text


def note(db: Connection, contacts: Sequence[int]) -> None:
    """Queues contacts (internal keys)."""
    if contacts:
        db.execute(_NOTE, {"contacts": list(contacts)})


def note_all(db: Connection) -> int:
    """Queues every contact; returns how many were not queued yet."""
    return db.execute(_NOTE_ALL).rowcount


def note_used(db: Connection, after: int) -> int:
    """Queues whose usage was debited since a debit of that number; returns the number of the last debit."""
    return db.execute(_NOTE_USED, {"after": after}).scalar_one()


def take(db: Connection, limit: int) -> list[int]:
    """Takes so many off the queue, in the caller's transaction; those that another takes are passed over."""
    return list(db.scalars(_TAKE, {"limit": limit}))


_NOTE = text("""
insert into tidegate.lifecycle_due (contact) select distinct unnest(cast(:contacts as bigint[])) as contact
order by contact on conflict do nothing""")

_NOTE_ALL = text("""
insert into tidegate.lifecycle_due (contact) select key from tidegate.contacts where merged_into is null order by key
on conflict do nothing""")

_NOTE_USED = text("""
with used as (select contact, id from tidegate.usage_debits where id > :after),
noted as (
  insert into tidegate.lifecycle_due (contact) select distinct contact from used order by contact
  on conflict do nothing)
select coalesce(max(id), :after) from used""")

_TAKE = text("""
delete from tidegate.lifecycle_due where contact in (
  select contact from tidegate.lifecycle_due order by since, contact limit :limit for update skip locked)
returning contact""")
