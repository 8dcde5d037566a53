"""Where reports read changes of MRR from, as SQL: rows of movements, or, where prices matter, the ends of spans or the
sums of both by price.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.errors import ReportInvalid
from tidegate.revenue.editions import Ledger
from tidegate.revenue.periods import Period, instant
from tidegate.revenue.price_days import WORTH

OF_PRICES = ("package", "product", "price", "interval")
OF_CUSTOMERS = ("currency", "country", "contact")
PROPERTY = "property:"
DAY = 86_400
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
        "instants": [instant(day, ledger.zone) for day in window.thresholds],
        "end": instant(window.last + timedelta(days=1), ledger.zone),
        "buckets": len(window.thresholds),
        "last": window.last,
        "field": by.field,
    }


def movements(by: Group) -> str:
    """Rows of movements: unit, subscription, currency, grp, bucket, kind, amount, moved_at, price, product."""
    return f"""
select m.unit, m.subscription, m.currency, {_NAMED[by.name]} as grp,
  width_bucket(m.day, cast(:days as date[])) as bucket, m.kind, m.amount, m.moved_at, m.price, m.product
from tidegate.movements m{joined(by)}
where m.connection = :connection and m.edition = :edition and m.superseded_at is null and m.day <= :last"""


def moves(ledger: Ledger, by: Group) -> str:
    """Rows of movements with what they are summed up by, for groups of customers: bucket, currency, grp, kind, amount.

    An index by unit has all of it. What a unit, or a customer, is grouped as is made where it is joined, not again for
    each of its movements.
    """
    column = "unit" if ledger.policy.unit == "contact" and by.name != "country" else "customer"
    return f"""
select width_bucket(m.day, cast(:days as date[])) as bucket, m.currency,
  coalesce(w.grp, {"m.customer" if by.name == "contact" else "''"}) as grp, m.kind, m.amount
from tidegate.movements m
left join ({_NAMING[by.name, column]}) w on w.{column} = m.{column}
where m.connection = :connection and m.edition = :edition and m.superseded_at is null and m.day <= :last"""


def edges(ledger: Ledger, by: Group, amount: str = "mrr", *, units: bool = True) -> str:
    """The same of the ends of spans, of no kind: what changes an item's price is nothing in sum, but moves between
    groups. What belongs to a movement of a later bucket counts there; what comes after the last day is left out.

    `units`: tell whose they are; else `unit` is empty.
    """
    linked = by.name in {"contact", "property"}
    by_contact = units and ledger.policy.unit == "contact"
    unit = "coalesce('contact:' || k.contact, m.customer)" if by_contact else "m.customer" if units else "''"
    return f"""
with {_late(ledger, "s.customer, s.subscription, s.currency, s.price, s.product", amount)},
moments as (
  select s.customer, s.subscription, s.currency, s.price, s.product,
    width_bucket(s.starts_at, cast(:instants as timestamptz[])) as bucket, s.{amount} as amount
  from tidegate.spans s where s.connection = :connection and s.{amount} <> 0 and s.starts_at < :end
  union all
  select s.customer, s.subscription, s.currency, s.price, s.product,
    width_bucket(s.ends_at, cast(:instants as timestamptz[])), -s.{amount}
  from tidegate.spans s where s.connection = :connection and s.{amount} <> 0 and s.ends_at < :end
  union all
  select customer, subscription, currency, price, product, bucket, amount from later)
select {unit} as unit, m.subscription, m.currency, {_NAMED[by.name]} as grp, m.bucket, '' as kind, m.amount, m.price,
  m.product
from moments m{_LINKED if by_contact and not linked else ""}{joined(by)}
where m.customer not in (select customer from tidegate.exclusions where connection = :connection)"""


def prices(ledger: Ledger) -> str:
    """The sums of both by price: bucket, currency, price, product, kind (WORTH: of the ends of spans), amount."""
    return f"""
with {_late(ledger, "s.currency, s.price, s.product", "mrr")}
select width_bucket(day, cast(:days as date[])) as bucket, currency, price, product, kind, sum(amount) as amount
from tidegate.price_days where connection = :connection and edition = :edition and day <= :last
group by 1, 2, 3, 4, 5
union all
select bucket, currency, price, product, '{WORTH}', amount from later"""


def _late(ledger: Ledger, columns: str, amount: str) -> str:
    """`later`: what of the ends of spans belongs to a movement of a later bucket, taken from its own and given to that
    one, by these columns of a span `s`.
    """
    seconds = ledger.policy.netting_seconds
    # A movement that lasts no longer than a day crosses a threshold only on that day: an index finds those.
    near = " and day = any(cast(:days as date[]))" if seconds is not None and seconds <= DAY else ""
    return f"""late as (
  select subscription, item, currency, at, width_bucket(day, cast(:days as date[])) as bucket
  from tidegate.movements
  where connection = :connection and edition = :edition and superseded_at is null and moved_at > at{near}
    and width_bucket(day, cast(:days as date[]))
      > width_bucket(cast(at at time zone :zone as date), cast(:days as date[]))),
later as (
  select {columns}, v.bucket,
    v.sign * (case when s.starts_at = l.at then s.{amount} else -s.{amount} end) as amount
  from late l
  join tidegate.spans s on s.connection = :connection and s.subscription = l.subscription and s.item = l.item
    and s.currency = l.currency and s.{amount} <> 0 and l.at in (s.starts_at, s.ends_at)
  cross join lateral (values
    (l.bucket, 1), (width_bucket(l.at, cast(:instants as timestamptz[])), -1)) v(bucket, sign)
  where v.bucket <= :buckets)"""


def roomy(db: Connection) -> None:
    """Lets the statements of this transaction sum up in memory, and in several processes: a ledger of millions of rows
    is sorted on disk else, and the planner takes sums of many groups for too many to hand over. They cost a tenth of
    what it thinks; for nothing it would hand over every row. None is compiled, which takes each process half a second.
    """
    db.execute(_ROOMY)


_ROOMY = text("""
select set_config('work_mem', '64MB', true), set_config('parallel_tuple_cost', '0.01', true),
  set_config('jit', 'off', true)""")

_LINKED = "\nleft join tidegate.links k on k.connection = :connection and k.customer = m.customer"

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


def named(by: Group) -> str:
    """What a row `m` is grouped as, given what `joined` joins."""
    return _NAMED[by.name]


def joined(by: Group) -> str:
    """The joins that name the group of a row `m`: of prices it needs price and product, else the customer."""
    match by.name:
        case "package":
            return """
left join tidegate.mappings mp on mp.connection = :connection and mp.price = m.price and mp.removed_at is null
left join tidegate.mappings mo on mo.connection = :connection and mo.product = m.product and mo.removed_at is null"""
        case "interval":
            return "\nleft join stripe.prices p on p.connection = :connection and p.id = m.price"
        case "country":
            return "\nleft join stripe.customers c on c.connection = :connection and c.id = m.customer"
        case "contact" | "property":
            return f"""{_LINKED}
left join tidegate.contacts t on t.key = k.contact"""
        case _:
            return ""


_CALLED = {"contact": "t.kind || ':' || t.external_id", "property": "coalesce(t.properties ->> :field, '')"}

_NAMING: Mapping[tuple[str, str], str] = {
    ("country", "customer"): """
  select id as customer, coalesce(country, '') as grp from stripe.customers where connection = :connection""",
    **{
        (name, "unit"): f"""
  select 'contact:' || t.key as unit, {called} as grp from tidegate.contacts t"""
        for name, called in _CALLED.items()
    },
    **{
        (name, "customer"): f"""
  select k.customer, {called} as grp from tidegate.links k join tidegate.contacts t on t.key = k.contact
  where k.connection = :connection"""
        for name, called in _CALLED.items()
    },
}
"""What units, or customers, are grouped as: `grp`."""
