"""Erases what is known of a person beside Stripe: names, addresses, properties, and the record of their changes."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from tidegate.contacts import matched_by
from tidegate.contacts.directory import Contact, add_id
from tidegate.contacts.match import fold


def with_merged(db: Connection, contact: int) -> list[int]:
    """The contact (internal key) and those that were merged into it, whose rows still hold what they were."""
    return list(db.scalars(_WITH_MERGED, {"contact": contact}))


def customers_of(db: Connection, contacts: Sequence[int]) -> list[tuple[str, str]]:
    """The customers of these contacts, as (connection, Stripe's id)."""
    return [(row.connection, row.customer) for row in db.execute(_CUSTOMERS, {"contacts": list(contacts)})]


def left_behind(db: Connection, connection: str, livemode: bool, customers: Sequence[str]) -> list[int]:
    """Contacts (internal keys) that were made from one of these customers, still go by its address or id, and have no
    customer any more: whoever the customers are now, they are the same person.
    """
    values = {"connection": connection, "customers": list(customers)}
    ids = {*customers, *(fold(email) for email in db.scalars(_ADDRESSES, values))}
    return list(db.scalars(_LEFT_BEHIND, {"livemode": livemode, "ids": sorted(ids)}))


def unfollow(db: Connection, connection: str, livemode: bool, customers: Sequence[str]) -> None:
    """Takes from contacts that had one of these customers before the name and address that they took over from it and
    that no customer of theirs has.
    """
    values = {"connection": connection, "customers": list(customers)}
    emails = sorted({fold(email) for email in db.scalars(_ADDRESSES, values)})
    db.execute(_UNFOLLOW_NAME, values | {"livemode": livemode})
    for row in db.execute(_FOLLOWING, {"livemode": livemode, "emails": emails}).all():
        if row.folded not in {fold(email) for email in row.theirs}:
            db.execute(_UNFOLLOW_EMAIL, {"contact": row.contact, "email": row.email})
            db.execute(_DROP_EMAIL, {"contact": row.contact, "folded": row.folded})


def refs_of(db: Connection, contacts: Sequence[int]) -> list[str]:
    """Everything that these contacts (internal keys) may have been called: `account:acme`."""
    return list(db.scalars(_REFS, {"contacts": list(contacts)}))


def words_of(db: Connection, contacts: Sequence[int], customers: Sequence[tuple[str, str]]) -> list[str]:
    """By what these contacts (internal keys) and customers (connection, Stripe's id) may be called, in lower case:
    names, addresses, ids, telephone numbers. Before they are erased. What is shorter than 4 characters names nobody.
    """
    named = {
        "contacts": list(contacts),
        "connections": [connection for connection, _ in customers],
        "customers": [customer for _, customer in customers],
    }
    return sorted({word.strip().lower() for word in db.scalars(_WORDS, named) if len(word.strip()) >= 4})


def digest(kind: str, external_id: str) -> bytes:
    """What is kept of an id that went with who was forgotten, so that it is known when a warehouse says it again."""
    return hashlib.sha256(f"{kind}:{fold(external_id)}".encode()).digest()


def erase(db: Connection, contact: Contact, contacts: Sequence[int]) -> str:
    """Erases a contact, and those merged into it (`contacts`, internal keys), and returns the id that it has now.

    An id that holds an e-mail address goes, but for its `digest`; an id of yours without one stays and goes on leading
    to it. What was changed of it cannot be undone any more. In the caller's transaction.
    """
    values = {"contacts": list(contacts)}
    gone = db.execute(_DROP_IDS, values).all()
    ids = [row.external_id for row in gone]
    digests = [digest(row.kind, row.external_id) for row in gone]
    db.execute(_KEEP_DIGESTS, {"livemode": contact.livemode, "digests": digests})
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
    matched_by.drop(db, connection, customers)
    gone = {(connection, customer) for customer in customers}
    for row in db.execute(_REMEMBERED, values).all():
        before: dict[str, Any] = row.before
        if "reviews" in before:
            before["reviews"] = [one for one in before["reviews"] if _whose(one) not in gone]
        if "links" in before:
            before["links"] = [one | {"evidence": {}} if _whose(one) in gone else one for one in before["links"]]
        change = {"id": row.id, "before": json.dumps(before)}
        db.execute(text("update tidegate.contact_changes set before = cast(:before as jsonb) where id = :id"), change)


def _whose(row: dict[str, Any]) -> tuple[str, str]:
    return row["connection"], row["customer"]


_WITH_MERGED = text("""
with recursive theirs(key) as (
  select cast(:contact as bigint)
  union select c.key from tidegate.contacts c join theirs t on c.merged_into = t.key)
select key from theirs order by key""")

_CUSTOMERS = text("""
select connection, customer from tidegate.links where contact = any(cast(:contacts as bigint[])) order by 1, 2""")

_DROP_IDS = text("""
delete from tidegate.contact_ids where contact = any(cast(:contacts as bigint[])) and external_id like '%@%'
returning kind, external_id""")

_KEEP_DIGESTS = text("""
insert into tidegate.forgotten_ids (livemode, digest)
select distinct cast(:livemode as boolean), digest from unnest(cast(:digests as bytea[])) as gone(digest)
on conflict do nothing""")

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

# Acceptances and merges keep rows of links and of the queue, to put them back.
_REMEMBERED = text("""
select id, before from tidegate.contact_changes
where action in ('accept_part', 'merge') and exists (
  select from jsonb_array_elements(coalesce(before -> 'reviews', '[]') || coalesce(before -> 'links', '[]')) r
  where r ->> 'connection' = :connection and r ->> 'customer' = any(cast(:customers as text[])))
for update""")

_ADDRESSES = text("""
select email from stripe.customers
where connection = :connection and id = any(cast(:customers as text[])) and email <> ''
union
select email from tidegate.matched_by
where connection = :connection and customer = any(cast(:customers as text[])) and email <> ''""")

_LEFT_BEHIND = text("""
select c.key from tidegate.contacts c
where c.livemode = :livemode and c.made_by = 'stripe' and c.external_id = any(cast(:ids as text[]))
  and c.merged_into is null and c.forgotten_at is null
  and not exists (select from tidegate.links l where l.contact = c.key)
order by c.key""")

_UNFOLLOW_NAME = text("""
update tidegate.contacts c set name = '', updated_at = now()
from stripe.customers s
where s.connection = :connection and s.id = any(cast(:customers as text[])) and s.name <> ''
  and c.livemode = :livemode and c.name = s.name and not c.name_is_yours and not exists (
    select from tidegate.links l join stripe.customers o on o.connection = l.connection and o.id = l.customer
    where l.contact = c.key and o.name = c.name)""")

_FOLLOWING = text("""
select e.contact, e.folded, e.email, array(
  select s.email from tidegate.links l
  join stripe.customers s on s.connection = l.connection and s.id = l.customer
  where l.contact = e.contact and s.email <> '') as theirs
from tidegate.contact_emails e join tidegate.contacts c on c.key = e.contact
where e.folded = any(cast(:emails as text[])) and e.followed and c.livemode = :livemode""")

_UNFOLLOW_EMAIL = text("""
update tidegate.contacts set email = '', updated_at = now()
where key = :contact and email = :email and not email_is_yours""")

_DROP_EMAIL = text("delete from tidegate.contact_emails where contact = :contact and folded = :folded")

_WORDS = text("""
select unnest(array[c.name, c.email, c.external_id]) from tidegate.contacts c
where c.key = any(cast(:contacts as bigint[]))
union select email from tidegate.contact_emails where contact = any(cast(:contacts as bigint[]))
union select external_id from tidegate.contact_ids where contact = any(cast(:contacts as bigint[]))
union select unnest(array_remove(array[s.name, s.email, s.phone], null)) from stripe.customers s
join unnest(cast(:connections as text[]), cast(:customers as text[])) as theirs(connection, customer)
  on s.connection = theirs.connection and s.id = theirs.customer""")

_REFS = text("""
select kind || ':' || external_id from tidegate.contact_ids where contact = any(cast(:contacts as bigint[]))
union select kind || ':' || external_id from tidegate.contacts where key = any(cast(:contacts as bigint[]))""")
