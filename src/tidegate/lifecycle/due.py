"""The queue of contacts whose facts may be others by now; the refresh writes it in its transaction."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from tidegate.store.driver import rows


def note(db: Connection, contacts: Sequence[int], *, history: bool = False) -> None:
    """Queues contacts (internal keys); those of an import (`outbox.as_history`), or of a change that is no news of them
    (`history`), as such, unless they wait already.
    """
    if contacts:
        rows(db, _NOTE, {"contacts": list(contacts), "history": history})


def note_all(db: Connection) -> int:
    """Queues every contact; returns how many there are."""
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


def take(db: Connection, limit: int) -> list[int]:
    """Takes so many off the queue, in the caller's transaction; those that another takes are passed over. Those of whom
    there is no news are marked, until they are placed (`settle_history`).
    """
    taken = db.execute(_TAKE, {"limit": limit}).all()
    if history := [row.contact for row in taken if row.history]:
        db.execute(_MARK, {"contacts": history})
    return [row.contact for row in taken]


def of_history(db: Connection) -> set[int]:
    """Contacts (internal keys) that were not placed since an import, or a merge, changed what is known of them."""
    return set(db.scalars(text("select contact from tidegate.contact_lifecycle where history")))


def settle_history(db: Connection, as_of: datetime) -> None:
    """Notes that they were placed, and nobody told."""
    statement = "update tidegate.contact_lifecycle set history = false, untold_at = :as_of where history"
    db.execute(text(statement), {"as_of": as_of})


_IS_HISTORY = "coalesce(current_setting('tidegate.history', true), '') = 'on'"

# Somebody who waits already is written again: the row is locked until what changed can be seen, so that nobody takes it
# off before and looks at what was.
_NOTE = text(f"""
insert into tidegate.lifecycle_due as due (contact, history)
select distinct unnest(cast(:contacts as bigint[])) as contact, cast(:history as boolean) or {_IS_HISTORY}
order by contact
on conflict (contact) do update set history = due.history and excluded.history""")

_NOTE_ALL = text("""
insert into tidegate.lifecycle_due as due (contact)
select key from tidegate.contacts where merged_into is null order by key
on conflict (contact) do update set history = due.history""")

_NOTE_USED = text("""
with used as (
  select contact, id from tidegate.usage_debits
  where id > coalesce((select last_debit from tidegate.lifecycle_state), 0)),
noted as (
  insert into tidegate.lifecycle_due as due (contact) select distinct contact from used order by contact
  on conflict (contact) do update set history = false)
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
returning contact, history""")

_MARK = text("""
insert into tidegate.contact_lifecycle (contact, history) select unnest(cast(:contacts as bigint[])) as contact, true
order by contact on conflict (contact) do update set history = true""")
