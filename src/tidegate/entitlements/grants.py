"""Grants in the store: what subscriptions give to contacts, replaced where it differs, with the versions they hold."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from tidegate.entitlements.access import AccessPolicy
from tidegate.entitlements.items import DERIVED, ITEMS

KEY = ("connection", "subscription", "item")
DATA = (
    "contact",
    "customer",
    "price",
    "mapping",
    "package",
    "version",
    "feature",
    "terms",
    "times",
    "since",
    "anchor",
    "interval",
    "interval_count",
    "status",
    "ends_at",
    "grace_until",
    "pause",
    "resumes_at",
)
"""Columns of `tidegate.grants` beside its key, in the order of the table."""


@dataclass(frozen=True, slots=True)
class Derived:
    """How many grants were written or dropped, and the contacts (internal keys) that have them or had them."""

    rows: int = 0
    contacts: set[int] = field(default_factory=set[int])


def derive_grants(db: Connection, contacts: Sequence[int]) -> Derived:
    """Derives the grants of these contacts (internal keys) anew from the mirror and the catalog.

    Only rows that differ are written. In the caller's transaction.
    """
    values = {"contacts": list(contacts), "grace_days": AccessPolicy().grace_days}
    rows = db.execute(_DERIVE, values).all()
    if not rows:
        return Derived()
    concerned = {key for row in rows for key in (row.contact, row.was) if key is not None}
    subscriptions = sorted({(row.connection, row.subscription) for row in rows})
    there = {"connections": [name for name, _ in subscriptions], "subscriptions": [id_ for _, id_ in subscriptions]}
    for statement in (_FORGET_HOLDINGS, _FORGET_KEPT, _HOLD):
        db.execute(statement, there)
    return Derived(len(rows), concerned)


_NAMES = ", ".join(f'"{name}"' for name in (*KEY, *DATA))
_SET = ", ".join(f'"{name}"' for name in DATA)
_NEW = ", ".join(f'd."{name}"' for name in DATA)
_OLD = ", ".join(f'g."{name}"' for name in DATA)
_EXCLUDED = ", ".join(f'excluded."{name}"' for name in DATA)

_DERIVE = text(f"""
with items as materialized ({ITEMS}),
derived as materialized ({DERIVED}),
gone as (
  delete from tidegate.grants g
  where g.contact = any(cast(:contacts as bigint[])) and not exists (
    select from derived d where (d.connection, d.subscription, d.item) = (g.connection, g.subscription, g.item))
  returning g.contact, g.connection, g.subscription),
changed as materialized (
  select d.*, g.contact as was from derived d
  left join tidegate.grants g
    on (g.connection, g.subscription, g.item) = (d.connection, d.subscription, d.item)
  where g.item is null or ({_NEW}) is distinct from ({_OLD})),
put as (
  insert into tidegate.grants ({_NAMES}) select {_NAMES} from changed
  on conflict (connection, subscription, item) do update set ({_SET}) = ({_EXCLUDED}))
select contact, was, connection, subscription from changed
union all
select contact, null, connection, subscription from gone""")

_THESE = """
unnest(cast(:connections as text[]), cast(:subscriptions as text[])) as these(connection, subscription)"""

# Whoever leaves a package and comes back gets the version of that day; one that is over keeps what it held.
_FORGET_HOLDINGS = text(f"""
delete from tidegate.holdings h using {_THESE}
where h.connection = these.connection and h.subscription = these.subscription and not exists (
  select from tidegate.grants g
  where g.connection = h.connection and g.subscription = h.subscription and g.package = h.package)""")

_FORGET_KEPT = text(f"""
delete from tidegate.kept_mappings k using {_THESE}
where k.connection = these.connection and k.subscription = these.subscription and not exists (
  select from tidegate.grants g
  where g.connection = k.connection and g.subscription = k.subscription and g.price = k.price)""")

_HOLD = text(f"""
insert into tidegate.holdings (connection, subscription, package, version, since)
select distinct on (g.connection, g.subscription, g.package) g.connection, g.subscription, g.package, g.version, now()
from {_THESE}
join tidegate.grants g on g.connection = these.connection and g.subscription = these.subscription
where g.package is not null and g.version is not null
order by g.connection, g.subscription, g.package, g.version
on conflict do nothing""")
