"""Grants in the store: what subscriptions give to contacts, replaced where it differs, with the versions they hold."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from tidegate.contacts.policy import stored
from tidegate.entitlements.access import AccessPolicy
from tidegate.entitlements.derive import derive
from tidegate.entitlements.items import items_of, meanings_of

TYPES = {
    "connection": "text",
    "subscription": "text",
    "item": "text",
    "contact": "bigint",
    "customer": "text",
    "price": "text",
    "mapping": "bigint",
    "package": "text",
    "version": "integer",
    "feature": "text",
    "terms": "jsonb",
    "times": "bigint",
    "since": "timestamptz",
    "anchor": "timestamptz",
    "interval": "text",
    "interval_count": "bigint",
    "status": "text",
    "ends_at": "timestamptz",
    "grace_until": "timestamptz",
    "pause": "text",
    "resumes_at": "timestamptz",
}
"""Columns of `tidegate.grants`, in the order of the table."""


def derive_grants(db: Connection, contacts: Sequence[int]) -> int:
    """Derives the grants of these contacts (internal keys) anew from the mirror and the catalog.

    Only rows that differ are written; returns how many. In the caller's transaction.
    """
    items = items_of(db, contacts)
    policies = {name: AccessPolicy.read(stored(db, name)) for name in {item.connection for item in items}}
    rows = derive(items, meanings_of(db, items), {name: policy.grace_days for name, policy in policies.items()})
    columns = {name: [row[name] for row in rows] for name in TYPES}
    columns["terms"] = [json.dumps(terms) if terms is not None else None for terms in columns["terms"]]
    values: dict[str, Any] = {"contacts": list(contacts), **columns}
    changed = db.execute(_DROP, values).rowcount
    if rows:
        changed += db.execute(_PUT, values).rowcount
    db.execute(_FORGET_HOLDINGS, values)
    db.execute(_FORGET_KEPT, values)
    if rows:
        db.execute(_HOLD, values)
    return changed


_NAMES = ", ".join(f'"{name}"' for name in TYPES)
_ROWS = ", ".join(f"cast(:{name} as {type_}[])" for name, type_ in TYPES.items())
_DATA = [name for name in TYPES if name not in {"connection", "subscription", "item"}]
_MINE = ", ".join(f'g."{name}"' for name in _DATA)
_THEIRS = ", ".join(f'excluded."{name}"' for name in _DATA)

_DROP = text("""
delete from tidegate.grants g
where g.contact = any(cast(:contacts as bigint[])) and not exists (
  select from unnest(cast(:connection as text[]), cast(:subscription as text[]), cast(:item as text[]))
    as new(connection, subscription, item)
  where (new.connection, new.subscription, new.item) = (g.connection, g.subscription, g.item))""")

_PUT = text(f"""
insert into tidegate.grants as g ({_NAMES}) select {_NAMES} from unnest({_ROWS}) as new({_NAMES})
on conflict (connection, subscription, item) do update set ({", ".join(f'"{name}"' for name in _DATA)}) = ({_THEIRS})
where ({_MINE}) is distinct from ({_THEIRS})""")

# Whoever leaves a package and comes back gets the version of that day; one that is over keeps what it held.
_FORGET_HOLDINGS = text("""
delete from tidegate.holdings h
using (select distinct s.connection, s.id from tidegate.links l
       join stripe.subscriptions s on s.connection = l.connection and s.customer = l.customer
       where l.contact = any(cast(:contacts as bigint[]))) as theirs
where h.connection = theirs.connection and h.subscription = theirs.id and not exists (
  select from unnest(cast(:connection as text[]), cast(:subscription as text[]), cast(:package as text[]))
    as new(connection, subscription, package)
  where (new.connection, new.subscription, new.package) = (h.connection, h.subscription, h.package))""")

_FORGET_KEPT = text("""
delete from tidegate.kept_mappings k
using (select distinct s.connection, s.id from tidegate.links l
       join stripe.subscriptions s on s.connection = l.connection and s.customer = l.customer
       where l.contact = any(cast(:contacts as bigint[]))) as theirs
where k.connection = theirs.connection and k.subscription = theirs.id and not exists (
  select from unnest(cast(:connection as text[]), cast(:subscription as text[]), cast(:price as text[]))
    as new(connection, subscription, price)
  where (new.connection, new.subscription, new.price) = (k.connection, k.subscription, k.price))""")

_HOLD = text("""
insert into tidegate.holdings (connection, subscription, package, version, since)
select distinct on (connection, subscription, package) connection, subscription, package, version, now()
from unnest(cast(:connection as text[]), cast(:subscription as text[]), cast(:package as text[]),
  cast(:version as integer[])) as new(connection, subscription, package, version)
where package is not null and version is not null
on conflict do nothing""")
