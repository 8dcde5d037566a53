"""Explains the link of one customer: how it came to be, or step by step why there is none."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from tidegate.connections import accounts
from tidegate.contacts import listing, loading
from tidegate.contacts import policy as policies
from tidegate.contacts.loading import Loaded
from tidegate.contacts.match import (
    Candidates,
    Create,
    Customer,
    LeftAlone,
    Linked,
    MatchPolicy,
    Outcome,
    Queued,
    fold,
    match,
    named_ids,
)
from tidegate.errors import CustomerUnknown

LEFT = {
    "unlinked_by_hand": "A person took it from its contact; `tidegate contacts unlink --rematch` lets matching decide.",
    "no_subscription": "It has no subscription, and only customers with one are matched (only_subscribed).",
    "deleted": "It is deleted in Stripe and was never linked.",
}
WAITS = {
    "conflict": "Several contacts could be meant, so a person has to choose: `tidegate contacts review accept`.",
    "no_match": "No contact matches, and none is made unasked (create_missing): `tidegate contacts review accept`.",
    "id_unknown": "Its metadata names an id that no contact has, and none is made unasked (create_missing).",
}


def explain_link(db: Connection, connection: str, customer: str) -> dict[str, Any]:
    """Whom a customer (Stripe id) is linked to, how that is known, and what every step of matching finds now.

    {connection, customer, contact (None: nobody), method, evidence, linked_at, linked_by, reason, steps: [{step,
    looked_for, found: [{contact, name, email}], says}]}. `reason` says it in a sentence. Nothing is written. Raises
    ConnectionUnknown, CustomerUnknown.
    """
    policy = policies.read(policies.stored(db, connection))
    livemode = accounts.named(db, connection).livemode
    loaded = loading.load(db, connection, livemode, [customer], policy)
    link = db.execute(_LINK, {"connection": connection, "customer": customer}).mappings().first()
    if not loaded.customers:
        if link is None:
            raise CustomerUnknown(connection=connection, customer=customer)
        return _answer(connection, customer, link, "The mirror has not got it yet; the link was made before.", [])
    one = loaded.customers[0]
    candidates = loaded.candidates(one)
    outcome = match(one, loaded.standing.get(customer), candidates, policy)
    steps = _steps(db, loaded, one, candidates)
    return _answer(connection, customer, link, _reason(db, link, outcome), steps)


def _answer(connection: str, customer: str, link: Any, reason: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("contact", "method", "evidence", "linked_at", "linked_by")
    said = {name: link[name] if link is not None else None for name in names}
    return {"connection": connection, "customer": customer, **said, "reason": reason, "steps": steps}


def _reason(db: Connection, link: Any, outcome: Outcome) -> str:
    match outcome:
        case Linked(contact, method):
            ref = listing.refs(db, [contact])[contact]["contact"]
            if link is not None and link["contact"] == ref:
                by = f" by {link['linked_by']}" if link["linked_by"] else ""
                return f"It is {ref}'s by {_WORDS[link['method']]}{by}, since {link['linked_at']:%Y-%m-%d}."
            return f"It is to become {ref}'s by {_WORDS[method]}, with the next refresh."
        case Create(external_id, _):
            return f"A contact {external_id} is to be made for it, with the next refresh."
        case Queued(reason):
            return WAITS[reason]
        case LeftAlone(reason):
            return LEFT[reason]


_WORDS = {
    "manual": "hand",
    "billing_id": "its Stripe id in a list of yours",
    "metadata": "your id in its metadata",
    "email": "its e-mail address",
    "domain": "the domain of its e-mail address",
    "created": "being what the contact was made from",
}


def _steps(db: Connection, loaded: Loaded, customer: Customer, candidates: Candidates) -> list[dict[str, Any]]:
    policy, steps = loaded.policy, [_standing(db, loaded, customer)]
    named = named_ids(customer, policy)
    by_id = [candidates.by_id[value] for _, value in named if value in candidates.by_id]
    keys = ", ".join(policy.metadata_keys)
    looked = ", ".join(f"{key} = {value}" for key, value in named)
    nothing = f"it has none of the keys {keys}" if keys else "no metadata keys are set (metadata_keys)"
    steps.append(_step(db, "metadata", looked, by_id[:1], nothing))
    steps.append(_step(db, "email", fold(customer.email), candidates.by_email, "it has no e-mail address"))
    steps.append(_domain(db, policy, customer, candidates))
    if policy.create_missing:
        taken = "its id is taken by another contact" if candidates.taken else "a contact is made"
        steps.append({"step": "create", "looked_for": "", "found": [], "says": taken})
    else:
        steps.append({"step": "create", "looked_for": "", "found": [], "says": "nobody is made unasked"})
    return steps


def _standing(db: Connection, loaded: Loaded, customer: Customer) -> dict[str, Any]:
    standing = loaded.standing.get(customer.id)
    if standing is None:
        return _step(db, "link", customer.id, [], "")
    if standing.contact is None:
        return {"step": "link", "looked_for": customer.id, "found": [], "says": "kept apart by hand"}
    found = _step(db, "link", customer.id, [standing.contact], "")
    return found | {"says": f"linked by {_WORDS[standing.method]}"}


def _domain(db: Connection, policy: MatchPolicy, customer: Customer, candidates: Candidates) -> dict[str, Any]:
    if policy.kind != "account":
        return {"step": "domain", "looked_for": "", "found": [], "says": "only accounts are matched by domains"}
    nothing = "its address is at a mail provider" if customer.email else "it has no e-mail address"
    return _step(db, "domain", customer.domain, candidates.by_domain, nothing)


def _step(db: Connection, step: str, looked_for: str, found: Sequence[int], nothing: str) -> dict[str, Any]:
    known = list(listing.refs(db, found).values()) if found else []
    if not looked_for:
        says = nothing
    elif not known:
        says = "no contact has it" if step != "link" else "not linked"
    else:
        says = "certain" if len(known) == 1 else "several contacts have it: a conflict"
    return {"step": step, "looked_for": looked_for, "found": known, "says": says}


_LINK = text("""
select c.kind || ':' || c.external_id as contact, l.method, l.evidence, l.linked_at, l.linked_by
from tidegate.links l left join tidegate.contacts c on c.key = l.contact
where l.connection = :connection and l.customer = :customer""")
