"""Who changed what of contacts, and what undoing it needs: one row per change, written with it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from tidegate.errors import ChangeUnknown

CONTACTS = ("contact", "account", "user", "from", "into")
"""What in `what` is a contact."""


def note(
    db: Connection,
    action: str,
    by: str,
    *,
    contact: int | None = None,
    what: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
) -> int:
    """Writes down a change by a person or token and returns its number. `before`: what undoing needs, as JSON.

    Contacts stand in it by internal key, those in `what` under the names of `CONTACTS`: their ids may be addresses, and
    nothing of a contact may stay with others when it is forgotten.
    """
    values = {
        "action": action,
        "by": by,
        "contact": contact,
        "what": json.dumps(dict(what or {}), default=str),
        "before": json.dumps(dict(before or {}), default=str),
    }
    return int(db.execute(_NOTE, values).scalar_one())


def to_undo(db: Connection, number: int, action: str) -> RowMapping:
    """A change of that kind that was not undone yet, locked. Raises ChangeUnknown."""
    row = db.execute(_ONE, {"id": number, "action": action}).mappings().first()
    if row is None:
        raise ChangeUnknown(action=action, number=number, problem="there is none of that number.")
    if row["undone_at"] is not None:
        raise ChangeUnknown(action=action, number=number, problem=f"it was undone on {row['undone_at']:%Y-%m-%d}.")
    if not row["before"]:
        raise ChangeUnknown(action=action, number=number, problem="what it needs was erased with a contact.")
    return row


def complete(db: Connection, number: int, before: Mapping[str, Any]) -> None:
    """Adds to a change what undoing it needs, once that is known."""
    db.execute(_COMPLETE, {"id": number, "before": json.dumps(dict(before), default=str)})


def undone(db: Connection, number: int) -> None:
    """Marks a change as undone; what undoing it needed is not needed again."""
    statement = text("update tidegate.contact_changes set undone_at = now(), before = '{}' where id = :id")
    db.execute(statement, {"id": number})


def of_contact(db: Connection, contact: int, limit: int = 20) -> list[dict[str, Any]]:
    """The newest changes of a contact (internal key): {id, action, by, at, what, undone_at}; `what` names contacts by
    the ids that they have now.
    """
    rows = [dict(row) for row in db.execute(_OF_CONTACT, {"contact": contact, "limit": limit}).mappings()]
    name(db, [row["what"] for row in rows])
    return rows


def name(db: Connection, what: Sequence[dict[str, Any]]) -> None:
    """Puts the ids that contacts have now where changes tell their internal keys."""
    keys = {one[role] for one in what for role in CONTACTS if isinstance(one.get(role), int)}
    refs: dict[int, str] = {row.key: row.ref for row in db.execute(_REFS, {"keys": sorted(keys)})} if keys else {}
    for one in what:
        one |= {role: refs[key] for role in CONTACTS if (key := one.get(role)) in refs}


_NOTE = text("""
insert into tidegate.contact_changes (action, contact, by, what, before)
values (:action, :contact, :by, cast(:what as jsonb), cast(:before as jsonb)) returning id""")

_ONE = text("select * from tidegate.contact_changes where id = :id and action = :action for update")

_COMPLETE = text("update tidegate.contact_changes set before = cast(:before as jsonb) where id = :id")

_OF_CONTACT = text("""
select id, action, by, at, what, undone_at from tidegate.contact_changes where contact = :contact
order by id desc limit :limit""")

_REFS = text("""
select key, kind || ':' || external_id as ref from tidegate.contacts where key = any(cast(:keys as bigint[]))""")
