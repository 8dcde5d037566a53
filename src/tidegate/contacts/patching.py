"""Changes what is known of one contact: what is given is set, null gives it back to Stripe or to nobody."""

import json
from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import Connection, text

from tidegate.contacts import following
from tidegate.contacts.directory import Contact, add_domains, add_emails
from tidegate.contacts.match import fold
from tidegate.contacts.records import Record, problems_of
from tidegate.errors import ContactInvalid

FIELDS = ("name", "email", "emails", "domains", "owner", "properties")


def patch(db: Connection, contact: Contact, given: Mapping[str, Any]) -> dict[str, Any]:
    """Sets what is given of `FIELDS` and returns what really changed. In the caller's transaction.

    `name`, `email`: None lets them follow Stripe again. `emails`, `domains`: the whole list. `properties` are merged, a
    property that is None goes. Raises ContactInvalid, and nothing is written.
    """
    _check(contact, given)
    before = _stored(db, contact.key)
    if "emails" in given:
        _replace_emails(db, contact.key, given)
    if given.get("email"):
        add_emails(db, contact.key, [given["email"]])
    if "domains" in given:
        db.execute(text("delete from tidegate.contact_domains where contact = :c"), {"c": contact.key})
        add_domains(db, contact.key, given["domains"])
    values = {"key": contact.key, **_values(contact, given, before)}
    db.execute(_SET, values)
    if ("name" in given and not given["name"]) or ("email" in given and not given["email"]):
        following.follow(db, [contact.key])
    after = _stored(db, contact.key)
    return {name: after[name] for name in after if after[name] != before[name]}


def _check(contact: Contact, given: Mapping[str, Any]) -> None:
    emails = [*(given.get("emails") or ()), *([given["email"]] if given.get("email") else ())]
    record = Record(
        contact.kind,
        contact.external_id,
        given.get("name"),
        tuple(emails),
        tuple(given.get("domains") or ()),
        owner=given.get("owner"),
        properties=given.get("properties") or {},
    )
    wrong = problems_of(record)
    if given.get("email") and given.get("emails") is not None:
        folded = {fold(email) for email in given["emails"]}
        wrong += [] if fold(given["email"]) in folded else ["the e-mail is not among the e-mails"]
    if wrong:
        raise ContactInvalid(problem="; ".join(wrong))


def _replace_emails(db: Connection, key: int, given: Mapping[str, Any]) -> None:
    db.execute(text("delete from tidegate.contact_emails where contact = :c"), {"c": key})
    add_emails(db, key, given["emails"])


def _values(contact: Contact, given: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    email = given.get("email")
    if "emails" in given and "email" not in given:
        folded = {fold(one) for one in given["emails"]}
        email = before["email"] if fold(before["email"]) in folded else next(iter(given["emails"]), "")
    properties = {**contact.properties, **cast("Mapping[str, Any]", given.get("properties") or {})}
    return {
        "name": before["name"] if "name" not in given else given["name"] or before["name"],
        "name_is_yours": before["name_is_yours"] if "name" not in given else given["name"] is not None,
        "email": before["email"] if email is None else email.strip(),
        "email_is_yours": _email_is_yours(given, before),
        "owner": before["owner"] if given.get("owner") is None else given["owner"],
        "said": given.get("owner") is not None,
        "properties": json.dumps({name: value for name, value in properties.items() if value is not None}),
    }


def _email_is_yours(given: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    if "email" in given:
        return given["email"] is not None
    return before["email_is_yours"] or "emails" in given


def _stored(db: Connection, key: int) -> dict[str, Any]:
    return dict(db.execute(_STORED, {"key": key}).mappings().one())


_SET = text("""
update tidegate.contacts set name = :name, name_is_yours = :name_is_yours, email = :email,
  email_is_yours = :email_is_yours, owner = :owner, owner_by_rule = owner_by_rule and not :said,
  properties = cast(:properties as jsonb), updated_at = now()
where key = :key""")

_STORED = text("""
select name, name_is_yours, email, email_is_yours, owner, properties,
  array(select email from tidegate.contact_emails e where e.contact = c.key order by email) as emails,
  array(select domain from tidegate.contact_domains d where d.contact = c.key order by domain) as domains
from tidegate.contacts c where key = :key""")
