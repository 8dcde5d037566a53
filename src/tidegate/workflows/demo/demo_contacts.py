"""The demo's own side: a list of accounts as a product would have it, prices mapped as suggested, one to look at."""

import csv
import io
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.catalog import mappings
from tidegate.connections.accounts import Account
from tidegate.mirror import changed
from tidegate.workflows.catalog import catalog_suggest
from tidegate.workflows.contacts import contacts_settings
from tidegate.workflows.contacts.contacts_import import Imported, import_contacts

BY = "demo"
TWINS = 3
"""Addresses that two accounts of the list share, so that somebody has to say whose the customer is."""
SETTINGS: dict[str, Any] = {"kind": "account", "metadata_keys": ["workspace_id"], "create_missing": True}


@dataclass(frozen=True, slots=True)
class Understood:
    """What the demo came to know: contacts and links, customers that wait for a person, mappings made, prices that
    wait; and a contact with much to show.
    """

    contacts: int
    linked: int
    in_review: int
    accepted: int
    unmapped: int
    example: str

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def bring_your_list(engine: Engine, account: Account) -> Imported:
    """Imports the accounts that the simulated company's product would have: one for each customer with an id in its
    metadata, and two for each of some addresses.
    """
    with engine.connect() as db:
        lines = _list(db.execute(_YOURS, {"connection": account.name}).all())
        lines += _twins(db.scalars(_WITHOUT, {"connection": account.name, "limit": TWINS}).all())

    def opens() -> AbstractContextManager[Iterable[str]]:
        return nullcontext(lines)

    return import_contacts(engine, account.livemode, account, opens, BY, name="the simulated product's accounts")


def accept_suggestions(engine: Engine, account: Account) -> int:
    """Maps the prices as suggested; returns how many mappings that made. What no suggestion fits stays in the queue."""
    with engine.connect() as db:
        suggestions, _ = catalog_suggest.found(db, account.name)
    done = catalog_suggest.accept(engine, account.name, suggestions, BY)
    return sum(len(one["mappings"]) for one in done.result["accepted"])


def understand(engine: Engine, account: Account) -> Understood:
    """Brings the list, sets how customers are matched, and maps the prices; derives everything."""
    bring_your_list(engine, account)
    contacts_settings.commit(engine, account, SETTINGS, BY, None, anyway=True)
    accepted = accept_suggestions(engine, account)
    return summary(engine, account, accepted)


def summary(engine: Engine, account: Account, accepted: int) -> Understood:
    """How contacts and catalog stand."""
    with engine.connect() as db:
        row = db.execute(_COUNTED, {"connection": account.name}).one()
        example = db.scalar(_EXAMPLE, {"connection": account.name}) or ""
        return Understood(row.contacts, row.linked, row.reviews, accepted, _unmapped(db, account.name), example)


def refreshed(engine: Engine, account: Account) -> bool:
    """Whether what is derived follows from all that the mirror has."""
    with engine.connect() as db:
        return not changed.waiting(db, account.name)


def _unmapped(db: Connection, connection: str) -> int:
    return len(mappings.queue(db, connection))


def _list(rows: Iterable[Any]) -> list[str]:
    lines = [_line("id", "name", "emails")]
    return lines + [_line(row.workspace, row.name or "", row.email or "") for row in rows]


def _twins(emails: Iterable[str]) -> list[str]:
    return [_line(f"twin-{n}{half}", f"Twin {n}{half}", email) for n, email in enumerate(emails, 1) for half in "ab"]


def _line(*cells: str) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()


_YOURS = text("""
select data -> 'metadata' ->> 'workspace_id' as workspace, min(name) as name, min(email) as email
from stripe.customers
where connection = :connection and deleted_at is null and data -> 'metadata' ? 'workspace_id'
group by 1 order by 1""")

_WITHOUT = text("""
select lower(c.email) from stripe.customers c
where c.connection = :connection and c.deleted_at is null and not coalesce(c.data -> 'metadata' ? 'workspace_id', false)
  and exists (select from stripe.subscriptions s
    where s.connection = c.connection and s.customer = c.id and s.status in ('active', 'trialing', 'past_due'))
group by 1 having count(*) = 1 and lower(c.email) <> '' order by min(c.created), 1 limit :limit""")

_COUNTED = text("""
select (select count(*) from tidegate.contacts where merged_into is null) as contacts,
  (select count(*) from tidegate.links where connection = :connection and contact is not null) as linked,
  (select count(*) from tidegate.reviews where connection = :connection) as reviews""")

_EXAMPLE = text("""
select c.external_id from tidegate.grants g join tidegate.contacts c on c.key = g.contact
where g.connection = :connection and g.status in ('active', 'trialing')
group by c.key, c.external_id
order by (count(*) between 2 and 4) desc, bool_or(c.made_by <> 'stripe') desc, count(distinct g.mapping) desc, c.key
limit 1""")
