"""Contacts as lists of yours tell them: one record each, checked before anything is written (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.contacts.addresses import FREE_MAIL, plain, registrable
from tidegate.contacts.match import LONGEST_ID, Kind

LONGEST = 512
"""Characters of an e-mail address or a name, as at Stripe."""


@dataclass(frozen=True, slots=True)
class Record:
    """A contact as you have it. None, or empty: nothing is said, and what is known stays.

    `emails`: the first is the contact's; all are matched by. `account`: your id of the account that a user belongs to,
    with `role`. `properties`: any JSON by name. `billing_ids`: Stripe customers (cus_…) that are this contact.
    """

    kind: Kind
    id: str
    name: str | None = None
    emails: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    account: str | None = None
    role: str | None = None
    owner: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict[str, Any])
    billing_ids: tuple[str, ...] = ()


def problems_of(record: Record) -> list[str]:
    """Everything that keeps a record from being taken, in words; empty when nothing does."""
    found: list[str] = []
    if not record.id.strip() or len(record.id.strip()) > LONGEST_ID:
        found.append(f"the id {record.id[:40]!r} is empty or longer than {LONGEST_ID} characters")
    if record.kind not in ("user", "account"):
        found.append(f"the kind is {record.kind!r}; use user or account")
    found += [f"{email[:60]!r} is no e-mail address" for email in record.emails if not _is_address(email)]
    if record.domains and record.kind == "user":
        found.append("only accounts are matched by domains, and this is a user")
    for domain in record.domains:
        if not registrable(domain):
            found.append(f"{domain[:60]!r} is no domain that somebody can register")
        elif registrable(domain) in FREE_MAIL or plain(domain) in FREE_MAIL:
            found.append(f"{domain[:60]!r} belongs to a mail provider and tells nothing of a company")
    if record.account is not None and record.kind == "account":
        found.append("only a user belongs to an account, and this is one itself")
    found += [f"{one[:60]!r} is no id of a Stripe customer" for one in record.billing_ids if not _is_customer(one)]
    for name in ("name", "owner", "role"):
        if len(getattr(record, name) or "") > LONGEST:
            found.append(f"the {name} is longer than {LONGEST} characters")
    if _holds_nul([record.id, record.name, record.owner, record.role, record.account, dict(record.properties)]):
        found.append("it holds the character U+0000, which no database text can")
    return found


def _is_address(email: str) -> bool:
    local, at, domain = email.strip().rpartition("@")
    return (
        bool(local and at and domain)
        and len(email) <= LONGEST
        and not any(c.isspace() or c == "\0" for c in email.strip())
    )


def _is_customer(customer: str) -> bool:
    return 0 < len(customer) <= 255 and customer.isprintable() and " " not in customer


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(one) for pair in value.items() for one in pair)  # pyright: ignore[reportUnknownVariableType]
    return isinstance(value, list) and any(_holds_nul(one) for one in value)  # pyright: ignore[reportUnknownVariableType]
