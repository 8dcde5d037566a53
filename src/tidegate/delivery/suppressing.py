"""Contacts that nobody is told of: nothing becomes due of them, and what was due is taken back."""

import json
from typing import Any

from sqlalchemy import Connection, text


def suppress(db: Connection, contact: int, reason: str, by: str) -> int:
    """Tells nobody of a contact (internal key) from now on, but that it was forgotten; returns how many deliveries that
    waited were taken back.
    """
    db.execute(_SUPPRESS, {"contact": contact, "reason": reason, "by": by})
    return db.execute(_TAKE_BACK, {"contact": contact}).rowcount


def unsuppress(db: Connection, contact: int) -> bool:
    """Tells of it again, of what happens from now on; False: it was not suppressed."""
    return bool(db.execute(_UNSUPPRESS, {"contact": contact}).rowcount)


def suppressed(db: Connection, contact: int) -> dict[str, Any] | None:
    """{reason, by, at}; None: it is not suppressed."""
    row = db.execute(_ONE, {"contact": contact}).mappings().first()
    return None if row is None else dict(row)


def merge(db: Connection, kept: int, other: int) -> dict[str, Any] | None:
    """Whoever becomes part of another brings its suppression along: where one of both was suppressed, what was due to
    either is taken back. Returns what `part` needs.
    """
    came: dict[str, Any] | None = db.scalar(_MERGE, {"kept": kept, "other": other})
    if suppressed(db, kept) is not None:
        for contact in (kept, other):
            db.execute(_TAKE_BACK, {"contact": contact})
    return came


def part(db: Connection, came: dict[str, Any] | None) -> int | None:
    """Takes back the suppression that came with a merge, unless it was said anew since; what was due before it stays
    unsent. Returns the contact (internal key) that is told of again.
    """
    return None if came is None else db.scalar(_PART, {"row": json.dumps(came)})


_SUPPRESS = text("""
insert into tidegate.suppressed_contacts (contact, reason, by) values (:contact, :reason, :by)
on conflict (contact) do update set reason = excluded.reason, by = excluded.by, at = now()""")

_TAKE_BACK = text("""
delete from tidegate.deliveries d
where d.contact = :contact and d.state in ('waiting', 'dead') and not exists (
  select from tidegate.outbox o where o.id = d.outbox and o.type = 'contact.forgotten')""")

_UNSUPPRESS = text("delete from tidegate.suppressed_contacts where contact = :contact")

_ONE = text("select reason, by, at from tidegate.suppressed_contacts where contact = :contact")

_MERGE = text("""
insert into tidegate.suppressed_contacts (contact, reason, by, at)
select :kept, reason, by, at from tidegate.suppressed_contacts where contact = :other on conflict do nothing
returning to_jsonb(suppressed_contacts)""")

_PART = text("""
delete from tidegate.suppressed_contacts s
using jsonb_populate_record(null::tidegate.suppressed_contacts, cast(:row as jsonb)) r
where s.contact = r.contact and (s.reason, s.by, s.at) = (r.reason, r.by, r.at) returning s.contact""")
