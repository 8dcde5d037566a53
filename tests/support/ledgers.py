"""A ledger kept beside a simulated company, and held against the company's own truth."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import text
from tests.support.live import Live

from tidegate.mirror import changed
from tidegate.revenue import editions, ledger, spans
from tidegate.revenue.editions import Terms
from tidegate.revenue.ledger import Kept
from tidegate.revenue.rounding import minor
from tidegate.workflows.revenue.explain_mrr import explain_mrr

if TYPE_CHECKING:
    from tidegate.sandbox.revenue import Month

TOLD = (
    *("customer.created", "customer.updated", "customer.deleted", "customer.subscription.", "customer.discount."),
    *("invoice.finalized", "invoice.paid", "invoice.voided", "invoice.marked_uncollectible"),
    *("price.", "product.", "coupon.", "tax_rate."),
)
"""The events that a company's revenue follows from: what a webhook endpoint for it would ask for."""


class Line(NamedTuple):
    """What a customer is worth a month in a currency at the end of a month; minor units."""

    month: str
    customer: str
    currency: str
    true: Fraction
    kept: Fraction


def live_on(live: Live, until: int) -> None:
    """Lets the company live until an instant (UTC epoch seconds) and brings all that it told to the ledger."""
    from tidegate.sandbox import life

    events: list[dict[str, Any]] = []
    sandbox = live.sandbox
    sandbox.state.listeners.append(events.append)
    sandbox.call(lambda: life.advance_to(sandbox.world, until))
    sandbox.state.listeners.remove(events.append)
    live.told(*(one for one in events if one["type"].startswith(TOLD)))
    drained = live.drain()
    assert (drained.failed, drained.put_off, drained.refetch_error) == ({}, {}, "")
    keep(live)


def keep(live: Live) -> Kept:
    """Brings the ledger of changed customers, and of those for whom it is time, up to the company's present."""
    with live.hub.engine.begin() as db:
        customers = set(changed.take(db, live.name, 1_000_000))
        customers |= set(db.scalars(_DUE, {"c": live.name, "at": live.now}))
        return ledger.keep(db, ledger.begin(db, live.name), sorted(customers), live.now)


def keep_all(live: Live) -> Kept:
    """The same of every customer."""
    with live.hub.engine.begin() as db:
        customers = list(db.scalars(text("select id from stripe.customers where connection = :c"), {"c": live.name}))
        return ledger.keep(db, ledger.begin(db, live.name), customers, live.now)


def truth(live: Live, zone: str = "UTC") -> "list[Month]":
    """What the company itself says of every month."""
    from tidegate.sandbox.revenue import revenue

    return live.sandbox.call(lambda: revenue(live.sandbox.world, ZoneInfo(zone)))


def lines(live: Live, months: "Sequence[Month]") -> list[Line]:
    """Every customer's worth at the end of each month, as it is and as the ledger's spans say."""
    found: list[Line] = []
    with live.hub.engine.connect() as db:
        for month in months:
            rows = db.execute(_STANDING, {"c": live.name, "at": month.ends})
            kept = {(row.customer, row.currency): Fraction(row.mrr, 1_000_000) for row in rows}
            for customer, currency in sorted(kept.keys() | month.worth.keys()):
                line = (customer, currency)
                true = month.worth.get(line, Fraction(0))
                found.append(Line(month.name, *line, true, kept.get(line, Fraction(0))))
    return found


def totals(live: Live, months: "Sequence[Month]") -> dict[tuple[str, str], Fraction]:
    """MRR by month and currency as the sums by day add up to, in minor units."""
    with live.hub.engine.connect() as db:
        return {
            (month.name, row.currency): Fraction(int(row.mrr), 1_000_000)
            for month in months
            for row in db.execute(_ADDED_UP, {"c": live.name, "at": month.ends})
        }


def movements(live: Live) -> Counter[tuple[str, str, str, str, int]]:
    """The ledger's movements: month, customer, currency, kind and amount, rounded to minor units."""
    with live.hub.engine.connect() as db:
        rows = db.execute(_MOVEMENTS, {"c": live.name})
        return Counter((row.month, row.customer, row.currency, row.kind, round(row.amount / 10**6)) for row in rows)


def explained_otherwise(live: Live, preset: str, choices: dict[str, str]) -> list[str]:
    """Customers of whom `explain mrr` does not say what their open spans sum up to, where the ledger is kept by such a
    policy; nothing stays of it.
    """
    with live.hub.engine.connect() as db, db.begin() as trial:
        ledger = editions.draft(db, live.name, Terms(preset, choices, "", "UTC"))
        customers = list(db.scalars(text("select id from stripe.customers where connection = :c"), {"c": live.name}))
        spans.keep_spans(db, ledger, customers, live.now)
        editions.adopt(db, ledger)
        now = datetime.fromtimestamp(live.now, UTC)
        kept = Counter({(row.customer, row.currency): minor(row.mrr) for row in db.execute(_OPEN, {"c": live.name})})
        told = Counter(
            {
                (customer, one["currency"]): one["mrr"]
                for customer in customers
                for one in explain_mrr(db, live.account, customer, now)["mrr"]
            }
        )
        assert +kept, "somebody pays"
        trial.rollback()
    return sorted(f"{' '.join(key)}: {told[key]} is {kept[key]}" for key in kept | told if kept[key] != told[key])


_OPEN = text("""
select customer, currency, sum(mrr)::bigint as mrr from tidegate.spans
where connection = :c and ends_at is null group by 1, 2""")

_DUE = text("""
select customer from tidegate.revenue_due where connection = :c and changes_at <= to_timestamp(:at)""")

_STANDING = text("""
select customer, currency, sum(mrr)::bigint as mrr from tidegate.spans
where connection = :c and starts_at < to_timestamp(:at) and (ends_at is null or ends_at >= to_timestamp(:at))
group by 1, 2 having sum(mrr) <> 0""")

_ADDED_UP = text("""
select currency, sum(amount) as mrr from tidegate.mrr_days
where connection = :c and day < (to_timestamp(:at) at time zone 'UTC')::date group by 1""")

_MOVEMENTS = text("""
select to_char(moved_at at time zone 'UTC', 'YYYY-MM') as month, customer, currency, kind, sum(amount)::bigint as amount
from tidegate.movements where connection = :c and superseded_at is null
group by unit, moved_at, month, customer, currency, kind""")
