"""Notes and tasks that people write about contacts; each change is audited, and goes with its contact."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.contacts import changes
from tidegate.contacts.directory import Contact
from tidegate.errors import LifecycleInvalid, NoteUnknown, TaskUnknown

LONGEST = 10_000
"""Characters of a note or a task."""


def write(db: Connection, contact: Contact, said: str, by: str, as_of: datetime) -> dict[str, Any]:
    """Writes a note: {id, text, by, at}. Raises LifecycleInvalid for one that is empty or too long."""
    values = {"contact": contact.key, "text": _checked(said, "note"), "by": by, "as_of": as_of}
    row = dict(db.execute(_WRITE, values).mappings().one())
    changes.note(db, "note", by, contact=contact.key, what={"note": row["id"]})
    return row


def erase(db: Connection, contact: Contact, note: int, by: str) -> None:
    """Takes a note of the contact away. Raises NoteUnknown."""
    if not db.execute(_ERASE, {"id": note, "contact": contact.key}).rowcount:
        raise NoteUnknown(note=note, contact=contact.ref)
    changes.note(db, "note_removed", by, contact=contact.key, what={"note": note})


def add_task(
    db: Connection, contact: Contact, said: str, by: str, as_of: datetime, *, due_on: date | None = None
) -> dict[str, Any]:
    """Adds a task to a contact, as `tasks` shows it. Raises LifecycleInvalid."""
    values = {"contact": contact.key, "text": _checked(said, "task"), "due_on": due_on, "by": by, "as_of": as_of}
    number = int(db.execute(_ADD, values).scalar_one())
    changes.note(db, "task", by, contact=contact.key, what={"task": number})
    return task(db, number)


def change_task(db: Connection, number: int, by: str, as_of: datetime, given: Mapping[str, Any]) -> dict[str, Any]:
    """Changes what is given of `text`, `due_on` (None: some day) and `done`; one that is done keeps who did it first.

    Raises TaskUnknown and LifecycleInvalid.
    """
    known = db.execute(_HELD, {"id": number}).one_or_none()
    if known is None:
        raise TaskUnknown(task=number)
    done = given.get("done")
    values = {
        "id": number,
        "text": _checked(given["text"], "task") if "text" in given else known.text,
        "due_on": given.get("due_on", known.due_on),
        "done_at": known.done_at if done is None else (known.done_at or as_of) if done else None,
        "done_by": known.done_by if done is None else (known.done_by or by) if done else "",
    }
    db.execute(_CHANGE, values)
    action = "task_changed" if done is None else "task_done" if done else "task_reopened"
    changes.note(db, action, by, contact=known.contact, what={"task": number})
    return task(db, number)


def remove_task(db: Connection, number: int, by: str) -> None:
    """Takes a task away. Raises TaskUnknown."""
    contact = db.scalar(text("delete from tidegate.contact_tasks where id = :id returning contact"), {"id": number})
    if contact is None:
        raise TaskUnknown(task=number)
    changes.note(db, "task_removed", by, contact=contact, what={"task": number})


def task(db: Connection, number: int) -> dict[str, Any]:
    """One of `tasks`. Raises TaskUnknown."""
    row = db.execute(text(f"{_TASK} where t.id = :id"), {"id": number}).mappings().one_or_none()
    if row is None:
        raise TaskUnknown(task=number)
    return dict(row)


def tasks(
    db: Connection,
    livemode: bool,
    *,
    contact: int | None = None,
    owner: str | None = None,
    due_by: date | None = None,
    done: bool = False,
    after: int = 0,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Tasks, those that are due first: {id, contact, name, owner, text, due_on, by, at, done_at, done_by}.

    `contact`: internal key; `owner`: of the contact; `due_by`: up to that day; `done`: also those that are done;
    `after`: how many are passed over.
    """
    values = {
        "livemode": livemode, "contact": contact, "owner": owner, "due_by": due_by, "done": done, "after": after,
        "limit": limit,
    }  # fmt: skip
    return [dict(row) for row in db.execute(_TASKS, values).mappings()]


def move(db: Connection, kept: int, other: int) -> dict[str, list[int]]:
    """Gives notes and tasks of `other` (internal keys) to `kept`; returns which, for `give_back`."""
    pair = {"kept": kept, "other": other}
    return {table: list(db.scalars(text(_MOVE.format(table=table)), pair)) for table in _TABLES}


def give_back(db: Connection, kept: int, other: int, moved: Mapping[str, Sequence[int]]) -> None:
    """Gives back what was moved; what came since stays where it is."""
    for table in _TABLES:
        values = {"kept": kept, "other": other, "ids": list(moved.get(table, ()))}
        db.execute(text(_GIVE_BACK.format(table=table)), values)


def forget(db: Connection, contacts: Sequence[int]) -> dict[str, int]:
    """Deletes notes and tasks of contacts (internal keys), and takes from their moves and alerts the reasons, which may
    say what is personal; returns how many rows by table.
    """
    values = {"contacts": list(contacts)}
    return {f"tidegate.{table}": db.execute(text(statement), values).rowcount for table, statement in _FORGET.items()}


def _checked(said: str, what: str) -> str:
    wanted = said.strip()
    if not wanted or len(wanted) > LONGEST or "\0" in wanted:
        raise LifecycleInvalid(problem=f"A {what} is a text of up to {LONGEST:,} characters.")
    return wanted


_TABLES = ("contact_notes", "contact_tasks")

_WRITE = text("""
insert into tidegate.contact_notes (contact, text, by, at) values (:contact, :text, :by, :as_of)
returning id, text, by, at""")

_ERASE = text("delete from tidegate.contact_notes where id = :id and contact = :contact")

_ADD = text("""
insert into tidegate.contact_tasks (contact, text, due_on, by, at) values (:contact, :text, :due_on, :by, :as_of)
returning id""")

_HELD = text("""
select contact, text, due_on, done_at, done_by from tidegate.contact_tasks where id = :id for update""")

_CHANGE = text("""
update tidegate.contact_tasks set text = :text, due_on = :due_on, done_at = :done_at, done_by = :done_by
where id = :id""")

_TASK = """
select t.id, c.kind || ':' || c.external_id as contact, c.name, c.owner, t.text, t.due_on, t.by, t.at, t.done_at,
  t.done_by
from tidegate.contact_tasks t join tidegate.contacts c on c.key = t.contact"""

_TASKS = text(f"""{_TASK}
where c.livemode = :livemode and (:done or t.done_at is null)
  and (cast(:contact as bigint) is null or t.contact = :contact)
  and (cast(:owner as text) is null or c.owner = :owner)
  and (cast(:due_by as date) is null or t.due_on <= :due_by)
order by t.done_at is not null, t.due_on nulls last, t.id limit :limit offset :after""")

_MOVE = "update tidegate.{table} set contact = :kept where contact = :other returning id"

_GIVE_BACK = """
update tidegate.{table} set contact = :other where contact = :kept and id = any(cast(:ids as bigint[]))"""

_FORGET = {
    "contact_notes": "delete from tidegate.contact_notes where contact = any(cast(:contacts as bigint[]))",
    "contact_tasks": "delete from tidegate.contact_tasks where contact = any(cast(:contacts as bigint[]))",
    "memberships": """
update tidegate.memberships set reasons = '[]' where contact = any(cast(:contacts as bigint[])) and reasons <> '[]'""",
    "alerts": """
update tidegate.alerts set reasons = '[]', note = ''
where contact = any(cast(:contacts as bigint[])) and (reasons <> '[]' or note <> '')""",
}
