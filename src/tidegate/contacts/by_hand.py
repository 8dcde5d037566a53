"""Links that a person or a list of yours makes and undoes; they survive every sync."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from tidegate.contacts import changes
from tidegate.contacts.directory import Contact
from tidegate.delivery.outbox import Told, tell
from tidegate.errors import ContactInvalid, CustomerUnknown


def link(
    db: Connection,
    connection: str,
    livemode: bool,
    customer: str,
    contact: Contact,
    *,
    by: str,
    evidence: Mapping[str, Any] | None = None,
) -> None:
    """Makes a customer that the mirror has the contact's, whoever's it was. Raises CustomerUnknown, ContactInvalid."""
    require_customer(db, connection, customer)
    require_mode(contact, livemode)
    before = holder(db, connection, customer)
    values = {"method": "manual", "evidence": json.dumps(dict(evidence or {})), "by": by}
    db.execute(_PUT, {"connection": connection, "customer": customer, "contact": contact.key, **values})
    settle(db, connection, customer)
    what = {"connection": connection, "customer": customer}
    changes.note(db, "link", by, contact=contact.key, what=what, before={"contact": before})
    if before == contact.key:
        return
    if before is not None:
        tell(db, [Told("contact.unlinked", {"customer": customer, "by": by}, before, connection)])
    data = {"customer": customer, "method": "manual", "evidence": dict(evidence or {})}
    tell(db, [Told("contact.linked", data, contact.key, connection)])


def keep_apart(db: Connection, connection: str, customer: str, *, by: str) -> None:
    """Takes a customer from its contact, if it has one, and lets no matching link it again. Raises CustomerUnknown."""
    before = holder(db, connection, customer)
    if before is None:
        require_customer(db, connection, customer)
    values = {"method": "manual", "evidence": "{}", "by": by}
    db.execute(_PUT, {"connection": connection, "customer": customer, "contact": None, **values})
    settle(db, connection, customer)
    _gone(db, "unlink", connection, customer, before, by)


def let_go(db: Connection, connection: str, customer: str, *, by: str) -> None:
    """Forgets what links a customer, or keeps it apart, so that matching decides again. Raises CustomerUnknown."""
    before = holder(db, connection, customer)
    if before is None:
        require_customer(db, connection, customer)
    db.execute(_DROP, {"connection": connection, "customer": customer})
    _gone(db, "rematch", connection, customer, before, by)


def _gone(db: Connection, action: str, connection: str, customer: str, before: int | None, by: str) -> None:
    what = {"connection": connection, "customer": customer}
    changes.note(db, action, by, contact=before, what=what, before={"contact": before})
    if before is not None:
        tell(db, [Told("contact.unlinked", {"customer": customer, "by": by}, before, connection)])


def holder(db: Connection, connection: str, customer: str) -> int | None:
    """The contact (internal key) that the customer is linked to."""
    return db.scalar(_HOLDER, {"connection": connection, "customer": customer})


def settle(db: Connection, connection: str, customer: str) -> None:
    """Takes a customer out of the review queue."""
    statement = text("delete from tidegate.reviews where connection = :connection and customer = :customer")
    db.execute(statement, {"connection": connection, "customer": customer})


def require_customer(db: Connection, connection: str, customer: str) -> None:
    """Raises CustomerUnknown for a customer that the mirror lacks: a typing error would wait for ever."""
    if not db.scalar(_KNOWN, {"connection": connection, "customer": customer}):
        raise CustomerUnknown(connection=connection, customer=customer)


def require_mode(contact: Contact, livemode: bool) -> None:
    """Raises ContactInvalid where a contact of test data would get a live customer, or the other way round."""
    if contact.livemode != livemode:
        own, other = ("live", "test") if contact.livemode else ("test", "live")
        raise ContactInvalid(problem=f"{contact.ref} is a contact of {own} data, the connection is in {other} mode")


_PUT = text("""
insert into tidegate.links (connection, customer, contact, method, evidence, linked_by)
values (:connection, :customer, :contact, :method, cast(:evidence as jsonb), :by)
on conflict (connection, customer) do update set contact = excluded.contact, method = excluded.method,
  evidence = excluded.evidence, linked_by = excluded.linked_by, linked_at = now(), batch = null""")

_DROP = text("delete from tidegate.links where connection = :connection and customer = :customer")

_HOLDER = text("select contact from tidegate.links where connection = :connection and customer = :customer")

_KNOWN = text("""
select exists(select from stripe.customers where connection = :connection and id = :customer)""")
