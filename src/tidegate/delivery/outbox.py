"""Writes outbox rows, in the caller's transaction: they exist when what they tell of does, or not at all."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, insert, text

from tidegate.delivery.tables import outbox

EventType = Literal[
    "contact.created",
    "contact.linked",
    "contact.unlinked",
    "contact.merged",
    "contact.unmerged",
    "contact.renamed",
    "contact.forgotten",
    "entitlement.granted",
    "entitlement.changed",
    "entitlement.revoked",
    "mapping.unmapped",
]


class Told(NamedTuple):
    """An event of the outbox. `contact`: internal key. `data`: a JSON object, stable across versions of Tidegate."""

    type: EventType
    data: dict[str, Any]
    contact: int | None = None
    connection: str | None = None


def redact(db: Connection, contacts: Sequence[int]) -> int:
    """Takes from what was told of these contacts (internal keys) all but ids of Stripe's; returns how many rows.

    What was told of entitlements names nobody and stays.
    """
    return db.execute(_REDACT, {"contacts": list(contacts)}).rowcount


_REDACT = text("""
update tidegate.outbox
set data = jsonb_strip_nulls(jsonb_build_object('customer', data -> 'customer', 'method', data -> 'method',
  'redacted', true))
where contact = any(cast(:contacts as bigint[])) and type like 'contact.%' and not data ? 'redacted'""")


def tell(db: Connection, told: Sequence[Told]) -> None:
    """Writes the rows, in the order given."""
    if told:
        db.execute(insert(outbox), [one._asdict() for one in told])
