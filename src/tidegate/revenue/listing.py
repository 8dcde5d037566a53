"""Movements one by one, the newest first: whose, how much, and of which items."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from tidegate.errors import ReportInvalid
from tidegate.revenue.bridge import KINDS
from tidegate.revenue.editions import Ledger
from tidegate.revenue.names import CALLED, CONTACT
from tidegate.revenue.periods import within
from tidegate.revenue.rounding import whole
from tidegate.revenue.source import UNGROUPED, Group, joined, named

WINDOWS = (3, 30, 300)
"""Days within which a full page of movements is looked for, before all are read."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which movements: on which days, of whose customers (Stripe ids; None: all), of which kinds, in which currency,
    and where there is a `group` with a part in the one that is called `grouped`.
    """

    first: date | None = None
    last: date | None = None
    customers: Sequence[str] | None = None
    kinds: Sequence[str] = KINDS
    currency: str | None = None
    group: Group = UNGROUPED
    grouped: str = ""


def movements(
    db: Connection, ledger: Ledger, wanted: Wanted, *, limit: int, after: str | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of movements, the newest first, and what to give as `after` for the next one. Raises ReportInvalid.

    Each {at, day, contact (null: a customer that is no contact's), name, customers, currency, kind, amount, opening,
    closing, items: [{customer, subscription, item, price, product, amount}]}, amounts in minor units.
    """
    if wanted.first and wanted.last and wanted.last < wanted.first:
        raise ReportInvalid(problem=f"{wanted.first} comes after {wanted.last}.")
    moved_at, unit, currency = _place(after)
    given = {
        "connection": ledger.connection,
        "edition": ledger.edition,
        "first": wanted.first,
        "last": wanted.last,
        "units": None if wanted.customers is None else _units(db, ledger, wanted.customers),
        "kinds": list(wanted.kinds),
        "wanted_currency": wanted.currency,
        "moved_at": moved_at,
        "unit": unit,
        "currency": currency,
        "limit": limit + 1,
        "field": wanted.group.field,
        "grouped": wanted.grouped,
    }
    among = _GROUPED.format(joined=joined(wanted.group), named=named(wanted.group)) if wanted.group.name else ""
    whose = "" if wanted.customers is None else _WHOSE
    statement = text(_MOVEMENTS.format(among=among, whose=whose))
    rows: list[Any] = []
    for since in _beginnings(db, ledger, wanted, moved_at):
        rows = list(db.execute(statement, given | {"first": since}).mappings())
        if len(rows) > limit:
            break
    shown = rows[:limit]
    following = None
    if len(rows) > limit:
        last = shown[-1]
        following = f"{last['at'].isoformat()}~{last['currency']}~{last['unit']}"
    return [_told(dict(row)) for row in shown], following


def _beginnings(db: Connection, ledger: Ledger, wanted: Wanted, before: datetime | None) -> Iterator[date | None]:
    """Days from which on a page may be full already, nearer ones first, and the first day that is asked for: the newest
    movements are of the last days, so that others need not be read.
    """
    newest: date | None = db.scalar(_NEWEST, {"connection": ledger.connection, "edition": ledger.edition})
    known = [wanted.last, before and before.astimezone(ledger.zone).date(), newest]
    days = [day for day in known if day is not None]
    if days and wanted.customers is None:
        for since in (min(days) - timedelta(days=window) for window in WINDOWS):
            if wanted.first is None or since > wanted.first:
                yield since
    yield wanted.first


def _units(db: Connection, ledger: Ledger, customers: Sequence[str]) -> list[str]:
    given = {"connection": ledger.connection, "edition": ledger.edition, "customers": list(customers)}
    return list(db.scalars(_UNITS, given))


def _told(row: dict[str, Any]) -> dict[str, Any]:
    del row["unit"]
    for name in ("opening", "closing"):
        row[name] = whole(row[name])
    row["amount"] = row["closing"] - row["opening"]
    for item in row["items"]:
        item["amount"] = whole(item["amount"])
    return row


def _place(after: str | None) -> tuple[datetime | None, str, str]:
    if not after:
        return None, "", ""
    said, _, rest = after.partition("~")
    currency, _, unit = rest.partition("~")
    try:
        at = datetime.fromisoformat(said)
        within(at.date())
        if at.tzinfo is None:
            raise ValueError(said)
        return at, unit, currency
    except (ValueError, ReportInvalid):
        raise ReportInvalid(problem=f"{after[:80]!r} is no `next` of a page of movements.") from None


_GROUPED = """
    and exists (
      select from (
        select g.* from tidegate.movements g
        where g.connection = :connection and g.edition = :edition and g.superseded_at is null and g.unit = m.unit
          and g.currency = m.currency and g.moved_at = m.moved_at) m{joined}
      where {named} = :grouped)"""

_WHOSE = "and m.unit = any(cast(:units as text[]))"

_UNITS = text("""
select distinct unit from tidegate.movements
where connection = :connection and edition = :edition and superseded_at is null
  and customer = any(cast(:customers as text[]))""")

_NEWEST = text("select max(day) from tidegate.mrr_days where connection = :connection and edition = :edition")

_MOVEMENTS = f"""
with named as (
  select m.unit, m.currency, m.moved_at, m.day, m.kind, m.opening, m.closing, m.customer, m.subscription, m.item,
    m.price, m.product, m.amount, m.at
  from tidegate.movements m
  where m.connection = :connection and m.edition = :edition and m.superseded_at is null
    and m.kind = any(cast(:kinds as text[]))
    and (cast(:wanted_currency as text) is null or m.currency = :wanted_currency)
    and (cast(:first as date) is null or m.day >= :first) and (cast(:last as date) is null or m.day <= :last)
    {{whose}}{{among}}
    and (cast(:moved_at as timestamptz) is null
      or (m.moved_at, m.unit, m.currency)
        < (cast(:moved_at as timestamptz), cast(:unit as text), cast(:currency as text)))),
page as (
  select unit, currency, moved_at, min(day) as day, min(kind) as kind, min(opening) as opening, min(closing) as closing,
    array_agg(distinct customer order by customer) as customers,
    jsonb_agg(jsonb_build_object('customer', customer, 'subscription', subscription, 'item', item, 'price', price,
      'product', product, 'amount', amount) order by at, subscription, item) as items
  from named group by unit, currency, moved_at order by moved_at desc, unit desc, currency desc limit :limit)
select p.moved_at as at, p.day, {CONTACT} as contact, {CALLED} as name, p.customers, p.currency, p.kind, p.opening,
  p.closing, p.items, p.unit
from page p
left join tidegate.contacts t on p.unit = 'contact:' || t.key
left join stripe.customers c on c.connection = :connection and c.id = p.unit
order by p.moved_at desc, p.unit desc, p.currency desc"""
