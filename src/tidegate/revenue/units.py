"""Counts what contacts did over each period: each is compared at both ends of it, net of what it did in between."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, text

from tidegate.revenue import source
from tidegate.revenue.editions import Ledger
from tidegate.revenue.formulas import Counts
from tidegate.revenue.rates import Rates
from tidegate.revenue.source import Group, Window

Key = tuple[int, str, str]
"""Bucket (1: the first period), currency, group."""
Counted = dict[Key, Counts]


def counts(
    db: Connection, ledger: Ledger, window: Window, by: Group, rates: Rates | None = None, today: date | None = None
) -> Counted:
    """What contacts did in each period, by currency and group.

    With rates all is in their base, at the rate of each period's opening: a contact that pays in several currencies is
    one, and an exchange rate is nobody's churn.
    """
    source.roomy(db)
    given = source.values(ledger, window, by)
    changes = source.edges(ledger, by) if by.of_prices else source.movements(by)
    found: Counted = {}
    into = _Into(window, rates)
    for row in db.execute(text(_contacts(changes, apart=rates is not None)), given):
        _add(found, row, into)
    if rates is not None:
        several = db.execute(text(_SEVERAL.format(source=changes)), given).all()
        _add_several(found, _standing(several), window, rates)
    for row in db.execute(text(_SUBSCRIPTIONS.format(source=changes)), given):
        _at(found, row, into, "subscriptions", row.change)
    for row in db.execute(text(_KINDS.format(source=source.movements(by) + _SINCE)), given):
        kinds = _of(found, row.bucket, into.currency or row.currency, row.grp).movements
        kinds[row.kind] = kinds.get(row.kind, 0) + row.movements
    _carry(found, window)
    for name, column in (("trial_mrr", "trial"), ("usage", "usage")):
        rows = db.execute(text(_APART.format(source=source.edges(ledger, by, column))), given)
        _add_apart(found, name, rows, into, today)
    return found


@dataclass(frozen=True, slots=True)
class _Into:
    """Converts amounts at the rate of a period's opening; without rates they stay as they are."""

    window: Window
    rates: Rates | None

    @property
    def currency(self) -> str:
        return self.rates.base if self.rates else ""

    def __call__(self, amount: int, currency: str, bucket: int) -> int | None:
        if self.rates is None:
            return amount
        opening = self.window.periods[bucket - 1].first - timedelta(days=1)
        return self.rates.convert(amount, currency, opening)


def _of(found: Counted, bucket: int, currency: str, group: str) -> Counts:
    return found.setdefault((bucket, currency, group), Counts())


def _add(found: Counted, row: Any, into: _Into) -> None:
    """Of each bucket the numbers that came and went, for now in `opening` and `closing`; see `_carry`."""
    one = _of(found, row.bucket, into.currency or row.currency, row.grp)
    one.closing += row.came - row.went
    if row.bucket == 0:
        return
    one.lost, one.contracted = one.lost + row.went, one.contracted + row.fell
    one.new, one.returned = one.new + row.first, one.returned + row.came - row.first
    for name in ("lost_mrr", "contracted_mrr", "expanded_mrr", "returned_mrr"):
        amount = into(int(getattr(row, name)), row.currency, row.bucket)
        setattr(one, name, getattr(one, name) + (amount or 0))  # where a rate is missing the ratios are null anyway


def _at(found: Counted, row: Any, into: _Into, name: str, change: int) -> None:
    one = _of(found, row.bucket, into.currency or row.currency, row.grp)
    setattr(one, name, getattr(one, name) + int(change))


def _carry(found: Counted, window: Window) -> None:
    """Turns changes of stocks into stocks, bucket after bucket; every period of what is there gets its counts."""
    for currency, group in sorted({key[1:] for key in found}):
        before = found.pop((0, currency, group), Counts())
        for bucket in range(1, len(window.periods) + 1):
            one = _of(found, bucket, currency, group)
            one.opening += before.closing
            one.closing += before.closing
            one.subscriptions += before.subscriptions
            before = one


def _add_apart(found: Counted, name: str, rows: Iterable[Any], into: _Into, today: date | None) -> None:
    """What is shown apart from MRR at the end of each period, on trial or of metered usage, at that day's rate."""
    changes: dict[str, dict[int, dict[str, int]]] = {}
    for row in rows:
        changes.setdefault(row.grp, {}).setdefault(row.bucket, {})[row.currency] = int(row.change)
    for group, by_bucket in changes.items():
        stock = dict(by_bucket.get(0, {}))
        for bucket, period in enumerate(into.window.periods, 1):
            for currency, change in by_bucket.get(bucket, {}).items():
                stock[currency] = stock.get(currency, 0) + change
            if into.rates is not None:
                day = period.last if today is None else min(period.last, today)
                setattr(_of(found, bucket, into.rates.base, group), name, into.rates.total(stock.items(), day))
                continue
            for currency, amount in stock.items():
                setattr(_of(found, bucket, currency, group), name, amount)


@dataclass(slots=True)
class Standing:
    """A contact that pays in several currencies: by bucket what its MRR was from then on, by currency."""

    group: str
    changes: dict[int, dict[str, int]] = field(default_factory=dict[int, dict[str, int]])


def _standing(rows: Iterable[Any]) -> Sequence[Standing]:
    found: dict[tuple[str, str], Standing] = {}
    for row in rows:
        one = found.setdefault((row.unit, row.grp), Standing(row.grp))
        one.changes.setdefault(row.bucket, {})[row.currency] = int(row.after)
    return list(found.values())


def _add_several(found: Counted, several: Iterable[Standing], window: Window, rates: Rates) -> None:
    into = _Into(window, rates)
    for one in several:
        now: Mapping[str, int] = one.changes.get(0, {})
        known = bool(now)
        for bucket in range(1, len(window.periods) + 1):
            then = {**now, **one.changes.get(bucket, {})}
            counts = _of(found, bucket, rates.base, one.group)
            before, after = (_in_base(stock, bucket, into) for stock in (now, then))
            of_one = Counts()
            of_one.add(before, after, known=known)
            of_one.opening = 0  # carried from the bucket before
            of_one.closing = (after > 0) - (before > 0)
            counts.plus(of_one)
            now, known = then, known or bucket in one.changes
        if any(amount > 0 for amount in one.changes.get(0, {}).values()):
            _of(found, 0, rates.base, one.group).closing += 1


def _in_base(stock: Mapping[str, int], bucket: int, into: Callable[[int, str, int], int | None]) -> int:
    """In the base; where a rate is missing what matters is only that it is something."""
    return sum(into(amount, currency, bucket) or amount for currency, amount in stock.items())


_STATES = """
with changes as materialized ({source}),
nets as (
  select unit, currency, grp, bucket, sum(amount) as amount from changes
  group by unit, currency, grp, bucket),
states as (
  select unit, currency, grp, bucket, sum(amount) over so_far as after, sum(amount) over so_far - amount as before,
    row_number() over so_far > 1 as known
  from nets window so_far as (partition by unit, currency, grp order by bucket))"""

_IN_SEVERAL = "unit in (select unit from changes group by unit having count(distinct currency) > 1)"

_SEVERAL = f"""{_STATES}
select unit, currency, grp, bucket, after from states where {_IN_SEVERAL} order by unit, grp, bucket, currency"""


def _contacts(changes: str, *, apart: bool) -> str:
    """`apart`: without those that pay in several currencies."""
    return f"""{_STATES.format(source=changes)}
select bucket, currency, grp,
  count(*) filter (where before <= 0 and after > 0) as came,
  count(*) filter (where before <= 0 and after > 0 and not known) as first,
  count(*) filter (where before > 0 and after <= 0) as went,
  count(*) filter (where before > 0 and after > 0 and after < before) as fell,
  coalesce(sum(before) filter (where before > 0 and after <= 0), 0) as lost_mrr,
  coalesce(sum(before - after) filter (where after > 0 and after < before), 0) as contracted_mrr,
  coalesce(sum(after - before) filter (where before > 0 and after > before), 0) as expanded_mrr,
  coalesce(sum(after) filter (where before <= 0 and after > 0 and known), 0) as returned_mrr
from states{f" where not ({_IN_SEVERAL})" if apart else ""} group by bucket, currency, grp"""


_SUBSCRIPTIONS = """
with nets as (
  select subscription, currency, grp, bucket, sum(amount) as amount from ({source}) changes
  group by subscription, currency, grp, bucket),
states as (
  select currency, grp, bucket, sum(amount) over so_far as after, sum(amount) over so_far - amount as before
  from nets window so_far as (partition by subscription, currency, grp order by bucket))
select bucket, currency, grp,
  count(*) filter (where before <= 0 and after > 0) - count(*) filter (where before > 0 and after <= 0) as change
from states group by bucket, currency, grp"""

_APART = """
select bucket, currency, grp, sum(amount) as change from ({source}) changes
group by bucket, currency, grp"""

_SINCE = " and m.day >= (cast(:days as date[]))[1]"
_KINDS = """
select bucket, currency, grp, kind, count(distinct (unit, moved_at)) as movements from ({source}) changes
where kind <> 'transfer' group by bucket, currency, grp, kind"""
