"""Suppresses a contact: destinations are told nothing of it, and no action fires for it, until that is taken back."""

from typing import Any

from sqlalchemy import Connection, text

from tidegate.contacts import changes, directory
from tidegate.delivery import contacts_due, suppressing
from tidegate.errors import ContactInvalid


def suppress(db: Connection, livemode: bool, ref: str, reason: str, by: str) -> dict[str, Any]:
    """{contact, suppressed: {reason, by, at}, taken_back}: of a contact (a ref), with the deliveries that waited.
    Raises ContactUnknown, ContactAmbiguous, and ContactInvalid without a reason.
    """
    if not reason.strip():
        raise ContactInvalid(problem="a contact is suppressed with a reason, so that others know")
    found = directory.find(db, livemode, ref)
    taken = suppressing.suppress(db, found.key, reason.strip(), by)
    changes.note(db, "suppress", by, contact=found.key, what={"reason": reason.strip()})
    return {"contact": found.ref, "suppressed": suppressing.suppressed(db, found.key), "taken_back": taken}


def unsuppress(db: Connection, livemode: bool, ref: str, by: str) -> dict[str, Any]:
    """{contact, suppressed: None, taken_back: 0}: it is told of again, and how it is now. Raises as `suppress`, and
    ContactInvalid for one that is not suppressed.
    """
    found = directory.find(db, livemode, ref)
    if not suppressing.unsuppress(db, found.key):
        raise ContactInvalid(problem=f"{found.ref} is not suppressed")
    changes.note(db, "unsuppress", by, contact=found.key)
    contacts_due.note_contacts(db, [found.key])
    return {"contact": found.ref, "suppressed": None, "taken_back": 0}


def listing(db: Connection, livemode: bool) -> list[dict[str, Any]]:
    """Every suppressed contact: {contact, name, reason, by, at}, the newest first."""
    return [dict(row) for row in db.execute(_EVERY, {"livemode": livemode}).mappings()]


_EVERY = text("""
select c.kind || ':' || c.external_id as contact, c.name, s.reason, s.by, s.at
from tidegate.suppressed_contacts s join tidegate.contacts c on c.key = s.contact
where c.livemode = :livemode and c.merged_into is null order by s.at desc, c.key""")
