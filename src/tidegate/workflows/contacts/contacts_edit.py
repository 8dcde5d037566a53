"""Changes of one contact: made, described, renamed, given ids and members; whoever may be matched otherwise is."""

from typing import Any

from sqlalchemy import Connection, Engine

from tidegate.connections import accounts
from tidegate.contacts import changes, directory, following, linking, matched_by, recording
from tidegate.contacts.directory import Contact, find, of_key
from tidegate.contacts.matched_by import Marks
from tidegate.contacts.patching import patch
from tidegate.contacts.records import Record, problems_of
from tidegate.delivery.outbox import Told, tell
from tidegate.errors import ContactInvalid
from tidegate.lifecycle import owners
from tidegate.workflows.refresh import Refreshed, refresh, refresh_contacts


def put(engine: Engine, livemode: bool, record: Record, by: str, *, connection: str | None) -> tuple[Contact, bool]:
    """Makes one contact, or changes what the record says of it; returns it, and whether it is new.

    Raises ContactInvalid, ContactUnknown.
    """
    if wrong := problems_of(record):
        raise ContactInvalid(problem="; ".join(wrong))
    with engine.begin() as db:
        linking.lock(db)
        done = recording.record(db, livemode, [record], connection=connection, by=by, made_by="api")
        key = done.keys[0]
        if record.account is not None:
            recording.join(db, livemode, [(key, record.account, record.role)])
        follow_up(db, done)
        changes.note(db, "make" if done.created else "update", by, contact=key)
        rematch(db, livemode, matched_by.of_records([record]) | matched_by.of_contacts(db, [key]))
        return of_key(db, key), bool(done.created)


def follow_up(db: Connection, done: recording.Recorded) -> None:
    """Tells what recording did, and derives what follows from it."""
    tell(db, done.told)
    contacts = sorted(done.contacts)
    owners.settle(db, contacts)
    following.follow(db, contacts)
    refresh_contacts(db, contacts)


def change(
    engine: Engine, livemode: bool, ref: str, given: dict[str, Any], by: str, *, external_id: str | None = None
) -> Contact:
    """Changes what is given of a contact (`patching.patch`), and its id where one is given; all of it or nothing.

    Raises ContactUnknown, ContactInvalid, ContactExists.
    """
    with engine.begin() as db:
        linking.lock(db)
        contact = find(db, livemode, ref)
        marks = matched_by.of_contacts(db, [contact.key])
        if changed := patch(db, contact, given):
            owners.settle(db, [contact.key])
            changes.note(db, "update", by, contact=contact.key, what={"fields": sorted(changed)})
        renamed = external_id is not None and _rename(db, contact, external_id, by)
        if renamed or {"emails", "domains"} & set(changed):
            rematch(db, livemode, marks | matched_by.of_contacts(db, [contact.key]))
        return of_key(db, contact.key)


def rename(engine: Engine, livemode: bool, ref: str, external_id: str, by: str) -> Contact:
    """Gives a contact another id of yours; the old one goes on leading to it. Raises ContactUnknown, ContactExists."""
    return change(engine, livemode, ref, {}, by, external_id=external_id)


def _rename(db: Connection, contact: Contact, external_id: str, by: str) -> bool:
    directory.rename(db, contact, external_id)
    after = of_key(db, contact.key)
    if after.external_id == contact.external_id:
        return False
    changes.note(db, "rename", by, contact=contact.key, what={"from": contact.ref, "to": after.ref})
    tell(db, [Told("contact.renamed", {"from": contact.ref, "to": after.ref}, contact.key)])
    return True


def alias(engine: Engine, livemode: bool, ref: str, external_id: str, by: str, *, remove: bool = False) -> Contact:
    """Lets another id lead to a contact, or no longer. Raises ContactUnknown, ContactExists, and ContactInvalid for the
    id that the contact goes by.
    """
    with engine.begin() as db:
        linking.lock(db)
        contact = find(db, livemode, ref)
        wanted = directory.checked_id(external_id)
        if remove:
            directory.drop_id(db, contact, wanted)
        else:
            directory.add_id(db, livemode, contact.kind, wanted, contact.key)
        changes.note(db, "alias", by, contact=contact.key, what={"id": wanted, "removed": remove})
        rematch(db, livemode, Marks(ids=frozenset([wanted])))
        return contact


def member(
    engine: Engine, livemode: bool, account_ref: str, user_ref: str, by: str, *, role: str | None = ""
) -> tuple[Contact, Contact]:
    """Makes a user a member of an account, or changes its role; `role` None: ends the membership.

    Raises ContactUnknown, and ContactInvalid when they are no account and no user, or no member is there to leave.
    """
    with engine.begin() as db:
        linking.lock(db)
        account, user = find(db, livemode, account_ref), find(db, livemode, user_ref)
        if (account.kind, user.kind) != ("account", "user"):
            raise ContactInvalid(problem=f"{account.ref} has to be an account and {user.ref} a user")
        if role is not None:
            directory.join(db, account.key, user.key, role)
        elif not directory.leave(db, account.key, user.key):
            raise ContactInvalid(problem=f"{user.ref} is no member of {account.ref}")
        what = {"account": account.key, "user": user.key, "role": role}
        changes.note(db, "leave" if role is None else "join", by, contact=account.key, what=what)
        rematch(db, livemode, Marks(emails=matched_by.of_contacts(db, [user.key]).emails))  # the account's, or no more
        return account, user


def rematch(db: Connection, livemode: bool, marks: Marks) -> Refreshed:
    """Matches the customers anew whom contacts with these marks may be, or might have been. In the caller's
    transaction, which holds `linking.lock`.
    """
    done = Refreshed()
    for account in accounts.every(db):
        if account.livemode == livemode and (customers := matched_by.customers(db, account.name, marks)):
            done.add(refresh(db, account, customers))
    return done
