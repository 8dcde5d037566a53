"""The queue of contacts whose facts may be others by now; the refresh writes it in its transaction."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, text

from tidegate.store.driver import rows

Quiet = Literal["begin", "rules"]
"""Why nobody is told of a change: an import brought it, or other rules did."""


def note(db: Connection, contacts: Sequence[int], *, history: bool = False) -> None:
    """Queues contacts (internal keys); those of an import (`outbox.as_history`), of whom other rules say something else
    (`by_other_rules`), or of a change that is no news of them (`history`), as such, unless they wait already.
    """
    if contacts:
        rows(db, _NOTE, {"contacts": list(contacts), "history": history})


@contextmanager
def by_other_rules(db: Connection, *, are: bool = True) -> Generator[None]:
    """Whoever this transaction queues in between is queued because other rules, such as a policy of the ledger, say
    something else of them: they move, and nobody is told.
    """
    db.execute(_BY_RULES, {"on": "on" if are else "off"})
    yield
    db.execute(_BY_RULES, {"on": "off"})


def silently(db: Connection) -> None:
    """Whoever this transaction queues by writing contacts is queued without any news: nothing happens to them by it."""
    db.execute(text("select set_config('tidegate.silent', 'on', true)"))


def note_all(db: Connection) -> int:
    """Queues every contact; returns how many there are."""
    return db.execute(_NOTE_ALL).rowcount


def note_used(db: Connection) -> None:
    """Queues those whose usage changed since this was asked last, in the caller's transaction."""
    db.execute(_NOTE_USED)


def note_outdated(db: Connection, as_of: datetime) -> None:
    """Queues those whose worth was told by exchange rates that are too old by now: it is unknown from then on. Nobody
    is told of what that moves, for it is no news of them.
    """
    db.execute(_NOTE_OUTDATED, {"today": as_of.date()})


def waiting(db: Connection, every: int, as_of: datetime) -> bool:
    """Whether somebody waits, or nobody was looked at for so many seconds."""
    return db.scalar(_WAITING, {"every": every, "as_of": as_of})


def note_kept(db: Connection, as_of: datetime) -> None:
    """Notes that everybody was looked at."""
    db.execute(_NOTE_KEPT, {"as_of": as_of})


def take(db: Connection, limit: int) -> list[int]:
    """Takes so many off the queue, in the caller's transaction; those that another takes are passed over. Those of whom
    there is no news are marked, and those of whom there is are noted, until they are placed (`settle`).
    """
    taken = db.execute(_TAKE, {"limit": limit}).all()
    if history := [row for row in taken if row.history]:
        marked = {"contacts": [row.contact for row in history], "by_rules": [row.by_rules for row in history]}
        db.execute(_MARK, marked)
    if news := [row.contact for row in taken if not row.history]:
        db.execute(_NOTE_NEWS, {"contacts": news})
    return [row.contact for row in taken]


def of_history(db: Connection) -> dict[int, Quiet]:
    """Contacts (internal keys) that were not placed since they became others without any news: by an import or a
    change of contacts (`begin`), or by other rules. Whoever something else happened to as well is not among them.
    """
    return {row.contact: "rules" if row.by_rules else "begin" for row in db.execute(_OF_HISTORY)}


def settle(db: Connection, as_of: datetime) -> None:
    """Notes that all who were taken were placed, and nobody told of those that are `of_history`."""
    db.execute(_SETTLE, {"as_of": as_of})
    db.execute(_SETTLE_NEWS)


_BY_RULES = text("select set_config('tidegate.rules', :on, true)")
_IS_BY_RULES = "coalesce(current_setting('tidegate.rules', true), '') = 'on'"
_IS_HISTORY = f"(coalesce(current_setting('tidegate.history', true), '') = 'on' or {_IS_BY_RULES})"

# Somebody who waits already is written again: the row is locked until what changed can be seen, so that nobody takes it
# off before and looks at what was.
_NOTE = text(f"""
insert into tidegate.lifecycle_due as due (contact, history, by_rules)
select distinct unnest(cast(:contacts as bigint[])) as contact, cast(:history as boolean) or {_IS_HISTORY},
  {_IS_BY_RULES}
order by contact
on conflict (contact) do update set history = due.history and excluded.history,
  by_rules = due.by_rules and excluded.by_rules""")

_NOTE_ALL = text(f"""
insert into tidegate.lifecycle_due as due (contact, history, by_rules)
select key, {_IS_HISTORY}, {_IS_BY_RULES} from tidegate.contacts where merged_into is null order by key
on conflict (contact) do update set history = due.history""")

# What is not committed yet is there the next time, whatever came after it.
_NOTE_USED = text("""
with used as (delete from tidegate.used_contacts returning contacts)
insert into tidegate.lifecycle_due as due (contact)
select distinct coalesce(c.merged_into, c.key) as contact
from used, unnest(contacts) who join tidegate.contacts c on c.key = who order by contact
on conflict (contact) do update set history = false, by_rules = false""")

_NOTE_OUTDATED = text("""
insert into tidegate.lifecycle_due as due (contact, history, by_rules)
select contact, true, true from tidegate.contact_lifecycle where rated_until < :today order by contact
on conflict (contact) do update set history = due.history and excluded.history,
  by_rules = due.by_rules and excluded.by_rules""")

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
returning contact, history, by_rules""")

_MARK = text("""
insert into tidegate.contact_lifecycle as l (contact, history, by_rules)
select contact, true, by_rules
from unnest(cast(:contacts as bigint[]), cast(:by_rules as boolean[])) as marked(contact, by_rules)
order by contact
on conflict (contact) do update set history = true,
  by_rules = case when l.history then l.by_rules and excluded.by_rules else excluded.by_rules end""")

_NOTE_NEWS = text("""
insert into tidegate.lifecycle_news (contact) select unnest(cast(:contacts as bigint[])) order by 1
on conflict do nothing""")

# Of whom there is no news that was looked at, or that waits: what it is worth is another thing at once.
_NO_NEWS = """not exists (select from tidegate.lifecycle_news n where n.contact = {0}.contact)
  and not exists (select from tidegate.lifecycle_due w where w.contact = {0}.contact and not w.history)"""

# Whoever was queued since is as good as marked: its worth is another one already.
_OF_HISTORY = text(f"""
select contact, bool_and(by_rules) as by_rules from (
  select contact, by_rules from tidegate.lifecycle_due where history
  union all
  select contact, by_rules from tidegate.contact_lifecycle where history) quiet
where {_NO_NEWS.format("quiet")} group by contact""")

_SETTLE = text(f"""
update tidegate.contact_lifecycle l set history = false, by_rules = false,
  untold_at = case when {_NO_NEWS.format("l")} then cast(:as_of as timestamptz) else untold_at end
where history""")

_SETTLE_NEWS = text("delete from tidegate.lifecycle_news")
