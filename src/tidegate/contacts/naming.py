"""Gives contacts that were made from Stripe customers the ids of yours that the customers' metadata names later."""

from collections.abc import Iterable

from sqlalchemy import Connection, text

from tidegate.contacts import directory
from tidegate.delivery.outbox import Told


def name_contacts(db: Connection, connection: str, naming: Iterable[tuple[int, str, str]]) -> list[Told]:
    """Gives contacts (internal keys) ids of yours that nobody has, as (contact, the customer it was made from, id): as
    theirs, where they still go by the address or the customer that they were made from, else beside the one they have.
    Returns what to tell. In the caller's transaction, which holds `linking.lock`.
    """
    told: list[Told] = []
    for key, customer, named in naming:
        contact = directory.of_key(db, key)
        made_from = db.scalar(_MADE_FROM, {"connection": connection, "customer": customer})
        if contact.external_id not in (made_from, customer):
            directory.add_id(db, contact.livemode, contact.kind, named, key)
            continue
        directory.rename(db, contact, named)
        what = {"from": contact.ref, "to": directory.of_key(db, key).ref}
        told.append(Told("contact.renamed", what, key, connection))
    return told


_MADE_FROM = text("""
select evidence ->> 'email' from tidegate.links where connection = :connection and customer = :customer""")
