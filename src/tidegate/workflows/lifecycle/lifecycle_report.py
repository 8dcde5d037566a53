"""The lifecycle in figures over some days: moves, time in stages, trials, MRR by stage, who is at risk; drivers."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any, Literal

from sqlalchemy import Connection, Engine

from tidegate.connections import accounts
from tidegate.errors import ReportInvalid
from tidegate.lifecycle import drivers, report, rulebook
from tidegate.revenue import conversions, editions, reports
from tidegate.revenue.rounding import ratio
from tidegate.workflows.lifecycle.lifecycle import now

DAYS = 90
"""Of a report that names no beginning."""
_TRIALS = ("trials", "converted", "ended", "running", "restarted")


def lifecycle_report(
    engine: Engine,
    livemode: bool,
    first: date | None = None,
    last: date | None = None,
    *,
    as_of: datetime | None = None,
) -> dict[str, Any]:
    """{from, to, stages, without_contact, mrr, moves, trials, at_risk} of live or test contacts, never both; see
    `lifecycle.report`. Days are UTC; both count. How things stand is as of now.

    `trials` are those begun in the months of that time, as `tidegate cohorts` has them: {trials, converted, ended,
    running, restarted, conversion}, by month the same, and in each by connection (`connections`). Raises ReportInvalid
    for days in the wrong order.
    """
    with engine.connect() as db:
        return report_of(db, livemode, first, last, as_of or now(db))


def report_of(db: Connection, livemode: bool, first: date | None, last: date | None, as_of: datetime) -> dict[str, Any]:
    """The same in the caller's transaction."""
    since, until, head = window(as_of, first, last)
    told = report.stages(db, livemode, rulebook.load(db).stages, since, until)
    trials = _trials(db, livemode, since.date(), (until - timedelta(days=1)).date(), as_of)
    return head | told | {"trials": trials, "at_risk": report.at_risk(db, livemode, as_of)}


def conversion_drivers(
    engine: Engine,
    livemode: bool,
    of: Literal["trial", "free"],
    first: date | None = None,
    last: date | None = None,
    *,
    usage_days: int = drivers.USAGE_DAYS,
    within_days: int = drivers.WITHIN_DAYS,
    as_of: datetime | None = None,
) -> dict[str, Any]:
    """{from, to, of, usage_days, within_days, …} of those that began a trial, or came without one, in that time: see
    `lifecycle.drivers.drivers`. Raises ReportInvalid.
    """
    with engine.connect() as db:
        at = as_of or now(db)
        return drivers_of(db, livemode, of, first, last, at, usage_days=usage_days, within_days=within_days)


def drivers_of(
    db: Connection,
    livemode: bool,
    of: Literal["trial", "free"],
    first: date | None,
    last: date | None,
    as_of: datetime,
    *,
    usage_days: int,
    within_days: int,
) -> dict[str, Any]:
    """The same in the caller's transaction."""
    since, until, head = window(as_of, first, last)
    asked = drivers.Asked(of, livemode, since, until, as_of, usage_days, within_days)
    settings = {"of": of, "usage_days": usage_days, "within_days": within_days}
    return head | settings | drivers.drivers(db, asked)


def window(as_of: datetime, first: date | None, last: date | None) -> tuple[datetime, datetime, dict[str, Any]]:
    """The first instant, the one after the last, and {from, to}. Raises ReportInvalid for days in the wrong order."""
    end = last or as_of.date()
    begin = first or end - timedelta(days=DAYS - 1)
    if begin > end:
        raise ReportInvalid(problem=f"{begin} is after {end}: the first day comes first.")
    since = datetime(begin.year, begin.month, begin.day, tzinfo=UTC)
    until = datetime(end.year, end.month, end.day, tzinfo=UTC) + timedelta(days=1)
    return since, until, {"from": begin.isoformat(), "to": end.isoformat()}


def _trials(db: Connection, livemode: bool, first: date, last: date, as_of: datetime) -> dict[str, Any]:
    months: dict[str, dict[str, dict[str, int]]] = {}
    for account in accounts.every(db):
        if account.livemode is not livemode or editions.current(db, account.name) is None:
            continue
        opened = reports.opened(db, account.name, as_of, currency=reports.NATIVE)
        over = reports.window(opened, first, last)
        for row in conversions.trials(db, opened, over[0], over[-1]):
            months.setdefault(row["cohort"], {})[account.name] = {name: row[name] for name in _TRIALS}
    by_month = [
        {"month": month}
        | _converted(_summed(by_name.values()))
        | {"connections": [{"connection": name} | _converted(sums) for name, sums in by_name.items()]}
        for month, by_name in sorted(months.items())
    ]
    return _converted(_summed(by_month)) | {"months": by_month}


def _summed(parts: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = dict.fromkeys(_TRIALS, 0)
    for part in parts:
        for name in _TRIALS:
            found[name] += part[name]
    return found


def _converted(sums: dict[str, int]) -> dict[str, Any]:
    over = sums["converted"] + sums["ended"]
    return sums | {"conversion": ratio(Fraction(sums["converted"], over)) if over else None}
