"""Contacts one by one: made, found by any id they ever had, renamed, described."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from tidegate.contacts.addresses import registrable
from tidegate.contacts.match import LONGEST_ID, Kind, fold
from tidegate.errors import ContactAmbiguous, ContactExists, ContactInvalid, ContactUnknown


@dataclass(frozen=True, slots=True)
class Making:
    """A contact to make. `email_is_yours`, `name_is_yours`: they no longer follow Stripe."""

    kind: Kind
    external_id: str
    name: str = ""
    email: str = ""
    emails: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    owner: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict[str, Any])
    made_by: str = "api"
    name_is_yours: bool = False
    email_is_yours: bool = False


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact as it is; `key` is internal and never changes. Times are UTC."""

    key: int
    livemode: bool
    kind: Kind
    external_id: str
    name: str
    email: str
    owner: str
    properties: dict[str, Any]
    created_at: datetime

    @property
    def ref(self) -> str:
        """`account:acme`: tells apart a user and an account of one id."""
        return f"{self.kind}:{self.external_id}"


def make(db: Connection, livemode: bool, making: Making) -> int:
    """Makes a contact and returns its key. Raises ContactExists, ContactInvalid; nothing is written then."""
    [key] = make_many(db, livemode, [making])
    return key


def make_many(db: Connection, livemode: bool, makings: Sequence[Making]) -> list[int]:
    """Makes contacts, each of another id, and returns their keys. Raises ContactExists, ContactInvalid; nothing is
    written then.
    """
    if not makings:
        return []
    columns = _columns(makings)
    values: dict[str, Any] = {**columns, "livemode": livemode}
    if taken := db.execute(_TAKEN, values).first():
        raise ContactExists(contact=f"{taken.kind}:{taken.external_id}")
    keys = {(row.kind, row.external_id): row.key for row in db.execute(_MAKE, values)}
    made = [keys[kind, id_] for kind, id_ in zip(columns["kinds"], columns["ids"], strict=True)]
    emails = [
        (key, email, one.made_by == "stripe")
        for key, one in zip(made, makings, strict=True)
        for email in (one.email, *one.emails)
        if email
    ]
    if emails:
        said = {"emails": [e.strip() for _, e, _ in emails], "folded": [fold(e) for _, e, _ in emails]}
        followed = [of_stripe for _, _, of_stripe in emails]
        db.execute(_ADD_EMAILS, said | {"keys": [key for key, _, _ in emails], "followed": followed})
    for key, one in zip(made, makings, strict=True):
        add_domains(db, key, one.domains)
    return made


def _columns(makings: Sequence[Making]) -> dict[str, list[Any]]:
    return {
        "kinds": [one.kind for one in makings],
        "ids": [checked_id(one.external_id) for one in makings],
        "names": [one.name for one in makings],
        "emails": [one.email or next(iter(one.emails), "") for one in makings],
        "owners": [one.owner for one in makings],
        "properties": [json.dumps(dict(one.properties)) for one in makings],
        "made_by": [one.made_by for one in makings],
        "name_is_yours": [one.name_is_yours for one in makings],
        "email_is_yours": [one.email_is_yours for one in makings],
    }


_TAKEN = text("""
select i.kind, i.external_id from unnest(cast(:kinds as text[]), cast(:ids as text[])) as said(kind, id)
join tidegate.contact_ids i on i.livemode = :livemode and i.kind = said.kind and i.external_id = said.id limit 1""")

_MAKE = text("""
with made as (
  insert into tidegate.contacts
    (livemode, kind, external_id, name, email, owner, properties, made_by, name_is_yours, email_is_yours)
  select :livemode, kind, id, name, email, owner, properties, made_by, name_is_yours, email_is_yours
  from unnest(cast(:kinds as text[]), cast(:ids as text[]), cast(:names as text[]), cast(:emails as text[]),
    cast(:owners as text[]), cast(:properties as jsonb[]), cast(:made_by as text[]), cast(:name_is_yours as boolean[]),
    cast(:email_is_yours as boolean[])) with ordinality
    as said(kind, id, name, email, owner, properties, made_by, name_is_yours, email_is_yours, place)
  order by place
  returning key, livemode, kind, external_id),
ids as (
  insert into tidegate.contact_ids (livemode, kind, external_id, contact)
  select livemode, kind, external_id, key from made)
select key, kind, external_id from made""")

_ADD_EMAILS = text("""
insert into tidegate.contact_emails (contact, folded, email, followed)
select key, folded, min(email), bool_and(followed)
from unnest(cast(:keys as bigint[]), cast(:folded as text[]), cast(:emails as text[]), cast(:followed as boolean[]))
  as said(key, folded, email, followed)
group by 1, 2 on conflict do nothing""")


def find(db: Connection, livemode: bool, ref: str) -> Contact:
    """The contact of an id, present or former: `acme`, or `account:acme` where a user has the same.

    Raises ContactUnknown, ContactAmbiguous.
    """
    kind, _, rest = ref.partition(":")
    rows = db.execute(
        text(f"""
select i.kind as id_kind, i.external_id as id, {_SHOWN}
from tidegate.contact_ids i join tidegate.contacts c on c.key = i.contact
where i.livemode = :livemode and ((i.kind = :kind and i.external_id = :rest) or i.external_id = :ref)"""),
        {"livemode": livemode, "kind": kind, "rest": rest, "ref": ref},
    ).all()
    by_id = {(row.id_kind, row.id): row for row in rows}
    return _contact(by_id[meant(ref, by_id)])


def meant(ref: str, known: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Which of these ids, (kind, id), `acme` or `account:acme` means. Raises ContactUnknown, ContactAmbiguous."""
    kind, _, rest = ref.partition(":")
    exact = [one for one in known if one == (kind, rest)] or [one for one in known if one[1] == ref]
    if not exact:
        raise ContactUnknown(contact=ref)
    if len(exact) > 1:
        raise ContactAmbiguous(contact=ref, known=" or ".join(f"{kind}:{ref}" for kind, _ in sorted(exact)))
    return exact[0]


def of_key(db: Connection, key: int) -> Contact:
    """The contact of an internal key. Raises ContactUnknown."""
    row = db.execute(text(f"select {_SHOWN} from tidegate.contacts c where c.key = :key"), {"key": key}).first()
    if row is None:
        raise ContactUnknown(contact=str(key))
    return _contact(row)


def of_customer(db: Connection, connection: str, customer: str) -> Contact | None:
    """The contact that a customer of Stripe is linked to; None: nobody's."""
    row = db.execute(
        text(f"""
select {_SHOWN} from tidegate.links l join tidegate.contacts c on c.key = l.contact
where l.connection = :connection and l.customer = :customer"""),
        {"connection": connection, "customer": customer},
    ).first()
    return None if row is None else _contact(row)


_SHOWN = "c.key, c.livemode, c.kind, c.external_id, c.name, c.email, c.owner, c.properties, c.created_at"


def _contact(row: Row[Any]) -> Contact:
    return Contact(
        row.key, row.livemode, row.kind, row.external_id, row.name, row.email, row.owner, row.properties, row.created_at
    )


def rename(db: Connection, contact: Contact, external_id: str) -> None:
    """Gives the contact another id of yours; the old one goes on leading to it. Raises ContactExists."""
    wanted = checked_id(external_id)
    add_id(db, contact.livemode, contact.kind, wanted, contact.key)
    db.execute(
        text("update tidegate.contacts set external_id = :wanted, updated_at = now() where key = :key"),
        {"wanted": wanted, "key": contact.key},
    )


def join(db: Connection, account: int, user: int, role: str = "") -> None:
    """Makes a user (internal key) a member of an account, or changes its role."""
    db.execute(
        text("""
insert into tidegate.contact_members (account, "user", role) values (:account, :user, :role)
on conflict (account, "user") do update set role = excluded.role"""),
        {"account": account, "user": user, "role": role},
    )


def leave(db: Connection, account: int, user: int) -> bool:
    """Ends a membership; false when there was none."""
    statement = text('delete from tidegate.contact_members where account = :account and "user" = :user')
    return db.execute(statement, {"account": account, "user": user}).rowcount > 0


def checked_id(external_id: str) -> str:
    """The id without blanks around it. Raises ContactInvalid for an empty or a very long one."""
    wanted = external_id.strip()
    if not wanted or len(wanted) > LONGEST_ID or "\0" in wanted:
        raise ContactInvalid(
            problem=f"the id {external_id[:40]!r} is empty, longer than {LONGEST_ID} characters or no text"
        )
    return wanted


def add_id(db: Connection, livemode: bool, kind: Kind, external_id: str, contact: int) -> None:
    """Lets an id lead to the contact; one that does already may. Raises ContactExists when it leads to another."""
    owner = db.scalar(
        text("""
insert into tidegate.contact_ids as i (livemode, kind, external_id, contact)
values (:livemode, :kind, :external_id, :contact)
on conflict (livemode, kind, external_id) do update set contact = i.contact returning contact"""),
        {"livemode": livemode, "kind": kind, "external_id": external_id, "contact": contact},
    )
    if owner != contact:
        raise ContactExists(contact=f"{kind}:{external_id}")


def drop_id(db: Connection, contact: Contact, external_id: str) -> None:
    """Lets a former id of the contact lead to nobody. Raises ContactInvalid for the one it goes by, or none of its."""
    if external_id == contact.external_id:
        raise ContactInvalid(problem=f"{contact.ref} goes by the id {external_id!r}; rename it first")
    statement = text("""
delete from tidegate.contact_ids
where contact = :contact and livemode = :livemode and kind = :kind and external_id = :external_id""")
    scope = {"livemode": contact.livemode, "kind": contact.kind, "external_id": external_id}
    if not db.execute(statement, {"contact": contact.key, **scope}).rowcount:
        raise ContactInvalid(problem=f"{external_id!r} is no id of {contact.ref}")


def add_emails(db: Connection, contact: int, emails: Sequence[str]) -> None:
    """Adds addresses by which the contact is matched; empty ones and known ones are passed over."""
    wanted = {fold(email): email.strip() for email in emails if email.strip()}
    for folded, email in wanted.items():
        db.execute(
            text("""
insert into tidegate.contact_emails (contact, folded, email) values (:contact, :folded, :email)
on conflict (contact, folded) do update set followed = false"""),
            {"contact": contact, "folded": folded, "email": email},
        )


def add_domains(db: Connection, contact: int, domains: Sequence[str]) -> None:
    """Adds domains by which an account is matched. Raises ContactInvalid for what nobody can register."""
    for domain in domains:
        found = registrable(domain)
        if not found:
            raise ContactInvalid(problem=f"{domain!r} is no domain that somebody can register")
        db.execute(
            text("insert into tidegate.contact_domains (contact, domain) values (:c, :d) on conflict do nothing"),
            {"c": contact, "d": found},
        )
