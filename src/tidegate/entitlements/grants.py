"""Grants in the store: what subscriptions give to contacts, replaced where it differs, with the versions they hold."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from tidegate.entitlements.access import AccessPolicy
from tidegate.entitlements.items import DERIVED, ITEMS
from tidegate.store.driver import rows

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
    changed = rows(db, _DERIVE, values)
    if not changed:
        return Derived()
    concerned = {key for row in changed for key in (row.contact, row.was) if key is not None}
    subscriptions = sorted({(row.connection, row.subscription) for row in changed})
    there = {"connections": [name for name, _ in subscriptions], "subscriptions": [id_ for _, id_ in subscriptions]}
    rows(db, _HOLD, there)
    return Derived(len(changed), concerned)


_NAMES = ", ".join(f'"{name}"' for name in (*KEY, *DATA))
_SET = ", ".join(f'"{name}"' for name in DATA)
_NEW = ", ".join(f'd."{name}"' for name in DATA)
_OLD = ", ".join(f'g."{name}"' for name in DATA)
_EXCLUDED = ", ".join(f'excluded."{name}"' for name in DATA)

# What the contacts have is read once, by contact; a grant that comes from another contact is looked up by its key.
_DERIVE = text(f"""
with items as ({ITEMS}),
derived as ({DERIVED}),
mine as (
  select g.* from tidegate.grants g where g.contact = any(cast(:contacts as bigint[]))),
changed as materialized (
  select d.*, g.connection as old_connection, g.subscription as old_subscription, g.item as old_item
  from derived d
  full join mine g on g.connection = d.connection and g.subscription = d.subscription and g.item = d.item
  where d.item is null or g.item is null or ({_NEW}) is distinct from ({_OLD})),
gone as (
  delete from tidegate.grants g using changed c
  where c.item is null
    and (g.connection, g.subscription, g.item) = (c.old_connection, c.old_subscription, c.old_item)
  returning g.contact, g.connection, g.subscription),
put as (
  insert into tidegate.grants ({_NAMES}) select {_NAMES} from changed where item is not null
  on conflict (connection, subscription, item) do update set ({_SET}) = ({_EXCLUDED}))
select c.contact, o.contact as was, c.connection, c.subscription from changed c
left join tidegate.grants o on (o.connection, o.subscription, o.item) = (c.connection, c.subscription, c.item)
where c.item is not null
union all
select contact, null, connection, subscription from gone""")

# What is held once stays held: a subscription that leaves a package and comes back has the version that it had, whether
# anybody looked in between or not.
_HOLD = text("""
insert into tidegate.holdings (connection, subscription, package, version, since)
select distinct on (g.connection, g.subscription, g.package) g.connection, g.subscription, g.package, g.version, now()
from unnest(cast(:connections as text[]), cast(:subscriptions as text[])) as these(connection, subscription)
join tidegate.grants g on g.connection = these.connection and g.subscription = these.subscription
where g.package is not null and g.version is not null
order by g.connection, g.subscription, g.package, g.version
on conflict do nothing""")
