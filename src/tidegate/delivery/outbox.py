"""Writes outbox rows, in the caller's transaction: they exist when what they tell of does, or not at all."""

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, text

from tidegate.store.bulk import Texts

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
    "billing_event.recorded",
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
        columns = {
            "types": Texts([one.type for one in told]),
            "data": Texts([json.dumps(one.data) for one in told]),
            "contacts": [one.contact for one in told],
            "connections": [one.connection for one in told],
        }
        db.execute(_TELL, columns)


_TELL = text("""
insert into tidegate.outbox (type, data, contact, connection)
select type, data::jsonb, contact, connection
from unnest(:types, :data, cast(:contacts as bigint[]), cast(:connections as text[]))
  with ordinality as told(type, data, contact, connection, place)
order by place""")
