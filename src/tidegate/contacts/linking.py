"""Links the customers of a connection: loads what matching needs, many customers at once, and writes what it says."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from tidegate.contacts import matched_by
from tidegate.contacts import policy as policies
from tidegate.contacts.addresses import company_domain
from tidegate.contacts.directory import Making, make_many
from tidegate.contacts.match import (
    Candidates,
    Create,
    Customer,
    LeftAlone,
    Linked,
    MatchPolicy,
    Method,
    Outcome,
    Queued,
    Standing,
    fold,
    match,
    named_ids,
    new_id,
)
from tidegate.contacts.naming import name_contacts
from tidegate.delivery.outbox import Told
from tidegate.errors import ContactsBusy
from tidegate.store.trouble import held_by_others


@dataclass(slots=True)
class Matched:
    """What matching said of the customers, and the contacts (internal keys) that a link left or reached."""

    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    contacts: set[int] = field(default_factory=set[int])
    told: list[Told] = field(default_factory=list[Told])


@dataclass(slots=True)
class Loaded:
    """What matching needs of a batch of customers. Contacts made on the way are added, so that the next customer with
    the same address is theirs too. `followed`: addresses that contacts have of a customer alone, as (address, contact).
    """

    policy: MatchPolicy
    customers: list[Customer]
    standing: dict[str, Standing]
    by_id: dict[str, int]
    by_email: dict[str, list[int]]
    by_domain: dict[str, list[int]]
    followed: set[tuple[str, int]]
    taken: set[str]
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


def lock(db: Connection, *, patient: bool = False) -> None:
    """Lets one transaction at a time match or make contacts: two could make the same one.

    `patient`: the transaction waits a minute for whatever others hold, as work may that nobody waits for. Raises
    ContactsBusy.
    """
    if patient:
        db.execute(text("set local lock_timeout = '60s'"))
    try:
        db.execute(text("select pg_advisory_xact_lock(hashtext('tidegate.contacts'))"))
    except DBAPIError as error:
        if held_by_others(error):
            raise ContactsBusy() from error
        raise


def link(
    db: Connection, connection: str, livemode: bool, customers: Sequence[str], policy: MatchPolicy | None = None
) -> Matched:
    """Matches these customers (Stripe ids) anew and writes links, contacts and reviews, in the caller's transaction.

    Take the `lock` first. A customer that the mirror lacks is passed over. `policy` None: the connection's.
    """
    loaded = load(db, connection, livemode, customers, policy or policies.read(policies.stored(db, connection)))
    matched = Matched()
    for customer in loaded.customers:
        outcome = match(customer, loaded.standing.get(customer.id), loaded.candidates(customer), loaded.policy)
        if isinstance(outcome, Create):
            outcome = loaded.made(customer, outcome)
        elif isinstance(outcome, Linked) and outcome.named:
            loaded.given(customer, outcome)
        matched.outcomes[customer.id] = outcome
    matched.told += name_contacts(db, connection, loaded.naming)
    _make_contacts(db, connection, livemode, loaded, matched)
    _write_links(db, connection, loaded, matched)
    _write_reviews(db, connection, matched.outcomes)
    considered = [one for one in loaded.customers if not isinstance(matched.outcomes[one.id], LeftAlone)]
    matched_by.keep(db, connection, considered, loaded.policy)
    return matched


def load(db: Connection, connection: str, livemode: bool, customers: Sequence[str], policy: MatchPolicy) -> Loaded:
    """What matching needs of these customers, oldest first, so that of two with one address the older makes the
    contact.
    """
    rows = db.execute(_CUSTOMERS, {"connection": connection, "ids": list(customers)}).all()
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
        for row in rows
    ]
    scope = {"livemode": livemode, "kind": policy.kind}
    named = {value for c in seen for _, value in named_ids(c, policy)}
    wanted = sorted(named | {new_id(c) for c in seen})
    ids = {row.external_id: row.contact for row in db.execute(_BY_ID, scope | {"ids": wanted}).all()}
    emails = sorted({fold(c.email) for c in seen if c.email})
    having = db.execute(_BY_EMAIL, scope | {"values": emails}).all()
    domains = sorted({c.domain for c in seen if c.domain})
    standing = {
        row.customer: Standing(row.contact, cast("Method", row.method), row.may_be_named)
        for row in db.execute(_STANDING, {"connection": connection, "kind": policy.kind, "ids": list(customers)}).all()
    }
    return Loaded(
        policy,
        seen,
        standing,
        ids,
        _grouped(having),
        _grouped(db.execute(_BY_DOMAIN, scope | {"values": domains}).all()) if policy.kind == "account" else {},
        {(row.value, row.contact) for row in having if row.followed},
        set(ids),
    )


def _grouped(rows: Iterable[Any]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(row.value, []).append(row.contact)
    return found


def _make_contacts(db: Connection, connection: str, livemode: bool, loaded: Loaded, matched: Matched) -> None:
    """Makes all contacts of the batch at once, and gives the outcomes their keys."""
    kind = loaded.policy.kind
    makings = [
        Making(kind, create.external_id, name=customer.name, email=customer.email, made_by="stripe")
        for customer, create in loaded.making
    ]
    keys = make_many(db, livemode, makings)
    for (customer, create), contact in zip(loaded.making, keys, strict=True):
        data = {"kind": kind, "external_id": create.external_id, "customer": customer.id}
        matched.told.append(Told("contact.created", data, contact, connection))
    for customer, outcome in matched.outcomes.items():
        if isinstance(outcome, Linked) and outcome.contact < 0:
            matched.outcomes[customer] = replace(outcome, contact=keys[-outcome.contact - 1])
        elif isinstance(outcome, Queued) and any(one < 0 for one in outcome.candidates):
            candidates = tuple(keys[-one - 1] if one < 0 else one for one in outcome.candidates)
            matched.outcomes[customer] = replace(outcome, candidates=candidates)


def _write_links(db: Connection, connection: str, loaded: Loaded, matched: Matched) -> None:
    rows: list[dict[str, Any]] = []
    for customer, outcome in matched.outcomes.items():
        before = loaded.standing.get(customer)
        if before is not None and before.contact is not None:
            matched.contacts.add(before.contact)
        if not isinstance(outcome, Linked):
            continue
        matched.contacts.add(outcome.contact)
        if before is not None and (before.contact, before.method, "") == (
            outcome.contact,
            outcome.method,
            outcome.named,
        ):
            continue
        rows.append({"customer": customer, "contact": outcome.contact, "method": outcome.method})
        rows[-1]["evidence"] = json.dumps(outcome.evidence)
        if before is None or before.contact != outcome.contact:
            if before is not None and before.contact is not None:
                gone = {"customer": customer, "method": outcome.method}
                matched.told.append(Told("contact.unlinked", gone, before.contact, connection))
            data = {"customer": customer, "method": outcome.method, "evidence": outcome.evidence}
            matched.told.append(Told("contact.linked", data, outcome.contact, connection))
    if rows:
        columns = {name: [row[name] for row in rows] for name in ("customer", "contact", "method", "evidence")}
        db.execute(_LINK, {"connection": connection, **columns})


def _write_reviews(db: Connection, connection: str, outcomes: dict[str, Outcome]) -> None:
    """What a person has to look at; a row that stands already keeps its time."""
    queued = {customer: one for customer, one in outcomes.items() if isinstance(one, Queued)}
    settled = [customer for customer in outcomes if customer not in queued]
    db.execute(_SETTLE, {"connection": connection, "ids": settled})
    if queued:
        values = {
            "customer": list(queued),
            "reason": [one.reason for one in queued.values()],
            "candidates": [json.dumps(list(one.candidates)) for one in queued.values()],
            "evidence": [json.dumps(one.evidence) for one in queued.values()],
        }
        db.execute(_REVIEW, {"connection": connection, **values})


# Looked up customer by customer: EXISTS would be hashed, from every subscription there is, for each batch.
_CUSTOMERS = text("""
select c.id, c.email, c.name, nullif(c.data -> 'metadata', '{}') as metadata, c.deleted_at is not null as deleted,
  coalesce(s.subscribed, false) as subscribed
from unnest(cast(:ids as text[])) as wanted(id)
join stripe.customers c on c.connection = :connection and c.id = wanted.id
left join lateral (
  select true as subscribed from stripe.subscriptions s
  where s.connection = c.connection and s.customer = c.id and s.deleted_at is null limit 1) s on true
order by c.created nulls last, c.id""")

_STANDING = text("""
select l.customer, l.contact, l.method,
  l.method = 'created' and coalesce(c.kind = :kind and c.merged_into is null, false) as may_be_named
from unnest(cast(:ids as text[])) as wanted(id)
join tidegate.links l on l.connection = :connection and l.customer = wanted.id
left join tidegate.contacts c on c.key = l.contact""")

_BY_ID = text("""
select external_id, contact from tidegate.contact_ids
where livemode = :livemode and kind = :kind and external_id = any(cast(:ids as text[]))""")

# An account's members' addresses count as its own (semantics, Contacts).
_BY_EMAIL = text("""
select value, contact, bool_and(followed) as followed from (
  select e.folded as value, c.key as contact, e.followed
  from unnest(cast(:values as text[])) as wanted(folded)
  join tidegate.contact_emails e on e.folded = wanted.folded
  join tidegate.contacts c on c.key = e.contact
  where c.livemode = :livemode and c.kind = :kind and c.merged_into is null
  union all
  select e.folded, a.key, e.followed
  from unnest(cast(:values as text[])) as wanted(folded)
  join tidegate.contact_emails e on e.folded = wanted.folded
  join tidegate.contact_members m on m."user" = e.contact
  join tidegate.contacts a on a.key = m.account
  where :kind = 'account' and a.livemode = :livemode and a.merged_into is null) theirs
group by value, contact order by value, contact""")

_BY_DOMAIN = text("""
select d.domain as value, c.key as contact
from unnest(cast(:values as text[])) as wanted(domain)
join tidegate.contact_domains d on d.domain = wanted.domain
join tidegate.contacts c on c.key = d.contact
where c.livemode = :livemode and c.kind = :kind and c.merged_into is null
order by value, contact""")

_LINK = text("""
insert into tidegate.links (connection, customer, contact, method, evidence)
select :connection, customer, contact, method, evidence
from unnest(cast(:customer as text[]), cast(:contact as bigint[]), cast(:method as text[]), cast(:evidence as jsonb[]))
  as new(customer, contact, method, evidence)
on conflict (connection, customer) do update set contact = excluded.contact, method = excluded.method,
  evidence = excluded.evidence, linked_at = now(), linked_by = '', batch = null""")

_SETTLE = text("""
delete from tidegate.reviews where connection = :connection and customer = any(cast(:ids as text[]))""")

_REVIEW = text("""
insert into tidegate.reviews as r (connection, customer, reason, candidates, evidence)
select :connection, customer, reason, candidates, evidence
from unnest(cast(:customer as text[]), cast(:reason as text[]), cast(:candidates as jsonb[]),
  cast(:evidence as jsonb[]))
  as new(customer, reason, candidates, evidence)
on conflict (connection, customer) do update set reason = excluded.reason, candidates = excluded.candidates,
  evidence = excluded.evidence
where (r.reason, r.candidates, r.evidence) is distinct from
  (excluded.reason, excluded.candidates, excluded.evidence)""")
