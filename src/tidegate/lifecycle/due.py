"""The queue of contacts whose facts may be others by now; the refresh writes it in its transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from tidegate.store.driver import rows


def note(db: Connection, contacts: Sequence[int]) -> None:
    """Queues contacts (internal keys)."""
    if contacts:
        rows(db, _NOTE, {"contacts": list(contacts)})


def note_all(db: Connection) -> int:
    """Queues every contact; returns how many were not queued yet."""
    return db.execute(_NOTE_ALL).rowcount


def note_used(db: Connection) -> None:
    """Queues those whose usage was debited since this was asked last, in the caller's transaction."""
    db.execute(_NOTE_USED)


def waiting(db: Connection, every: int, as_of: datetime) -> bool:
    """Whether somebody waits, or nobody was looked at for so many seconds."""
    return db.scalar(_WAITING, {"every": every, "as_of": as_of})


def note_kept(db: Connection, as_of: datetime) -> None:
    """Notes that everybody was looked at."""
    db.execute(_NOTE_KEPT, {"as_of": as_of})


def take(db: Connection, limit: int) -> dict[int, bool]:
    """Takes so many off the queue, in the caller's transaction; those that another takes are passed over. Of each,
    whether only a first import changed it.
    """
    return {row.contact: row.imported for row in db.execute(_TAKE, {"limit": limit})}


def mark_imported(db: Connection, taken: Mapping[int, bool]) -> None:
    """Remembers of contacts that had a stage before whether an import brought what their facts are now."""
    db.execute(_MARK, {"contacts": list(taken), "imported": list(taken.values())})


def imported(db: Connection) -> set[int]:
    """Contacts of which an import brought what their facts are now; nobody is told what follows from it."""
    return set(db.scalars(_IMPORTED))


def imported_is_placed(db: Connection) -> None:
    """Whatever follows from imports has followed by now."""
    db.execute(text("update tidegate.contact_lifecycle set imported = false where imported"))


_NOTE = text("""
insert into tidegate.lifecycle_due as due (contact) select distinct unnest(cast(:contacts as bigint[])) as contact
order by contact
on conflict (contact) do update set imported = due.imported and excluded.imported
where due.imported and not excluded.imported""")

_NOTE_ALL = text("""
insert into tidegate.lifecycle_due (contact) select key from tidegate.contacts where merged_into is null order by key
on conflict do nothing""")

_NOTE_USED = text("""
with used as (
  select contact, id from tidegate.usage_debits
  where id > coalesce((select last_debit from tidegate.lifecycle_state), 0)),
noted as (
  insert into tidegate.lifecycle_due as due (contact, imported)
  select distinct contact, false from used order by contact
  on conflict (contact) do update set imported = false where due.imported)
insert into tidegate.lifecycle_state (last_debit) select max(id) from used having count(*) > 0
on conflict (alone) do update set last_debit = excluded.last_debit""")

_WAITING = text("""
select exists (select from tidegate.lifecycle_due) or not exists (
  select from tidegate.lifecycle_state
  where kept_at > cast(:as_of as timestamptz) - make_interval(secs => cast(:every as int)))""")

_NOTE_KEPT = text("""
insert into tidegate.lifecycle_state (kept_at) values (:as_of)
on conflict (alone) do update set kept_at = excluded.kept_at""")

_TAKE = text("""
delete from tidegate.lifecycle_due where contact in (
  select contact from tidegate.lifecycle_due order by since, contact limit :limit for update skip locked)
returning contact, imported""")

_MARK = text("""
update tidegate.contact_lifecycle l set imported = t.imported
from unnest(cast(:contacts as bigint[]), cast(:imported as boolean[])) as t(contact, imported)
where l.contact = t.contact and l.stage is not null and l.imported <> t.imported""")

_IMPORTED = text("select contact from tidegate.contact_lifecycle where imported")
