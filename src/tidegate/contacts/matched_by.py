"""What contacts and customers are matched by, to find the customers that a change of a contact may concern."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from tidegate.contacts.addresses import registrable
from tidegate.contacts.match import Customer, MatchPolicy, fold, named_ids
from tidegate.contacts.records import Record


@dataclass(frozen=True, slots=True)
class Marks:
    """Ids of yours, e-mails as they are compared, registrable domains."""

    ids: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()

    def __or__(self, other: "Marks") -> "Marks":
        return Marks(self.ids | other.ids, self.emails | other.emails, self.domains | other.domains)


def of_contacts(db: Connection, contacts: Sequence[int]) -> Marks:
    """What these contacts (internal keys) are matched by now; an account's members' addresses are its own."""
    row = db.execute(_OF_CONTACTS, {"contacts": list(contacts)}).one()
    return Marks(frozenset(row.ids), frozenset(row.emails), frozenset(row.domains))


def of_records(records: Iterable[Record]) -> Marks:
    """What contacts as a list of yours tells them are matched by."""
    listed = list(records)
    return Marks(
        frozenset(one.id.strip() for one in listed),
        frozenset(fold(email) for one in listed for email in one.emails),
        frozenset(registrable(domain) for one in listed for domain in one.domains),
    )


def customers(db: Connection, connection: str, marks: Marks) -> list[str]:
    """The customers of a connection whom these marks may link otherwise than they are, or let wait no longer: an id in
    the metadata beats all but links by hand and of your lists, an e-mail a domain.
    """
    ids = sorted(marks.ids)
    values = {
        "connection": connection,
        "ids": ids,
        "emails": sorted({*marks.emails, *(fold(one) for one in ids)}),  # a contact that is made has its e-mail as id
        "domains": sorted(marks.domains),
    }
    return list(db.scalars(text(CUSTOMERS), values))


def keep(
    db: Connection,
    connection: str,
    seen: Iterable[Customer],
    policy: MatchPolicy,
    known: Mapping[str, tuple[Sequence[str], str, str]],
) -> None:
    """Remembers what customers that were just looked at can be matched by, where that is not what is `known` of them:
    ids, e-mail and domain.
    """
    rows: list[dict[str, Any]] = []
    for one in seen:
        marks = [value for _, value in named_ids(one, policy)], fold(one.email), one.domain
        if known.get(one.id) != marks:
            rows.append(dict(zip(("customer", "ids", "email", "domain"), (one.id, *marks), strict=True)))
    if rows:
        db.execute(_KEEP, {"connection": connection, "rows": json.dumps(rows)})


def drop(db: Connection, connection: str, some: Sequence[str]) -> None:
    """Forgets it of these customers (Stripe ids)."""
    statement = text("delete from tidegate.matched_by where connection = :connection and customer = any(:customers)")
    db.execute(statement, {"connection": connection, "customers": list(some)})


_OF_CONTACTS = text("""
select
  array(select external_id from tidegate.contact_ids where contact = any(cast(:contacts as bigint[]))) as ids,
  array(
    select folded from tidegate.contact_emails where contact = any(cast(:contacts as bigint[]))
    union
    select e.folded from tidegate.contact_members m join tidegate.contact_emails e on e.contact = m."user"
    where m.account = any(cast(:contacts as bigint[]))) as emails,
  array(select domain from tidegate.contact_domains where contact = any(cast(:contacts as bigint[]))) as domains""")

CUSTOMERS = """
select m.customer from tidegate.matched_by m
left join tidegate.links l on l.connection = m.connection and l.customer = m.customer
where m.connection = :connection and m.ids && cast(:ids as text[])
  and (l.method is null or l.method not in ('manual', 'billing_id'))
union
select m.customer from tidegate.matched_by m
left join tidegate.links l on l.connection = m.connection and l.customer = m.customer
where m.connection = :connection and m.email = any(cast(:emails as text[])) and m.email <> ''
  and (l.method is null or l.method = 'domain')
union
select m.customer from tidegate.matched_by m
left join tidegate.links l on l.connection = m.connection and l.customer = m.customer
where m.connection = :connection and m.domain = any(cast(:domains as text[])) and m.domain <> ''
  and l.method is null
union
select customer from tidegate.reviews where connection = :connection and customer = any(cast(:ids as text[]))"""
"""The query of `customers`; everything is looked up by an index."""

_KEEP = text("""
insert into tidegate.matched_by as m (connection, customer, ids, email, domain)
select :connection, customer, ids, email, domain
from jsonb_to_recordset(cast(:rows as jsonb)) as said(customer text, ids text[], email text, domain text)
on conflict (connection, customer) do update
set ids = excluded.ids, email = excluded.email, domain = excluded.domain
where (m.ids, m.email, m.domain) is distinct from (excluded.ids, excluded.email, excluded.domain)""")
