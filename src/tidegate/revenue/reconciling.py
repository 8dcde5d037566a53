"""Holds a report of Stripe's against the ledger: what customers had at the end of each month, and why not the same."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection, text

from tidegate.pricing.value import whole
from tidegate.revenue.editions import Ledger
from tidegate.revenue.periods import Period, instant
from tidegate.revenue.rates import Rates
from tidegate.revenue.reconcile import Ours, causes, fitted
from tidegate.revenue.rounding import UNIT
from tidegate.revenue.stripe_report import Told

NEAR = timedelta(days=2)
"""How far a change may be from a month's end to be on its other side elsewhere."""


def reconcile(db: Connection, ledger: Ledger, told: Sequence[Told], rates: Rates | None) -> list[dict[str, Any]]:
    """Month by month and in each of the report's currencies: {month, currency, theirs, ours, difference, causes, equal
    (how many customers), customers: [{customer, contact, name, known, theirs, ours, difference, parts}]}.

    Amounts in minor units; the causes of all customers sum to the difference. `rates` convert what we have in another
    currency than the report.
    """
    by_month: dict[Period, list[Told]] = defaultdict(list)
    for one in told:
        by_month[one.month].append(one)
    return [one for month in sorted(by_month) for one in _month(db, ledger, month, by_month[month], rates)]


def _month(
    db: Connection, ledger: Ledger, month: Period, told: Sequence[Told], rates: Rates | None
) -> list[dict[str, Any]]:
    main = max({one.currency for one in told}, key=lambda code: sum(one.currency == code for one in told))
    theirs: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for one in told:
        theirs[one.customer, one.currency] += one.mrr
    said = {key[0]: key[1] for key in theirs}
    end = instant(month.last + timedelta(days=1), ledger.zone)
    rows = db.execute(_SPANS, {"connection": ledger.connection, "from": end - NEAR, "to": end + NEAR}).all()
    ours = _ours(rows, end, month, said, main, rates)
    names = {row.customer: row for row in db.execute(_NAMES, _given(ledger, {*said, *(key[0] for key in ours)}))}
    found: dict[str, dict[str, Any]] = {}
    for key in sorted({*theirs, *ours}):
        report = found.setdefault(key[1], _empty(month, key[1]))
        _add(report, key[0], theirs.get(key, Fraction(0)), ours.get(key, Ours()), names.get(key[0]))
    for report in found.values():
        report["customers"].sort(key=_largest_first)
        report["causes"] = dict(sorted(report["causes"].items()))
    return [found[currency] for currency in sorted(found)]


def _largest_first(one: dict[str, Any]) -> tuple[int, str]:
    return -abs(one["difference"]), one["customer"]


def _empty(month: Period, currency: str) -> dict[str, Any]:
    return {"month": month.name, "currency": currency, "theirs": 0, "ours": 0, "difference": 0} | {
        "causes": {}, "equal": 0, "customers": [],
    }  # fmt: skip


def _add(report: dict[str, Any], customer: str, theirs: Fraction, ours: Ours, name: Any) -> None:
    """A customer's rounded amounts are what sums are made of, as in a report that rounds per customer."""
    sides = whole(theirs), whole(ours.mrr)
    difference = sides[0] - sides[1]
    report["theirs"] += sides[0]
    report["ours"] += sides[1]
    report["difference"] += difference
    if not difference:
        report["equal"] += 1
        return
    parts = fitted(causes(theirs, ours), difference)
    for cause, amount in parts:
        report["causes"][cause] = report["causes"].get(cause, 0) + amount
    report["customers"].append(
        {
            "customer": customer,
            "contact": name.contact if name else None,
            "name": name.name if name else "",
            "known": bool(name and name.known),
            "theirs": sides[0],
            "ours": sides[1],
            "difference": difference,
            "parts": [{"cause": cause, "amount": amount} for cause, amount in parts],
        }
    )


def _ours(
    rows: Iterable[Any], end: datetime, month: Period, said: Mapping[str, str], main: str, rates: Rates | None
) -> dict[tuple[str, str], Ours]:
    """What customers had just before `end`, by customer and the currency that the report says of them."""
    by_customer: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_customer[row.customer].append(row)
    found: dict[tuple[str, str], Ours] = {}
    for customer, spans in by_customer.items():
        currency = said.get(customer, main)
        if customer not in said and all(span.currency != main for span in spans) and rates is None:
            currency = spans[0].currency
        one = _one(spans, end, month, currency, rates)
        if one is not None:
            found[customer, currency] = one
    return found


def _one(spans: Sequence[Any], end: datetime, month: Period, currency: str, rates: Rates | None) -> Ours | None:
    """None: it had nothing then, nor nearby."""

    def told(amount: int, span: Any) -> Fraction:
        factor = (
            Fraction(1) if span.currency == currency else rates.factor(span.currency, month.last) if rates else None
        )
        return Fraction(amount, UNIT) * (factor or 0)

    def standing(at: datetime) -> list[Any]:
        """Just before an instant."""
        return [span for span in spans if span.starts_at < at and (span.ends_at is None or span.ends_at >= at)]

    now = [span for span in standing(end) if not span.why_not]
    excluded = spans[0].excluded
    mrr = sum((told(span.mrr, span) for span in now), Fraction(0))
    instants = {
        at for span in spans for at in (span.starts_at, span.ends_at) if at is not None and abs(at - end) <= NEAR
    }
    before = [end - NEAR, *(at + timedelta(microseconds=1) for at in instants)]
    nearby = {sum((told(span.mrr, span) for span in standing(at)), Fraction(0)) for at in before}
    trial = sum((told(span.trial, span) for span in standing(end)), Fraction(0))
    if not (mrr or trial or any(nearby)):
        return None
    return Ours(
        mrr=Fraction(0) if excluded else mrr,
        excluded=mrr if excluded else Fraction(0),
        discounts=sum((told(span.listed - span.mrr, span) for span in now if span.listed > span.mrr), Fraction(0)),
        past_due=Fraction(0) if excluded else sum((told(span.mrr, span) for span in now if span.past_due), Fraction(0)),
        trial=trial,
        nearby=() if excluded else tuple(sorted(nearby - {mrr})),
        items=len(now),
        converted=any(span.currency != currency for span in spans),
    )


def _given(ledger: Ledger, customers: Iterable[str]) -> dict[str, Any]:
    return {"connection": ledger.connection, "customers": sorted(customers)}


_SPANS = text("""
select s.customer, s.currency, s.starts_at, s.ends_at, s.mrr, s.listed, s.trial, s.why_not, e.customer is not null
  as excluded, coalesce(u.status = 'past_due', false) as past_due
from tidegate.spans s
left join tidegate.exclusions e on e.connection = s.connection and e.customer = s.customer
left join stripe.subscriptions u on u.connection = s.connection and u.id = s.subscription and s.ends_at is null
where s.connection = :connection and s.starts_at <= :to and (s.ends_at is null or s.ends_at >= :from)
  and (s.mrr <> 0 or s.trial <> 0)
order by s.customer, s.starts_at""")

_NAMES = text("""
select w.customer, t.kind || ':' || t.external_id as contact, c.id is not null as known,
  coalesce(nullif(t.name, ''), nullif(c.name, ''), c.email, '') as name
from unnest(cast(:customers as text[])) as w(customer)
left join stripe.customers c on c.connection = :connection and c.id = w.customer
left join tidegate.links k on k.connection = :connection and k.customer = w.customer
left join tidegate.contacts t on t.key = k.contact""")
