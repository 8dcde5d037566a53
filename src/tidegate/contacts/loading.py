"""Loads what matching the customers of a connection needs, many at once: whose they are, and who they could be."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from sqlalchemy import Connection, text

from tidegate.contacts.addresses import company_domain
from tidegate.contacts.match import (
    Candidates,
    Create,
    Customer,
    Linked,
    MatchPolicy,
    Method,
    Standing,
    fold,
    named_ids,
    new_id,
)
from tidegate.store.driver import rows


@dataclass(slots=True)
class Loaded:
    """What matching needs of a batch of customers. Contacts made on the way are added, so that the next customer with
    the same address is theirs too. `followed`: addresses that contacts have of a customer alone, as (address, contact).
    `reviewed`: customers that a person is asked to look at. `marks`: what customers were matched by when they were
    looked at last, as (ids, e-mail, domain).
    """

    policy: MatchPolicy
    customers: list[Customer]
    standing: dict[str, Standing]
    by_id: dict[str, int]
    by_email: dict[str, list[int]]
    by_domain: dict[str, list[int]]
    followed: set[tuple[str, int]]
    taken: set[str]
    reviewed: set[str]
    marks: dict[str, tuple[list[str], str, str]]
    naming: list[tuple[int, str, str]] = field(default_factory=list[tuple[int, str, str]])
    making: list[tuple[Customer, Create]] = field(default_factory=list[tuple[Customer, Create]])

    def candidates(self, customer: Customer) -> Candidates:
        """Whom this customer could mean. Of a link by domain an address that it brought along tells nothing."""
        email, standing = fold(customer.email), self.standing.get(customer.id)
        by_email = self.by_email.get(email, []) if email else []
        if standing is not None and standing.method == "domain" and (email, standing.contact) in self.followed:
            by_email = [one for one in by_email if one != standing.contact]
        return Candidates(
            self.by_id,
            by_email,
            self.by_domain.get(customer.domain, ()) if customer.domain else (),
            new_id(customer) in self.taken,
        )

    def given(self, customer: Customer, linked: Linked) -> None:
        """Notes an id of yours that the customer's contact is to have."""
        self.naming.append((linked.contact, customer.id, linked.named))
        self.by_id[linked.named] = linked.contact
        self.taken.add(linked.named)

    def made(self, customer: Customer, create: Create) -> Linked:
        """Notes a contact that is to be made for a customer, under a key below 0 until it is."""
        self.making.append((customer, create))
        contact = -len(self.making)
        self.taken.add(create.external_id)
        self.by_id[create.external_id] = contact
        if customer.email:
            self.by_email.setdefault(fold(customer.email), []).append(contact)
        return Linked(contact, "created", create.evidence)


def load(db: Connection, connection: str, livemode: bool, customers: Sequence[str], policy: MatchPolicy) -> Loaded:
    """What matching needs of these customers (Stripe ids), oldest first, so that of two with one address the older
    makes the contact. A customer that the mirror lacks is passed over.
    """
    found = rows(db, _CUSTOMERS, {"connection": connection, "kind": policy.kind, "ids": list(customers)})
    seen = [
        Customer(
            row.id,
            row.email or "",
            row.name or "",
            row.metadata or {},
            company_domain(row.email or "", policy.free_mail),
            row.subscribed,
            row.deleted,
        )
        for row in found
    ]
    by = _candidates(db, livemode, policy, seen)
    return Loaded(
        policy,
        seen,
        {
            row.id: Standing(row.contact, cast("Method", row.method), row.may_be_named)
            for row in found if row.method is not None
        },
        by.by_id,
        by.by_email,
        by.by_domain,
        by.followed,
        set(by.by_id),
        {row.id for row in found if row.reviewed},
        {row.id: (row.marked_ids, row.marked_email, row.marked_domain) for row in found if row.marked_ids is not None},
    )  # fmt: skip


@dataclass(slots=True)
class _Found:
    """Contacts (internal keys) by what they are known by."""

    by_id: dict[str, int] = field(default_factory=dict[str, int])
    by_email: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    by_domain: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    followed: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])


def _candidates(db: Connection, livemode: bool, policy: MatchPolicy, seen: Sequence[Customer]) -> _Found:
    """Who could be meant by these customers."""
    named = {value for c in seen for _, value in named_ids(c, policy)}
    values = {
        "livemode": livemode,
        "kind": policy.kind,
        "ids": sorted(named | {new_id(c) for c in seen}),
        "emails": sorted({fold(c.email) for c in seen if c.email}),
        "domains": sorted({c.domain for c in seen if c.domain}) if policy.kind == "account" else [],
    }
    found = _Found()
    for what, value, contact, followed in rows(db, _CANDIDATES, values):
        if what == "id":
            found.by_id[value] = contact
            continue
        (found.by_email if what == "email" else found.by_domain).setdefault(value, []).append(contact)
        if followed:
            found.followed.add((value, contact))
    return found


# Looked up customer by customer: EXISTS would be hashed, from every subscription there is, for each batch.
_CUSTOMERS = text("""
select c.id, c.email, c.name, nullif(c.data -> 'metadata', '{}') as metadata, c.deleted_at is not null as deleted,
  coalesce(s.subscribed, false) as subscribed, l.contact, l.method,
  l.method = 'created' and coalesce(k.kind = :kind and k.merged_into is null, false) as may_be_named,
  r.customer is not null as reviewed, m.ids as marked_ids, m.email as marked_email, m.domain as marked_domain
from unnest(cast(:ids as text[])) as wanted(id)
join stripe.customers c on c.connection = :connection and c.id = wanted.id
left join lateral (
  select true as subscribed from stripe.subscriptions s
  where s.connection = c.connection and s.customer = c.id and s.deleted_at is null limit 1) s on true
left join tidegate.links l on l.connection = :connection and l.customer = wanted.id
left join tidegate.contacts k on k.key = l.contact
left join tidegate.reviews r on r.connection = :connection and r.customer = wanted.id
left join tidegate.matched_by m on m.connection = :connection and m.customer = wanted.id
order by c.created nulls last, c.id""")

# An account's members' addresses count as its own (semantics, Contacts).
_CANDIDATES = text("""
select 'id' as what, external_id as value, contact, false as followed from tidegate.contact_ids
where livemode = :livemode and kind = :kind and external_id = any(cast(:ids as text[]))
union all
select 'email', value, contact, bool_and(followed) from (
  select e.folded as value, c.key as contact, e.followed
  from unnest(cast(:emails as text[])) as wanted(folded)
  join tidegate.contact_emails e on e.folded = wanted.folded
  join tidegate.contacts c on c.key = e.contact
  where c.livemode = :livemode and c.kind = :kind and c.merged_into is null
  union all
  select e.folded, a.key, e.followed
  from unnest(cast(:emails as text[])) as wanted(folded)
  join tidegate.contact_emails e on e.folded = wanted.folded
  join tidegate.contact_members m on m."user" = e.contact
  join tidegate.contacts a on a.key = m.account
  where :kind = 'account' and a.livemode = :livemode and a.merged_into is null) theirs
group by value, contact
union all
select 'domain', d.domain, c.key, false
from unnest(cast(:domains as text[])) as wanted(domain)
join tidegate.contact_domains d on d.domain = wanted.domain
join tidegate.contacts c on c.key = d.contact
where c.livemode = :livemode and c.kind = :kind and c.merged_into is null
order by what, value, contact""")
