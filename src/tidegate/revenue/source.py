"""Where reports read changes of MRR from, as SQL: rows of movements, or the ends of spans where prices matter."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from tidegate.errors import ReportInvalid
from tidegate.revenue.ledger import Ledger
from tidegate.revenue.periods import Period, instant

OF_PRICES = ("package", "product", "price", "interval")
OF_CUSTOMERS = ("currency", "country", "contact")
PROPERTY = "property:"
GROUPS = (*OF_PRICES, *OF_CUSTOMERS, f"{PROPERTY}NAME")


class Group(NamedTuple):
    """What a report is grouped by: empty for nothing. `field`: which property of the contact's."""

    name: str = ""
    field: str = ""

    @property
    def of_prices(self) -> bool:
        """Whether an item goes from one group to another when its price changes."""
        return self.name in OF_PRICES


def group(name: str | None) -> Group:
    """The grouping of a name such as `package` or `property:plan`. Raises ReportInvalid."""
    if not name or name in {*OF_PRICES, *OF_CUSTOMERS}:
        return Group(name or "")
    if name.startswith(PROPERTY) and len(name) > len(PROPERTY):
        return Group("property", name.removeprefix(PROPERTY))
    raise ReportInvalid(problem=f"There is no grouping by {name}: there are {', '.join(GROUPS)}.")


UNGROUPED = Group()


class Window(NamedTuple):
    """The periods of a report; `thresholds` are the days at which its buckets begin."""

    periods: Sequence[Period]
    thresholds: Sequence[date]

    @classmethod
    def of(cls, periods: Sequence[Period], *, daily: bool = False) -> "Window":
        """Buckets are the periods, or all days of them."""
        first, last = periods[0].first, periods[-1].last
        if not daily:
            return cls(periods, [one.first for one in periods])
        return cls(periods, [first + timedelta(days=n) for n in range((last - first).days + 1)])

    @property
    def last(self) -> date:
        """The last day."""
        return self.periods[-1].last


def values(ledger: Ledger, window: Window, by: Group = UNGROUPED) -> dict[str, Any]:
    """What the statements of this module are given."""
    return {
        "connection": ledger.connection,
        "edition": ledger.edition,
        "zone": ledger.zone.key,
        "days": [*window.thresholds, window.last + timedelta(days=1)],
        "instants": [instant(day, ledger.zone) for day in (*window.thresholds, window.last + timedelta(days=1))],
        "buckets": len(window.thresholds),
        "last": window.last,
        "field": by.field,
    }


def movements(by: Group) -> str:
    """Rows of movements: unit, customer, subscription, currency, grp, bucket, kind, amount, moved_at."""
    return f"""
select m.unit, m.customer, m.subscription, m.currency, {_NAMED[by.name]} as grp,
  width_bucket(m.day, cast(:days as date[])) as bucket, m.kind, m.amount, m.moved_at
from tidegate.movements m{_joined("m", by)}
where m.connection = :connection and m.edition = :edition and m.superseded_at is null and m.day <= :last"""


def edges(ledger: Ledger, by: Group, amount: str = "mrr") -> str:
    """The same of the ends of spans, without kind: what changes an item's price is nothing in sum, but moves between
    groups. An end counts in the bucket of the movement that it belongs to; what belongs to one after the last day is in
    a bucket of its own, after the last one.
    """
    unit = "coalesce('contact:' || k.contact, m.customer)" if ledger.policy.unit == "contact" else "m.customer"
    linked = "" if by.name in {"contact", "property"} else _LINKED
    return f"""
with late as (
  select subscription, item, currency, at, width_bucket(day, cast(:days as date[])) as bucket
  from tidegate.movements
  where connection = :connection and edition = :edition and superseded_at is null and moved_at > at
    and width_bucket(day, cast(:days as date[]))
      > width_bucket(cast(at at time zone :zone as date), cast(:days as date[]))),
ends as (
  select connection, customer, subscription, item, currency, price, product, starts_at as at, {amount} as amount
  from tidegate.spans where connection = :connection and {amount} <> 0
  union all
  select connection, customer, subscription, item, currency, price, product, ends_at, -{amount}
  from tidegate.spans where connection = :connection and {amount} <> 0 and ends_at is not null)
select {unit} as unit, m.customer, m.subscription, m.currency,
  {_NAMED[by.name]} as grp,
  coalesce(late.bucket, width_bucket(m.at, cast(:instants as timestamptz[]))) as bucket, m.amount
from ends m
left join late on late.subscription = m.subscription and late.item = m.item and late.currency = m.currency
  and late.at = m.at{linked}{_joined("m", by)}
where not exists (
  select from tidegate.exclusions e where e.connection = m.connection and e.customer = m.customer)"""


_LINKED = "\nleft join tidegate.links k on k.connection = m.connection and k.customer = m.customer"

_NAMED: Mapping[str, str] = {
    "": "''",
    "price": "m.price",
    "product": "m.product",
    "package": "coalesce(mp.package, case when mp.id is null then mo.package end, '')",
    "interval": """coalesce(case when coalesce(p.interval_count, 1) = 1 then p.interval
      else p.interval_count || ' ' || p.interval || 's' end, '')""",
    "currency": "m.currency",
    "country": "coalesce(c.country, '')",
    "contact": "coalesce(t.kind || ':' || t.external_id, m.customer)",
    "property": "coalesce(t.properties ->> :field, '')",
}


def _joined(alias: str, by: Group) -> str:
    match by.name:
        case "package":
            return f"""
left join tidegate.mappings mp on mp.connection = {alias}.connection and mp.price = {alias}.price
  and mp.removed_at is null
left join tidegate.mappings mo on mo.connection = {alias}.connection and mo.product = {alias}.product
  and mo.removed_at is null"""
        case "interval":
            return f"\nleft join stripe.prices p on p.connection = {alias}.connection and p.id = {alias}.price"
        case "country":
            return f"\nleft join stripe.customers c on c.connection = {alias}.connection and c.id = {alias}.customer"
        case "contact" | "property":
            return f"""{_LINKED}
left join tidegate.contacts t on t.key = k.contact"""
        case _:
            return ""
