"""Holds a report of Stripe's against the ledger: what customers had at the end of each month, and why not the same."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.pricing.value import whole
from tidegate.revenue import days, names, rate_files
from tidegate.revenue.editions import Ledger
from tidegate.revenue.month_end import Behind, behind
from tidegate.revenue.names import Who
from tidegate.revenue.periods import Period, instant, today
from tidegate.revenue.rates import Rates
from tidegate.revenue.reconcile import Ours, causes, fitted
from tidegate.revenue.rounding import UNIT
from tidegate.revenue.stripe_report import Told

NEAR = timedelta(days=2)
"""How far a change may be from a month's end to be on its other side elsewhere."""


def reconcile(db: Connection, ledger: Ledger, told: Sequence[Told], as_of: datetime) -> dict[str, Any]:
    """{months, missing_rates}: month by month and in each of the report's currencies {month, currency, theirs, ours,
    difference, causes, equal (how many customers), customers: [{customer, contact, name, known, theirs, ours (null: a
    rate is missing), difference, parts}]}.

    Amounts in minor units; the causes of all customers sum to the difference. What a customer has in a currency that
    the report does not tell of it is converted into one that it does, by the rate of the month's last day. Of a month
    that runs it is what stands at `as_of`.
    """
    ours = days.currencies(db, ledger)
    rates = {code: rate_files.known(db, code, ours) for code in {one.currency for one in told}}
    by_month: dict[Period, list[Told]] = defaultdict(list)
    for one in told:
        by_month[one.month].append(one)
    asked = [_asked(ledger, by_month[month], as_of) for month in sorted(by_month)]
    months = [one for each in asked for one in _month(db, ledger, each, rates)]
    lacking = sorted({one for each in rates.values() for one in each.lacking.values()})
    return {"months": months, "missing_rates": [one._asdict() for one in lacking]}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A month of the report: what it says by customer and currency, and which currencies it has of each customer.

    `main` is the one that most rows are in. `end`: just after the last instant of the month, or now; `day`: the last
    one, or today.
    """

    month: Period
    theirs: Mapping[tuple[str, str], Fraction]
    said: Mapping[str, set[str]]
    main: str
    end: datetime
    as_of: datetime
    day: date

    def told(self, key: tuple[str, str]) -> Fraction:
        """What the report says of a customer in a currency; nothing is nothing."""
        return self.theirs.get(key, Fraction(0))

    def currency(self, customer: str, native: str) -> str:
        """In which of the report's currencies an amount of a customer is compared."""
        told = self.said.get(customer) or {one for each in self.said.values() for one in each}
        return native if native in told else self.main if self.main in told else min(told)


def _needs_history(theirs: Fraction, ours: Ours) -> bool:
    """Whether only a customer's history tells why it differs: discounts and tax apart, and what was past due."""
    return any(part.cause in {"coupon", "unexplained"} for part in causes(theirs, ours))


def _asked(ledger: Ledger, told: Sequence[Told], as_of: datetime) -> _Asked:
    theirs: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    said: dict[str, set[str]] = defaultdict(set)
    for one in told:
        theirs[one.customer, one.currency] += one.mrr
        said[one.customer].add(one.currency)
    rows = [one.currency for one in told]
    month = told[0].month
    end = min(instant(month.last + timedelta(days=1), ledger.zone), as_of)
    day = min(month.last, today(as_of, ledger.zone))
    return _Asked(month, dict(theirs), dict(said), max(sorted({*rows}), key=rows.count), end, as_of, day)


def _month(db: Connection, ledger: Ledger, asked: _Asked, rates: Mapping[str, Rates]) -> list[dict[str, Any]]:
    given = {"connection": ledger.connection, "from": asked.end - NEAR, "to": asked.end + NEAR}
    spans: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in db.execute(_SPANS, given):
        spans[row.customer, asked.currency(row.customer, row.currency)].append(row)
    ours = {key: _ours(those, asked, key[1], rates[key[1]], {}) for key, those in spans.items()}
    doubtful = [key for key, one in ours.items() if _needs_history(asked.told(key), one)]
    known = behind(db, ledger, sorted({key[0] for key in doubtful}), asked.end, asked.as_of)
    ours |= {key: _ours(spans[key], asked, key[1], rates[key[1]], known) for key in doubtful}
    keys = sorted({*asked.theirs, *(key for key, one in ours.items() if one.lacking or whole(one.mrr))})
    whose = names.of_customers(db, ledger.connection, [key[0] for key in keys])
    found: dict[str, dict[str, Any]] = {}
    for key in keys:
        report = found.setdefault(key[1], _empty(asked.month, key[1]))
        _add(report, key[0], asked.told(key), ours.get(key, Ours()), whose[key[0]])
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


def _add(report: dict[str, Any], customer: str, theirs: Fraction, ours: Ours, who: Who) -> None:
    """A customer's rounded amounts are what sums are made of, as in a report that rounds per customer."""
    sides = whole(theirs), whole(ours.mrr)
    difference = sides[0] - sides[1]
    report["theirs"] += sides[0]
    report["ours"] += sides[1]
    report["difference"] += difference
    if not difference and not ours.lacking:
        report["equal"] += 1
        return
    parts = fitted(causes(theirs, ours), difference) or [("fx (rate missing)", 0)]
    for cause, amount in parts:
        report["causes"][cause] = report["causes"].get(cause, 0) + amount
    report["customers"].append(
        {
            "customer": customer,
            **who._asdict(),
            "theirs": sides[0],
            "ours": None if ours.lacking else sides[1],
            "difference": difference,
            "parts": [{"cause": cause, "amount": amount} for cause, amount in parts],
        }
    )


def _ours(
    spans: Sequence[Any], asked: _Asked, currency: str, rates: Rates, known: Mapping[tuple[str, str], Behind]
) -> Ours:
    """What a customer's spans come to in a currency of the report, and what is behind that as far as it is known."""
    factors = {span.currency: rates.factor(span.currency, asked.day) for span in spans}
    if any(factors[span.currency] is None for span in spans if span.mrr or span.trial):
        return Ours(lacking=True)

    def told(amounts: Iterable[tuple[Fraction | int, Any]]) -> Fraction:
        return sum((Fraction(amount, UNIT) * (factors[span.currency] or 0) for amount, span in amounts), Fraction(0))

    def standing(at: datetime) -> list[Any]:
        """Just before an instant."""
        return [span for span in spans if span.starts_at < at and (span.ends_at is None or span.ends_at >= at)]

    now = [span for span in standing(asked.end) if not span.why_not]
    mrr = told((span.mrr, span) for span in now)
    near = [end for span in spans for end in (span.starts_at, span.ends_at) if end and abs(end - asked.end) <= NEAR]
    before = {asked.end - NEAR, *(at + timedelta(microseconds=1) for at in near)}
    nearby = {told((span.mrr, span) for span in standing(at)) for at in before}
    excluded = spans[0].excluded
    listed = [(_Listed.of(span, known), span) for span in now if span.listed > span.mrr]
    past_due = [span for span in now if (one := known.get((span.subscription, span.item))) and one.past_due]
    return Ours(
        mrr=Fraction(0) if excluded else mrr,
        excluded=mrr if excluded else Fraction(0),
        discounts=told((one.discounts, span) for one, span in listed),
        tax=told((one.tax, span) for one, span in listed),
        listed_tax=told((one.listed_tax, span) for one, span in listed),
        past_due=Fraction(0) if excluded else told((span.mrr, span) for span in past_due),
        trial=told((span.trial, span) for span in standing(asked.end)),
        nearby=() if excluded else tuple(sorted(nearby - {mrr})),
        items=len(now),
        converted=any(span.currency != currency for span in spans),
    )


class _Listed(NamedTuple):
    """By what an item is worth less than its listed price, see `Ours`."""

    discounts: Fraction
    tax: Fraction
    listed_tax: Fraction

    @classmethod
    def of(cls, span: Any, known: Mapping[tuple[str, str], Behind]) -> "_Listed":
        """Where its history tells nothing of it, all is discounts."""
        one = known.get((span.subscription, span.item))
        untaxed = span.listed if one is None else min(max(one.undiscounted, span.mrr), span.listed)
        gross = Fraction(span.mrr * span.listed, untaxed) if untaxed else Fraction(span.mrr)
        return cls(Fraction(untaxed - span.mrr), gross - span.mrr, Fraction(span.listed - untaxed))


_SPANS = text("""
select s.customer, s.subscription, s.item, s.currency, s.starts_at, s.ends_at, s.mrr, s.listed, s.trial, s.why_not,
  e.customer is not null as excluded
from tidegate.spans s
left join tidegate.exclusions e on e.connection = s.connection and e.customer = s.customer
where s.connection = :connection and s.starts_at <= :to and (s.ends_at is null or s.ends_at >= :from)
  and (s.mrr <> 0 or s.trial <> 0 or s.listed <> 0 and s.why_not = '')
order by s.customer, s.starts_at""")
