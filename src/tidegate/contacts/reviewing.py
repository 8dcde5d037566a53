"""The review queue: customers that no rule could place, with candidates and value; a person settles it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection, text

from tidegate.contacts import changes, linking, listing
from tidegate.contacts import policy as policies
from tidegate.contacts.directory import Contact
from tidegate.delivery.outbox import Told
from tidegate.errors import ContactInvalid, ReviewUnknown
from tidegate.mirror.list_values import list_values
from tidegate.money import half_away

CREATABLE = ("no_match", "id_unknown")
"""Reasons for which a contact may be made of the customer; of a conflict's candidates a person chooses one."""
PART = "accept_part"
"""What a part of an acceptance is called among the changes."""


@dataclass(slots=True)
class Accepted:
    """What a part of an acceptance did: the acceptance's number, customers linked, contacts made and touched (internal
    keys), who still waits, and what to tell.
    """

    batch: int
    linked: list[str] = field(default_factory=list[str])
    made: list[int] = field(default_factory=list[int])
    contacts: set[int] = field(default_factory=set[int])
    waiting: list[str] = field(default_factory=list[str])
    told: list[Told] = field(default_factory=list[Told])


def queue(
    db: Connection, connection: str, *, reason: str | None = None, after: str = "", limit: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    """Waiting customers of a connection, longest first, and where the next page begins (None: nowhere).

    Each {customer, name, email, reason, evidence, since, candidates: [{contact, name, email}], list_value:
    [{currency, interval, interval_count, amount}]}: what its live subscriptions come to before discounts, in minor
    units; what is billed by use counts as nothing there.
    """
    since, customer = _place(after)
    values = {"connection": connection, "reason": reason, "since": since, "after": customer, "limit": limit + 1}
    rows = [dict(row) for row in db.execute(_QUEUE, values).mappings()]
    more = len(rows) > limit
    rows = rows[:limit]
    known = listing.refs(db, sorted({key for row in rows for key in row["candidates"]}))
    worth = _worth(db, connection, [row["customer"] for row in rows])
    for row in rows:
        found = {one["contact"]: one for key in row["candidates"] if (one := known.get(key))}
        row["candidates"] = list(found.values())
        row["list_value"] = worth.get(row["customer"], [])
    return rows, f"{rows[-1]['since'].isoformat()}~{rows[-1]['customer']}" if more else None


def _worth(db: Connection, connection: str, customers: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """What the live subscriptions of customers come to at list price, by currency and interval, the largest first."""
    items = db.execute(_ITEMS, {"connection": connection, "customers": list(customers)}).mappings().all()
    values = list_values(db, connection, [(item["subscription"], item["id"]) for item in items])
    sums: dict[str, dict[tuple[Any, ...], Fraction]] = {}
    for item in items:
        each = sums.setdefault(item["customer"], {})
        key = (item["currency"], item["interval"], item["interval_count"])
        each[key] = each.get(key, Fraction(0)) + values.get(item["id"], 0)
    return {
        customer: [
            dict(zip(("currency", "interval", "interval_count"), key, strict=True))
            | {"amount": half_away(value.numerator, value.denominator)}
            for key, value in sorted(each.items(), key=lambda one: -one[1])
        ]
        for customer, each in sums.items()
    }


def _place(after: str) -> tuple[datetime | None, str]:
    since, _, customer = after.partition("~")
    try:
        return (datetime.fromisoformat(since) if since else None), customer
    except ValueError as error:
        problem = f"{after[:80]!r} is no place in the queue; take `next` of the page before"
        raise ContactInvalid(problem=problem) from error


def counts(db: Connection, connection: str) -> dict[str, int]:
    """How many customers wait, by reason."""
    statement = text("select reason, count(*) as n from tidegate.reviews where connection = :c group by 1 order by 1")
    return {row.reason: row.n for row in db.execute(statement, {"c": connection})}


def waiting(db: Connection, connection: str, reason: str | None = None) -> list[str]:
    """The customers that wait, for this reason or for any for which a contact may be made."""
    reasons = [reason] if reason else list(CREATABLE)
    statement = text("""
select r.customer from tidegate.reviews r
left join stripe.customers c on c.connection = r.connection and c.id = r.customer
where r.connection = :connection and r.reason = any(cast(:reasons as text[]))
order by c.created nulls last, r.customer""")
    return list(db.scalars(statement, {"connection": connection, "reasons": reasons}))


def begin(db: Connection, connection: str, by: str, *, customers: int, contact: Contact | None = None) -> int:
    """Opens an acceptance and returns its number. Its parts, each of one transaction, are given their customers by
    `take_on` or `make_for` and closed by `end`.
    """
    what = {"connection": connection, "customers": customers, "contact": contact.key if contact else None}
    before = {"connection": connection}
    return changes.note(db, "accept", by, contact=contact.key if contact else None, what=what, before=before)


def still_waiting(db: Connection, connection: str, customers: Sequence[str]) -> list[str]:
    """Those of the customers that wait, in their order."""
    statement = text("select customer from tidegate.reviews where connection = :c and customer = any(:ids)")
    found = set(db.scalars(statement, {"c": connection, "ids": list(customers)}))
    return [customer for customer in customers if customer in found]


def take_on(
    db: Connection, accepted: Accepted, connection: str, customers: Sequence[str], contact: Contact, by: str
) -> list[dict[str, Any]]:
    """Gives waiting customers to a contact, as links by hand; returns their rows of the queue.

    Raises ReviewUnknown.
    """
    rows = _rows(db, connection, customers)
    for row in rows:
        evidence = {"review": row["reason"]}
        values = {"contact": contact.key, "batch": accepted.batch, "by": by, "evidence": json.dumps(evidence)}
        db.execute(_TAKE_ON, {"connection": connection, "customer": row["customer"], **values})
        data = {"customer": row["customer"], "method": "manual", "evidence": evidence}
        accepted.told.append(Told("contact.linked", data, contact.key, connection))
        accepted.linked.append(row["customer"])
    accepted.contacts.add(contact.key)
    statement = text("delete from tidegate.reviews where connection = :c and customer = any(:ids)")
    db.execute(statement, {"c": connection, "ids": list(customers)})
    return rows


def make_for(
    db: Connection, accepted: Accepted, connection: str, livemode: bool, customers: Sequence[str], by: str
) -> list[dict[str, Any]]:
    """Matches waiting customers anew and makes a contact of whoever still matches nobody; returns their rows of the
    queue. Of two with one address the second gets the first one's contact.

    Raises ReviewUnknown, and ContactInvalid for a conflict, which needs a contact to be named.
    """
    rows = _rows(db, connection, customers)
    conflict = next((row for row in rows if row["reason"] not in CREATABLE), None)
    if conflict is not None:
        raise ContactInvalid(problem=f"the customer {conflict['customer']} has several candidates: name the contact")
    settings = replace(policies.read(policies.stored(db, connection)), create_missing=True, only_subscribed=False)
    matched = linking.link(db, connection, livemode, customers, settings)
    linked = sorted(c for c, outcome in matched.outcomes.items() if isinstance(outcome, linking.Linked))
    accepted.linked += linked
    accepted.waiting += sorted(set(customers) - set(linked))
    accepted.made += [one.contact for one in matched.told if one.type == "contact.created" and one.contact is not None]
    accepted.contacts |= matched.contacts
    accepted.told += matched.told
    db.execute(_MARK, {"connection": connection, "ids": linked, "batch": accepted.batch, "by": by})
    return rows


def end(db: Connection, accepted: Accepted, connection: str, rows: Sequence[dict[str, Any]], by: str) -> None:
    """Keeps what undoing this part of an acceptance needs."""
    reviews = [row for row in rows if row["customer"] in set(accepted.linked)]
    before = {"connection": connection, "customers": accepted.linked, "reviews": reviews, "made": accepted.made}
    changes.note(db, PART, by, what={"batch": accepted.batch}, before=before)


def parts(db: Connection, number: int) -> list[int]:
    """The numbers of the parts of an acceptance that were not undone yet, the last first: it may have linked customers
    to contacts that one before it made. Raises ChangeUnknown.
    """
    changes.to_undo(db, number, "accept")
    return list(db.scalars(_PARTS, {"action": PART, "batch": number}))


def undo(db: Connection, number: int, part: int, by: str) -> tuple[list[int], list[int], list[Told]]:
    """Takes back what a part of an acceptance linked, as far as it still stands, and puts the customers into the queue
    again.

    Returns the contacts (internal keys) that had them, the contacts it had made, and what to tell. Raises
    ChangeUnknown.
    """
    before = changes.to_undo(db, part, PART)["before"]
    connection = before["connection"]
    values = {"connection": connection, "batch": number, "customers": before["customers"]}
    gone = db.execute(_UNLINK, values).all()
    customers = {row.customer for row in gone}
    back = [row for row in before["reviews"] if row["customer"] in customers]
    db.execute(_PUT_BACK, {"rows": json.dumps(back, default=str)})
    changes.undone(db, part)
    told = [Told("contact.unlinked", {"customer": row.customer, "by": by}, row.contact, connection) for row in gone]
    return sorted({row.contact for row in gone}), list(before["made"]), told


def _rows(db: Connection, connection: str, customers: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of the queue of these customers. Raises ReviewUnknown when one does not wait."""
    values = {"connection": connection, "ids": list(customers)}
    rows = {row["customer"]: dict(row) for row in db.execute(_ROWS, values).mappings()}
    for customer in customers:
        if customer not in rows:
            raise ReviewUnknown(customer=customer, connection=connection)
    return [rows[customer] for customer in customers]


_LIVE = "('trialing', 'active', 'past_due', 'unpaid', 'paused')"

_ITEMS = text(f"""
select s.customer, s.id as subscription, i.id, coalesce(s.currency, i.currency) as currency, i.interval,
  i.interval_count
from stripe.subscriptions s
join stripe.subscription_items i on i.connection = s.connection and i.subscription = s.id and i.deleted_at is null
where s.connection = :connection and s.customer = any(cast(:customers as text[])) and s.deleted_at is null
  and s.status in {_LIVE}""")

_QUEUE = text("""
with waiting as materialized (
  select * from tidegate.reviews r
  where r.connection = :connection and (cast(:reason as text) is null or r.reason = :reason)
    and (cast(:since as timestamptz) is null or (r.since, r.customer) > (:since, :after))
  order by r.since, r.customer limit :limit)
select r.customer, c.name, c.email, r.reason, r.evidence, r.candidates, r.since
from waiting r left join stripe.customers c on c.connection = r.connection and c.id = r.customer
order by r.since, r.customer""")

_ROWS = text("""
select connection, customer, reason, candidates, evidence, since from tidegate.reviews
where connection = :connection and customer = any(cast(:ids as text[])) for update""")

_TAKE_ON = text("""
insert into tidegate.links (connection, customer, contact, method, evidence, linked_by, batch)
values (:connection, :customer, :contact, 'manual', cast(:evidence as jsonb), :by, :batch)
on conflict (connection, customer) do update set contact = excluded.contact, method = excluded.method,
  evidence = excluded.evidence, linked_by = excluded.linked_by, linked_at = now(), batch = excluded.batch""")

_MARK = text("""
update tidegate.links set batch = :batch, linked_by = :by
where connection = :connection and customer = any(cast(:ids as text[])) and method <> 'manual'""")

_UNLINK = text("""
delete from tidegate.links
where connection = :connection and batch = :batch and contact is not null
  and customer = any(cast(:customers as text[]))
returning customer, contact""")

_PARTS = text("""
select id from tidegate.contact_changes
where action = :action and what ->> 'batch' = cast(:batch as bigint)::text and undone_at is null order by id desc""")

_PUT_BACK = text("""
insert into tidegate.reviews (connection, customer, reason, candidates, evidence, since)
select connection, customer, reason, candidates, evidence, since
from jsonb_populate_recordset(null::tidegate.reviews, cast(:rows as jsonb))
on conflict do nothing""")
