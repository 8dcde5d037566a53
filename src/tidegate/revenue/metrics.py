"""The metrics of a report's periods: its bridges, what contacts did, and what the formulas make of both."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from tidegate.revenue import reports, units
from tidegate.revenue.bridge import Line
from tidegate.revenue.formulas import Counts, Metrics, metrics, stripes
from tidegate.revenue.periods import Period
from tidegate.revenue.reports import Report
from tidegate.revenue.rounding import minor, ratio
from tidegate.revenue.source import Window

DAYS = 30
"""Of churn as Stripe reports it."""


def rows(db: Connection, report: Report, over: Sequence[Period]) -> list[dict[str, Any]]:
    """A document for each period, currency and group: the bridge, the contacts and the figures."""
    lines, counted = _read(db, report, over)
    rolling = _rolling(db, report, over) if report.ledger.policy.name == "stripe" else None
    found: list[dict[str, Any]] = []
    for line in reports.largest_first(lines):
        counts = counted.get(_key(line), Counts())
        if rolling is None:
            told = metrics(line, counts, report.by)
        else:
            month, of_month = rolling[line.period.name]
            key = line.currency, line.group
            told = stripes(line, counts, month.get(key, line), of_month.get(key, Counts()), report.by)
        found.append(_row(report, line, counts, told))
    return found


def blank(report: Report) -> dict[str, Any]:
    """A document without a figure, as long as there is nothing to tell of."""
    line = reports.nothing(report)
    return _row(report, line, Counts(), metrics(line, Counts(), report.by))


def _row(report: Report, line: Line, counts: Counts, told: Metrics) -> dict[str, Any]:
    row = reports.as_json(report, line)
    return row | _contacts(counts) | {"net_new": _less(row["mrr"], row["opening"])} | _figures(told)


_ByKey = tuple[Mapping[tuple[str, str], Line], Mapping[tuple[str, str], Counts]]


def _read(
    db: Connection, report: Report, over: Sequence[Period]
) -> tuple[list[Line], dict[tuple[str, str, str], Counts]]:
    """The bridges of the periods, and the counts by name of the period, currency and group."""
    found = units.counts(db, report.ledger, Window.of(over), report.group, report.rates, report.today)
    by_name = {(over[bucket - 1].name, currency, group): one for (bucket, currency, group), one in found.items()}
    return reports.lines(db, report, over), by_name


def _rolling(db: Connection, report: Report, over: Sequence[Period]) -> dict[str, _ByKey]:
    """By name of a period what happened in the 30 days that end with it, or with today."""
    found: dict[str, _ByKey] = {}
    for period in over:
        last = min(period.last, report.today)
        lines, counted = _read(db, report, [Period(period.name, last - timedelta(days=DAYS - 1), last)])
        found[period.name] = (
            {(line.currency, line.group): line for line in lines},
            {key[1:]: counts for key, counts in counted.items()},
        )
    return found


def _key(line: Line) -> tuple[str, str, str]:
    return line.period.name, line.currency, line.group


def _less(one: int | None, other: int | None) -> int | None:
    """A difference of what is shown, so that it is one of what people see."""
    return None if one is None or other is None else one - other


def _contacts(counts: Counts) -> dict[str, Any]:
    names = ("opening", "new", "returned", "contracted", "lost", "closing")
    return {
        "contacts": {name: getattr(counts, name) for name in names},
        "movements": dict(sorted(counts.movements.items())),
        "subscriptions": counts.subscriptions,
        "trial_mrr": minor(counts.trial_mrr),
        "usage": minor(counts.usage),
    }


def _figures(told: Metrics) -> dict[str, Any]:
    """Amounts in minor units, ratios of one."""
    amounts = {name: minor(getattr(told, name)) for name in ("arr", "arpa", "ltv")}
    ratios = ("growth", "gross_churn", "net_churn", "customer_churn", "nrr", "grr", "quick_ratio")
    return amounts | {name: ratio(getattr(told, name)) for name in ratios}
