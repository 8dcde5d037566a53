"""Writes contacts of your lists, many at once: made where they are new, changed where they differ, linked, joined."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from tidegate.contacts.addresses import registrable
from tidegate.contacts.match import fold
from tidegate.contacts.records import Record
from tidegate.delivery.outbox import Told
from tidegate.errors import ContactInvalid, ContactUnknown


@dataclass(slots=True)
class Recorded:
    """What writing records did. `keys`: the contact (internal key) of each record; `linked`: customers (Stripe ids)
    that became somebody's by it; `contacts`: whose facts changed, those that lost a customer among them.
    """

    keys: list[int] = field(default_factory=list[int])
    created: int = 0
    updated: set[int] = field(default_factory=set[int])
    linked: list[str] = field(default_factory=list[str])
    joined: int = 0
    contacts: set[int] = field(default_factory=set[int])
    told: list[Told] = field(default_factory=list[Told])


def known(db: Connection, livemode: bool, records: Sequence[Record]) -> list[int | None]:
    """The contact (internal key) that each record's id leads to now."""
    values = {"livemode": livemode, "kinds": [one.kind for one in records], "ids": [one.id.strip() for one in records]}
    return list(db.scalars(_KNOWN, values))


def record(
    db: Connection, livemode: bool, records: Sequence[Record], *, connection: str | None, by: str, made_by: str
) -> Recorded:
    """Writes these records, each of another contact, in the caller's transaction. Take `linking.lock` first.

    Memberships are written by `join`, once all contacts are there. Raises ContactInvalid for billing ids without a
    `connection`, and for a customer that is somebody else's by hand.
    """
    done = Recorded()
    before = known(db, livemode, records)
    new = [place for place, key in enumerate(before) if key is None]
    keys = dict(zip(new, _make(db, livemode, [records[place] for place in new], made_by), strict=True))
    done.keys = [key if key is not None else keys[place] for place, key in enumerate(before)]
    done.created = len(new)
    for place in new:
        data = {"kind": records[place].kind, "external_id": records[place].id.strip()}
        done.told.append(Told("contact.created", data, keys[place]))
    old = [place for place, key in enumerate(before) if key is not None]
    done.updated = _update(db, [records[place] for place in old], [done.keys[place] for place in old])
    made = set(keys.values())
    done.updated |= (_emails(db, records, done.keys) | _domains(db, records, done.keys)) - made
    done.contacts = done.updated | made
    _link(db, connection, records, done, by)
    return done


def take_away(db: Connection, properties: Mapping[int, Sequence[str]]) -> None:
    """Takes properties (names) from contacts (internal keys)."""
    if properties:
        given = {"keys": list(properties), "names": [json.dumps(list(names)) for names in properties.values()]}
        db.execute(_TAKE_AWAY, given)


def join(db: Connection, livemode: bool, memberships: Sequence[tuple[int, str, str | None]]) -> int:
    """Makes users (internal keys) members of accounts (your ids), in a role (None: as it is); returns how many changed.

    Raises ContactUnknown for an account that is none.
    """
    if not memberships:
        return 0
    accounts = sorted({account.strip() for _, account, _ in memberships})
    rows = db.execute(_ACCOUNTS, {"livemode": livemode, "ids": accounts})
    keys = {row.external_id: row.contact for row in rows}
    for account in accounts:
        if account not in keys:
            raise ContactUnknown(contact=f"account:{account}")
    values = {
        "users": [user for user, _, _ in memberships],
        "accounts": [keys[account.strip()] for _, account, _ in memberships],
        "roles": [role for _, _, role in memberships],
    }
    return db.execute(_JOIN, values).rowcount


def by_hand_elsewhere(db: Connection, connection: str, livemode: bool, records: Sequence[Record]) -> dict[str, str]:
    """Customers of these records that are linked by hand to another contact, or kept apart by hand: by customer whose
    they are (a ref, or `nobody`).
    """
    pairs = [(record, customer) for record in records for customer in record.billing_ids]
    if not pairs:
        return {}
    values = {
        "connection": connection,
        "livemode": livemode,
        "customers": [customer for _, customer in pairs],
        "kinds": [record.kind for record, _ in pairs],
        "ids": [record.id.strip() for record, _ in pairs],
    }
    return {row.customer: row.contact for row in db.execute(_BY_HAND, values)}


def _make(db: Connection, livemode: bool, records: Sequence[Record], made_by: str) -> list[int]:
    if not records:
        return []
    values = _columns(records) | {"livemode": livemode, "made_by": made_by}
    found = {(row.kind, row.external_id): row.key for row in db.execute(_MAKE, values)}
    return [found[one.kind, one.id.strip()] for one in records]


def _update(db: Connection, records: Sequence[Record], keys: Sequence[int]) -> set[int]:
    if not records:
        return set()
    return set(db.scalars(_UPDATE, _columns(records) | {"keys": list(keys)}))


def _columns(records: Sequence[Record]) -> dict[str, list[Any]]:
    return {
        "kinds": [one.kind for one in records],
        "ids": [one.id.strip() for one in records],
        "names": [one.name for one in records],
        "emails": [one.emails[0].strip() if one.emails else None for one in records],
        "owners": [one.owner for one in records],
        "properties": [json.dumps(dict(one.properties)) for one in records],
    }


def _emails(db: Connection, records: Sequence[Record], keys: Sequence[int]) -> set[int]:
    rows = [(key, email.strip()) for one, key in zip(records, keys, strict=True) for email in one.emails]
    values = {"keys": [key for key, _ in rows], "emails": [e for _, e in rows], "folded": [fold(e) for _, e in rows]}
    return set(db.scalars(_ADD_EMAILS, values)) if rows else set()


def _domains(db: Connection, records: Sequence[Record], keys: Sequence[int]) -> set[int]:
    rows = [(key, registrable(domain)) for one, key in zip(records, keys, strict=True) for domain in one.domains]
    values = {"keys": [key for key, _ in rows], "domains": [domain for _, domain in rows]}
    return set(db.scalars(_ADD_DOMAINS, values)) if rows else set()


def _link(db: Connection, connection: str | None, records: Sequence[Record], done: Recorded, by: str) -> None:
    rows = [(key, customer) for one, key in zip(records, done.keys, strict=True) for customer in one.billing_ids]
    if not rows:
        return
    if connection is None:
        raise ContactInvalid(problem="it has billing ids, and there are several connections; name the one they are of")
    values = {"connection": connection, "keys": [k for k, _ in rows], "customers": [c for _, c in rows], "by": by}
    stands = {row.customer: row for row in db.execute(_STANDING, values)}
    for key, customer in rows:
        one = stands.get(customer)
        if one is not None and one.method == "manual" and one.contact != key:
            raise ContactInvalid(
                problem=f"the customer {customer} is another's, or kept apart, by hand; unlink it first"
            )
    for row in db.execute(_LINK, values):
        one = stands.get(row.customer)
        done.linked.append(row.customer)
        done.contacts.add(row.contact)
        if one is not None and one.contact == row.contact:
            continue
        if one is not None and one.contact is not None:
            done.contacts.add(one.contact)
            gone = {"customer": row.customer, "method": "billing_id"}
            done.told.append(Told("contact.unlinked", gone, one.contact, connection))
        data: dict[str, Any] = {"customer": row.customer, "method": "billing_id", "evidence": {}}
        done.told.append(Told("contact.linked", data, row.contact, connection))


_KNOWN = text("""
select i.contact
from unnest(cast(:kinds as text[]), cast(:ids as text[])) with ordinality as wanted(kind, id, place)
left join tidegate.contact_ids i
  on i.livemode = :livemode and i.kind = wanted.kind and i.external_id = wanted.id
order by wanted.place""")

_MAKE = text("""
with made as (
  insert into tidegate.contacts
    (livemode, kind, external_id, name, name_is_yours, email, email_is_yours, owner, properties, made_by)
  select :livemode, kind, id, coalesce(name, ''), name is not null, coalesce(email, ''), email is not null,
    coalesce(owner, ''), properties, :made_by
  from unnest(cast(:kinds as text[]), cast(:ids as text[]), cast(:names as text[]), cast(:emails as text[]),
    cast(:owners as text[]), cast(:properties as jsonb[]))
    with ordinality as said(kind, id, name, email, owner, properties, place) order by place
  returning key, livemode, kind, external_id),
ids as (
  insert into tidegate.contact_ids (livemode, kind, external_id, contact)
  select livemode, kind, external_id, key from made)
select key, kind, external_id from made""")

_UPDATE = text("""
update tidegate.contacts c set name = coalesce(said.name, c.name),
  name_is_yours = c.name_is_yours or said.name is not null, email = coalesce(said.email, c.email),
  email_is_yours = c.email_is_yours or said.email is not null,
  owner = coalesce(said.owner, c.owner), owner_by_rule = c.owner_by_rule and said.owner is null,
  properties = c.properties || said.properties, updated_at = now()
from unnest(cast(:keys as bigint[]), cast(:names as text[]), cast(:emails as text[]), cast(:owners as text[]),
  cast(:properties as jsonb[])) as said(key, name, email, owner, properties)
where c.key = said.key and (
    c.name, c.name_is_yours, c.email, c.email_is_yours, c.owner, c.owner_by_rule, c.properties) is distinct from
  (coalesce(said.name, c.name), c.name_is_yours or said.name is not null, coalesce(said.email, c.email),
   c.email_is_yours or said.email is not null, coalesce(said.owner, c.owner), c.owner_by_rule and said.owner is null,
   c.properties || said.properties)
returning c.key""")

_TAKE_AWAY = text("""
update tidegate.contacts c set properties = c.properties - array(select jsonb_array_elements_text(said.names)),
  updated_at = now()
from unnest(cast(:keys as bigint[]), cast(:names as jsonb[])) as said(key, names) where c.key = said.key""")

_ADD_EMAILS = text("""
insert into tidegate.contact_emails as e (contact, folded, email)
select key, folded, min(email)
from unnest(cast(:keys as bigint[]), cast(:folded as text[]), cast(:emails as text[])) as said(key, folded, email)
group by 1, 2 on conflict (contact, folded) do update set followed = false where e.followed returning contact""")

_ADD_DOMAINS = text("""
insert into tidegate.contact_domains (contact, domain)
select distinct key, domain from unnest(cast(:keys as bigint[]), cast(:domains as text[])) as said(key, domain)
on conflict do nothing returning contact""")

_ACCOUNTS = text("""
select external_id, contact from tidegate.contact_ids
where livemode = :livemode and kind = 'account' and external_id = any(cast(:ids as text[]))""")

_JOIN = text("""
insert into tidegate.contact_members as m (account, "user", role)
select distinct on (account, member) account, member, coalesce(role, '')
from unnest(cast(:accounts as bigint[]), cast(:users as bigint[]), cast(:roles as text[]))
  as said(account, member, role)
on conflict (account, "user") do update set role = excluded.role
where excluded.role not in ('', m.role)""")

_BY_HAND = text("""
select said.customer, coalesce(c.kind || ':' || c.external_id, 'nobody') as contact
from unnest(cast(:customers as text[]), cast(:kinds as text[]), cast(:ids as text[])) as said(customer, kind, id)
join tidegate.links l on l.connection = :connection and l.customer = said.customer and l.method = 'manual'
left join tidegate.contacts c on c.key = l.contact
left join tidegate.contact_ids i on i.livemode = :livemode and i.kind = said.kind and i.external_id = said.id
where l.contact is distinct from i.contact or l.contact is null""")

_STANDING = text("""
select customer, contact, method from tidegate.links
where connection = :connection and customer = any(cast(:customers as text[]))""")

_LINK = text("""
insert into tidegate.links as l (connection, customer, contact, method, linked_by)
select :connection, customer, key, 'billing_id', :by
from unnest(cast(:keys as bigint[]), cast(:customers as text[])) as said(key, customer)
on conflict (connection, customer) do update set contact = excluded.contact, method = excluded.method,
  evidence = '{}', linked_by = excluded.linked_by, linked_at = now(), batch = null
where l.method <> 'manual' and (l.contact, l.method) is distinct from (excluded.contact, excluded.method)
returning customer, contact""")
