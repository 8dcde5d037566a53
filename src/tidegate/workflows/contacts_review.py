"""Settles the review queue: one customer, or all of a reason at once, and takes that back."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.connections.accounts import Account
from tidegate.contacts import by_hand, directory, following, linking, listing, reviewing
from tidegate.contacts.reviewing import Accepted
from tidegate.delivery.outbox import tell
from tidegate.errors import ContactInvalid
from tidegate.workflows.refresh import refresh_contacts

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

    One transaction. Returns {batch, linked, created, waiting}; `waiting` are those that still match several.
    Raises ReviewUnknown, ContactUnknown, ContactInvalid.
    """
    if every == bool(customers):
        raise ContactInvalid(problem="name customers, or accept all that wait; not both, not neither")
    with engine.begin() as db:
        linking.lock(db)
        target = directory.find(db, account.livemode, contact) if contact else None
        chosen = reviewing.waiting(db, account.name, reason) if every else list(dict.fromkeys(customers))
        accepted = reviewing.begin(db, account.name, by, customers=len(chosen), contact=target)
        if target is not None:
            by_hand.require_mode(target, account.livemode)
            rows = reviewing.take_on(db, accepted, account.name, chosen, target, by)
        else:
            rows = _make(db, account, accepted, chosen, by)
        reviewing.end(db, accepted, account.name, rows)
        _follow_up(db, accepted)
        some = accepted.made[:BATCH]
        known = listing.refs(db, some)
    return {
        "batch": accepted.batch,
        "linked": len(accepted.linked),
        "created": len(accepted.made),
        "contacts": [known[key]["contact"] for key in some],
        "waiting": accepted.waiting,
    }


def _make(db: Connection, account: Account, accepted: Accepted, chosen: Sequence[str], by: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for at in range(0, len(chosen), BATCH):
        some = chosen[at : at + BATCH]
        rows += reviewing.make_for(db, accepted, account.name, account.livemode, some, by)
    return rows


def _follow_up(db: Connection, accepted: Accepted) -> None:
    tell(db, accepted.told)
    contacts = sorted(accepted.contacts)
    for at in range(0, len(contacts), BATCH):
        some = contacts[at : at + BATCH]
        following.follow(db, some)
        refresh_contacts(db, some)


def undo(engine: Engine, number: int, by: str) -> dict[str, Any]:
    """Takes an acceptance back: its links end, the customers wait again, and the contacts it made go, unless they have
    something else by now.

    Returns {batch, connection, unlinked, removed, kept}: `kept` are refs of contacts that stayed. Raises ChangeUnknown.
    """
    with engine.begin() as db:
        linking.lock(db)
        connection, contacts, made, told = reviewing.undo(db, number, by)
        tell(db, told)
        for at in range(0, len(contacts), BATCH):
            refresh_contacts(db, contacts[at : at + BATCH])
        removed = remove_unused(db, made)
        kept = [directory.of_key(db, key).ref for key in made if key not in removed]
    return {
        "batch": number,
        "connection": connection,
        "unlinked": len(told),
        "removed": len(removed),
        "kept": kept,
    }


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
