"""Closed months: what was said of each customer when a month was closed, and what is said otherwise now."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, text

from tidegate.connections import runs
from tidegate.errors import ClosingRefused, MonthOpen
from tidegate.revenue import names
from tidegate.revenue.editions import Ledger
from tidegate.revenue.periods import Period
from tidegate.revenue.rounding import whole

Sums = Mapping[tuple[str, str], Mapping[str, int]]
"""By customer and currency: opening, closing and each kind of movement, in millionths of a minor unit."""


def close(db: Connection, ledger: Ledger, month: Period, by: str, today: date) -> int:
    """Keeps a snapshot of a month that is over; returns how many customers it has. `by`: the person.

    Raises ClosingRefused for a month that runs, one that is closed, and while nothing is known of the account.
    """
    if month.last >= today:
        raise ClosingRefused(month=month.name, problem=f"it runs until {month.last} ({ledger.zone.key}).")
    if not db.scalar(_MOVED, {"connection": ledger.connection}) and not runs.ever_whole(db, ledger.connection):
        problem = f"nothing was imported of {ledger.connection} yet. `tidegate import` does that."
        raise ClosingRefused(month=month.name, problem=problem)
    given = _given(ledger, month) | {"edition": ledger.edition, "by": by}
    if not db.execute(_CLOSE, given).rowcount:
        one = db.execute(_ONE, given).one()
        said = f"it was closed on {one.closed_at:%Y-%m-%d} by {one.by}; --diff shows what is said otherwise since."
        raise ClosingRefused(month=month.name, problem=said)
    db.execute(_KEEP, given)
    return db.scalar(_CUSTOMERS, given) or 0


def closed(db: Connection, ledger: Ledger) -> list[dict[str, Any]]:
    """The closed months, the newest first: {month, edition, closed_at, by, customers, mrr: [{currency, mrr}]}."""
    found: dict[str, dict[str, Any]] = {}
    for row in db.execute(_CLOSED, {"connection": ledger.connection}):
        name = f"{row.month:%Y-%m}"
        told = {"month": name, "edition": row.edition, "closed_at": row.closed_at, "by": row.by}
        one = found.setdefault(name, told | {"customers": row.customers, "mrr": []})
        if row.currency:
            one["mrr"].append({"currency": row.currency, "mrr": whole(int(row.mrr))})
    return list(found.values())


def difference(db: Connection, ledger: Ledger, month: Period) -> list[dict[str, Any]]:
    """What is said otherwise now than when the month was closed, per customer, the largest difference of MRR first.

    {customer, contact, name, currency, closed, now, difference, changes: {kind: {closed, now}}}, in minor units.
    Raises MonthOpen for a month that is not closed.
    """
    given = _given(ledger, month)
    if db.execute(_ONE, given).first() is None:
        raise MonthOpen(month=month.name)
    then, now = _sums(db.execute(_THEN, given)), _sums(db.execute(_NOW, given))
    found = differences(then, now)
    whose = names.of_customers(db, ledger.connection, [one["customer"] for one in found])
    for one in found:
        one["contact"], one["name"], _ = whose[one["customer"]]
    return found


def differences(then: Sums, now: Sums) -> list[dict[str, Any]]:
    """The customers and currencies that differ, as `difference` tells them."""
    found: list[dict[str, Any]] = []
    for key in sorted({*then, *now}):
        old, new = then.get(key, {}), now.get(key, {})
        kinds = [kind for kind in sorted({*old, *new}) if old.get(kind, 0) != new.get(kind, 0)]
        if not kinds:
            continue
        mrr = old.get("closing", 0), new.get("closing", 0)
        changes = {kind: {"closed": whole(old.get(kind, 0)), "now": whole(new.get(kind, 0))} for kind in kinds}
        told = {"customer": key[0], "currency": key[1], "closed": whole(mrr[0]), "now": whole(mrr[1])}
        found.append(told | {"difference": whole(mrr[1]) - whole(mrr[0]), "changes": changes})
    return sorted(found, key=lambda one: (-abs(one["difference"]), one["customer"], one["currency"]))


def _sums(rows: Iterable[Any]) -> dict[tuple[str, str], dict[str, int]]:
    found: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        found.setdefault((row.customer, row.currency), {})[row.kind] = int(row.amount)
    return found


def _given(ledger: Ledger, month: Period) -> dict[str, Any]:
    return {
        "connection": ledger.connection,
        "edition": ledger.edition,
        "month": month.first,
        "after": month.last + timedelta(days=1),
    }


_SNAPSHOT = """
select customer, currency, k.kind, sum(k.amount)::bigint as amount
from tidegate.movements m
cross join lateral (values
  ('opening', case when m.day < :month then m.amount else 0 end),
  ('closing', m.amount),
  (m.kind, case when m.day >= :month then m.amount else 0 end)) k(kind, amount)
where m.connection = :connection and m.edition = :edition and m.superseded_at is null and m.day < :after
group by customer, currency, k.kind having sum(k.amount) <> 0"""

_NOW = text(_SNAPSHOT)

_MOVED = text("select exists (select from tidegate.movements where connection = :connection)")

_THEN = text("""
select customer, currency, kind, amount from tidegate.closed_rows where connection = :connection and month = :month""")

_CLOSE = text("""
insert into tidegate.closings (connection, month, edition, by) values (:connection, :month, :edition, :by)
on conflict do nothing""")

_ONE = text("select closed_at, by from tidegate.closings where connection = :connection and month = :month")

_KEEP = text(f"""
insert into tidegate.closed_rows (connection, month, customer, currency, kind, amount)
select :connection, :month, customer, currency, kind, amount from ({_SNAPSHOT}) s""")

_CUSTOMERS = text("""
select count(distinct customer) from tidegate.closed_rows where connection = :connection and month = :month""")

_CLOSED = text("""
select c.month, c.edition, c.closed_at, c.by, r.currency, coalesce(r.mrr, 0) as mrr, (
  select count(distinct customer) from tidegate.closed_rows k where k.connection = c.connection and k.month = c.month)
  as customers
from tidegate.closings c
left join lateral (
  select currency, sum(amount) as mrr from tidegate.closed_rows k
  where k.connection = c.connection and k.month = c.month and k.kind = 'closing' group by currency) r on true
where c.connection = :connection order by c.month desc, r.currency""")
