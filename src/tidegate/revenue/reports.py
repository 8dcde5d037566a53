"""Reports of MRR and its movements, in the currencies they are in or in one, as bridges that add up."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection

from tidegate.errors import LedgerMissing
from tidegate.revenue import days, editions, rate_files
from tidegate.revenue.bridge import KINDS, SWITCHED, Line, converted, native, stock
from tidegate.revenue.editions import Ledger
from tidegate.revenue.periods import By, Period, back, period_of, periods, today
from tidegate.revenue.rates import Rates
from tidegate.revenue.rounding import fitted, minor
from tidegate.revenue.source import UNGROUPED, Group, Window

NATIVE = "native"
"""In place of a currency: none is converted."""
SHOWN = 12
"""Periods of a report that names no beginning."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a report is about. `rates` into its currency; None: amounts are in the currencies they are in."""

    ledger: Ledger
    today: date
    rates: Rates | None = None
    by: By = "month"
    group: Group = UNGROUPED

    def head(self) -> dict[str, Any]:
        """What every document of a report says of itself."""
        lacking = sorted(self.rates.lacking.values()) if self.rates else []
        return {
            "connection": self.ledger.connection,
            "policy": self.ledger.policy.name,
            "assumed": list(self.ledger.policy.assumed),
            "time_zone": self.ledger.zone.key,
            "currency": self.rates.base if self.rates else None,
            "missing_rates": [one._asdict() for one in lacking],
        }


def opened(
    db: Connection,
    connection: str,
    as_of: datetime,
    *,
    currency: str | None = None,
    by: By = "month",
    group: Group = UNGROUPED,
) -> Report:
    """A report about a connection in a currency, else in the ledger's own, else (or NATIVE) in those there are.

    Raises LedgerMissing, RatesInvalid.
    """
    found = editions.current(db, connection)
    if found is None:
        raise LedgerMissing(connection=connection)
    wanted = (currency or found.base_currency or NATIVE).lower()
    rates = None
    if wanted != NATIVE:
        rates = rate_files.load(db, wanted, days.currencies(db, found))
    return Report(found, today(as_of, found.zone), rates, by, group)


def window(report: Report, first: date | None, last: date | None) -> list[Period]:
    """The periods of a report: up to now, and twelve of them, unless it is said."""
    end = last or report.today
    return periods(report.by, first or back(report.by, end, SHOWN - 1), end)


def lines(db: Connection, report: Report, over: Sequence[Period]) -> list[Line]:
    """A bridge for each group, currency and period."""
    if report.rates is None:
        return native(days.rows(db, report.ledger, Window.of(over), report.group), over)
    daily = Window.of(over, daily=True)
    rows = days.rows(db, report.ledger, daily, report.group)
    return converted(rows, daily.thresholds, over, report.rates, report.today)


def standing(db: Connection, report: Report, at: date) -> dict[tuple[str, str], int | None]:
    """The MRR at the end of a day, by group and currency."""
    one = Window.of([Period(at.isoformat(), at, at)])
    rows = days.rows(db, report.ledger, one, report.group)
    found = stock(rows)
    if report.rates is None:
        return dict(found)
    by_group: dict[str, list[tuple[str, int]]] = {}
    for (group, currency), amount in found.items():
        by_group.setdefault(group, []).append((currency, amount))
    day = min(at, report.today)
    return {(group, report.rates.base): report.rates.total(those, day) for group, those in by_group.items()}


def as_json(report: Report, line: Line) -> dict[str, Any]:
    """A line in whole minor units: opening + movements + fx = mrr."""
    opening, closing = minor(line.opening), minor(line.closing)
    total = None if opening is None or closing is None else closing - opening
    parts = fitted({**line.moved, "fx": line.fx}, total)
    return {
        "period": line.period.name,
        "from": line.period.first.isoformat(),
        "to": line.period.last.isoformat(),
        "running": line.period.last >= report.today,
        "currency": line.currency,
        **({"group": line.group} if report.group.name else {}),
        "opening": opening,
        **{kind: parts[kind] for kind in KINDS},
        **({SWITCHED: parts.get(SWITCHED, 0)} if report.group.name else {}),
        "fx": parts["fx"],
        "mrr": closing,
    }


def nothing(report: Report) -> Line:
    """A line of no amounts: what the documents of a report are made of where there is none."""
    return Line(period_of(report.by, report.today), "", "", 0, dict.fromkeys(KINDS, 0), 0, 0)


def largest_first(found: Iterable[Line]) -> list[Line]:
    """Lines by period; in each the groups by what they come to at the end of the last one, largest first."""
    those = list(found)
    last: dict[tuple[str, str], int] = {(line.group, line.currency): line.closing or 0 for line in those}
    order = {key: place for place, key in enumerate(sorted(last, key=lambda key: (-last[key], key)))}
    return sorted(those, key=lambda line: (line.period.first, order[line.group, line.currency]))


def rows_of(report: Report, found: Iterable[Line]) -> list[dict[str, Any]]:
    """The lines of a report as its documents have them."""
    return [as_json(report, line) for line in largest_first(found)]


def standing_rows(report: Report, found: Mapping[tuple[str, str], int | None]) -> list[dict[str, Any]]:
    """What `standing` found as documents have it, the largest first; `arr`: twelve times as much."""
    return [
        {
            "currency": currency,
            **({"group": group} if report.group.name else {}),
            "mrr": minor(amount),
            "arr": minor(None if amount is None else 12 * amount),
        }
        for (group, currency), amount in sorted(found.items(), key=lambda one: (one[0][1], -(one[1] or 0), one[0]))
    ]
