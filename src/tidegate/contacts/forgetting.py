"""Erases what is known of a person beside Stripe: names, addresses, properties, and the record of their changes."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from tidegate.contacts.directory import Contact, add_id


def with_merged(db: Connection, contact: int) -> list[int]:
    """The contact (internal key) and those that were merged into it, whose rows still hold what they were."""
    return list(db.scalars(_WITH_MERGED, {"contact": contact}))


def customers_of(db: Connection, contacts: Sequence[int]) -> list[tuple[str, str]]:
    """The customers of these contacts, as (connection, Stripe's id)."""
    return [(row.connection, row.customer) for row in db.execute(_CUSTOMERS, {"contacts": list(contacts)})]


def erase(db: Connection, contact: Contact, contacts: Sequence[int]) -> str:
    """Erases a contact, and those merged into it (`contacts`, internal keys), and returns the id that it has now.

    An id that holds an e-mail address goes; an id of yours without one stays and goes on leading to it. What was
    changed of it cannot be undone any more. In the caller's transaction.
    """
    values = {"contacts": list(contacts)}
    ids = list(db.scalars(_DROP_IDS, values))
    left = list(db.scalars(text("select external_id from tidegate.contact_ids where contact = :c"), {"c": contact.key}))
    own = contact.external_id if contact.external_id not in ids else next(iter(sorted(left)), "")
    if not own:
        own = f"forgotten-{contact.key}"
        add_id(db, contact.livemode, contact.kind, own, contact.key)
    for statement in _ERASE:
        db.execute(statement, values)
    db.execute(_RENAME, {"contact": contact.key, "id": own})
    return own


def erase_customers(db: Connection, connection: str, customers: Sequence[str]) -> None:
    """Erases what was tried and seen to link these customers (Stripe ids). In the caller's transaction."""
    values = {"connection": connection, "customers": list(customers)}
    db.execute(_DROP_REVIEWS, values)
    db.execute(_DROP_EVIDENCE, values)
    for row in db.execute(_ACCEPTED, values | {"connection": connection}).all():
        before: dict[str, Any] = row.before
        reviews = [one for one in before["reviews"] if one["customer"] not in set(customers)]
        change = {"id": row.id, "before": json.dumps(before | {"reviews": reviews})}
        db.execute(text("update tidegate.contact_changes set before = cast(:before as jsonb) where id = :id"), change)


_WITH_MERGED = text("""
with recursive theirs(key) as (
  select cast(:contact as bigint)
  union select c.key from tidegate.contacts c join theirs t on c.merged_into = t.key)
select key from theirs order by key""")

_CUSTOMERS = text("""
select connection, customer from tidegate.links where contact = any(cast(:contacts as bigint[])) order by 1, 2""")

_DROP_IDS = text("""
delete from tidegate.contact_ids where contact = any(cast(:contacts as bigint[])) and external_id like '%@%'
returning external_id""")

_ERASE = (
    text("delete from tidegate.contact_emails where contact = any(cast(:contacts as bigint[]))"),
    text("delete from tidegate.contact_domains where contact = any(cast(:contacts as bigint[]))"),
    text("""
update tidegate.contacts set name = '', email = '', properties = '{}', forgotten_at = coalesce(forgotten_at, now()),
  updated_at = now(), external_id = case when external_id like '%@%' then 'forgotten-' || key else external_id end
where key = any(cast(:contacts as bigint[]))"""),
    text("""
update tidegate.contact_changes set what = '{}', before = '{}' where contact = any(cast(:contacts as bigint[]))"""),
)

_RENAME = text("update tidegate.contacts set external_id = :id where key = :contact")

_DROP_REVIEWS = text("""
delete from tidegate.reviews where connection = :connection and customer = any(cast(:customers as text[]))""")

_DROP_EVIDENCE = text("""
update tidegate.links set evidence = '{}'
where connection = :connection and customer = any(cast(:customers as text[]))""")

_ACCEPTED = text("""
select id, before from tidegate.contact_changes
where action = 'accept' and before ->> 'connection' = :connection
  and exists (select from jsonb_array_elements(before -> 'reviews') r
              where r ->> 'customer' = any(cast(:customers as text[])))
for update""")
