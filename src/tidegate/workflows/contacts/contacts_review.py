"""Settles the review queue: one customer, or all of a reason at once, and takes that back."""

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, text

from tidegate.connections.accounts import Account
from tidegate.contacts import by_hand, changes, directory, following, linking, listing, reviewing
from tidegate.contacts.directory import Contact
from tidegate.contacts.reviewing import Accepted
from tidegate.delivery.outbox import tell
from tidegate.errors import ContactInvalid, ReviewUnknown
from tidegate.mirror import changed
from tidegate.workflows.refresh import refresh_contacts

_T = TypeVar("_T")

BATCH = 500


def accept(
    engine: Engine,
    account: Account,
    customers: Sequence[str],
    by: str,
    *,
    contact: str | None = None,
    every: bool = False,
    reason: str | None = None,
) -> dict[str, Any]:
    """Gives waiting customers to the contact (a ref), or makes contacts of them; `every`: all that wait for `reason`.

    Named customers in one transaction, all or none; `every` by batches, which nobody else has to wait for: who waits no
    longer when its turn comes is passed over. Returns {batch, linked, created, contacts, waiting}; `waiting` are those
    that still match several. Raises ReviewUnknown, ContactUnknown, ContactInvalid.
    """
    if every == bool(customers):
        raise ContactInvalid(problem="name customers, or accept all that wait; not both, not neither")
    with engine.begin() as db:
        linking.lock(db)
        target = directory.find(db, account.livemode, contact) if contact else None
        if target is not None:
            by_hand.require_mode(target, account.livemode)
        chosen = reviewing.waiting(db, account.name, reason) if every else list(dict.fromkeys(customers))
        number = reviewing.begin(db, account.name, by, customers=len(chosen), contact=target)
        parts = [] if every else [_part(db, account, number, chosen, target, by)]
    for some in batches(chosen) if every else ():
        with engine.begin() as db:
            linking.lock(db, patient=True)
            left = reviewing.still_waiting(db, account.name, some)
            parts.append(_part(db, account, number, left, target, by))
    made = [key for part in parts for key in part.made]
    with engine.connect() as db:
        known = listing.refs(db, made[:BATCH])
    return {
        "batch": number,
        "linked": sum(len(part.linked) for part in parts),
        "created": len(made),
        "contacts": [known[key]["contact"] for key in made[:BATCH] if key in known],
        "waiting": [customer for part in parts for customer in part.waiting],
    }


def reject(engine: Engine, account: Account, customers: Sequence[str], by: str) -> list[str]:
    """Keeps waiting customers apart from every contact; all or none. Letting matching decide again (`unlinked` with
    `rematch`) takes it back. Returns them. Raises ReviewUnknown.
    """
    wanted = list(dict.fromkeys(customers))
    with engine.begin() as db:
        linking.lock(db)
        waits = set(reviewing.still_waiting(db, account.name, wanted))
        for customer in wanted:
            if customer not in waits:
                raise ReviewUnknown(customer=customer, connection=account.name)
            by_hand.keep_apart(db, account.name, customer, by=by)
        changed.note(db, account.name, wanted)
    return wanted


def batches(values: Sequence[_T]) -> list[Sequence[_T]]:
    """The values, so many at once as one transaction takes."""
    return [values[at : at + BATCH] for at in range(0, len(values), BATCH)]


def _part(
    db: Connection, account: Account, number: int, chosen: Sequence[str], target: Contact | None, by: str
) -> Accepted:
    accepted, rows = Accepted(number), list[dict[str, Any]]()
    for some in batches(chosen):
        if target is not None:
            rows += reviewing.take_on(db, accepted, account.name, some, target, by)
        else:
            rows += reviewing.make_for(db, accepted, account.name, account.livemode, some, by)
    reviewing.end(db, accepted, account.name, rows, by)
    tell(db, accepted.told)
    for contacts in batches(sorted(accepted.contacts)):
        following.follow(db, contacts)
        refresh_contacts(db, contacts)
    return accepted


def undo(engine: Engine, number: int, by: str) -> dict[str, Any]:
    """Takes an acceptance back, by its batches: its customers wait again, and the contacts it made go, unless they have
    something else by now.

    Returns {batch, connection, unlinked, removed, kept}: `kept` are refs of contacts that stayed. Raises ChangeUnknown.
    """
    with engine.begin() as db:
        connection = changes.to_undo(db, number, "accept")["before"]["connection"]
        parts = reviewing.parts(db, number)
    unlinked, removed, kept = 0, 0, list[str]()
    for part in parts:
        with engine.begin() as db:
            linking.lock(db, patient=len(parts) > 1)
            contacts, made, told = reviewing.undo(db, number, part, by)
            tell(db, told)
            for some in batches(contacts):
                refresh_contacts(db, some)
            gone = remove_unused(db, made)
            kept += [directory.of_key(db, key).ref for key in made if key not in gone]
        unlinked, removed = unlinked + len(told), removed + len(gone)
    with engine.begin() as db:
        changes.undone(db, number)
    return {"batch": number, "connection": connection, "unlinked": unlinked, "removed": removed, "kept": kept}


def remove_unused(db: Connection, contacts: Sequence[int]) -> set[int]:
    """Deletes those of the contacts (internal keys) that have no customer, member, override or usage, and were never
    changed by anybody; returns which.
    """
    unused = set(db.scalars(_UNUSED, {"contacts": list(contacts)}))
    for table, column in _BELONGING:
        db.execute(text(f"delete from tidegate.{table} where {column} = any(:unused)"), {"unused": list(unused)})
    return unused


_BELONGING = (
    ("entitlements_told", "contact"),
    ("contact_facts", "contact"),
    ("contact_ids", "contact"),
    ("contact_emails", "contact"),
    ("contact_domains", "contact"),
    ("contacts", "key"),
)

_UNUSED = text("""
select c.key from tidegate.contacts c
where c.key = any(cast(:contacts as bigint[])) and c.merged_into is null
  and not exists (select from tidegate.links l where l.contact = c.key)
  and not exists (select from tidegate.grants g where g.contact = c.key)
  and not exists (select from tidegate.contact_members m where c.key in (m.account, m."user"))
  and not exists (select from tidegate.overrides o where o.contact = c.key)
  and not exists (select from tidegate.usage u where u.contact = c.key)
  and not exists (select from tidegate.usage_debits d where d.contact = c.key)
  and not exists (select from tidegate.contacts other where other.merged_into = c.key)
  and not exists (select from tidegate.contact_changes h where h.contact = c.key)""")
