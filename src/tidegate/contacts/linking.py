"""Links the customers of a connection, many at once: writes what matching says of them."""

import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from tidegate.contacts import matched_by
from tidegate.contacts import policy as policies
from tidegate.contacts.directory import Making, make_many
from tidegate.contacts.loading import Loaded, load
from tidegate.contacts.match import Create, LeftAlone, Linked, MatchPolicy, Outcome, Queued, match
from tidegate.contacts.naming import name_contacts
from tidegate.delivery.outbox import Told
from tidegate.errors import ContactsBusy
from tidegate.store.driver import rows
from tidegate.store.trouble import held_by_others


@dataclass(slots=True)
class Matched:
    """What matching said of the customers, and the contacts (internal keys) that a link left or reached."""

    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    contacts: set[int] = field(default_factory=set[int])
    told: list[Told] = field(default_factory=list[Told])


def lock(db: Connection, *, patient: bool = False) -> None:
    """Lets one transaction at a time match or make contacts: two could make the same one.

    `patient`: the transaction waits a minute for whatever others hold, as work may that nobody waits for. Raises
    ContactsBusy.
    """
    if patient:
        db.execute(text("set local lock_timeout = '60s'"))
    try:
        rows(db, _LOCK, {})
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
    policy = policy or policies.read(policies.stored(db, connection))
    loaded = load(db, connection, livemode, customers, policy)
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
    _write_reviews(db, connection, matched.outcomes, loaded.reviewed)
    considered = [one for one in loaded.customers if not isinstance(matched.outcomes[one.id], LeftAlone)]
    matched_by.keep(db, connection, considered, loaded.policy, loaded.marks)
    return matched


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


def _write_reviews(db: Connection, connection: str, outcomes: dict[str, Outcome], reviewed: AbstractSet[str]) -> None:
    """What a person has to look at; a row that stands already keeps its time."""
    queued = {customer: one for customer, one in outcomes.items() if isinstance(one, Queued)}
    settled = sorted(customer for customer in reviewed if customer in outcomes and customer not in queued)
    if settled:
        db.execute(_SETTLE, {"connection": connection, "ids": settled})
    if queued:
        values = {
            "customer": list(queued),
            "reason": [one.reason for one in queued.values()],
            "candidates": [json.dumps(list(one.candidates)) for one in queued.values()],
            "evidence": [json.dumps(one.evidence) for one in queued.values()],
        }
        db.execute(_REVIEW, {"connection": connection, **values})


_LOCK = text("select pg_advisory_xact_lock(hashtext('tidegate.contacts'))")

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
