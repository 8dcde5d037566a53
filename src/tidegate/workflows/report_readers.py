"""The reports that pages show, each read from a transaction as JSON has it, by what it is about (`kept_reports`)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tidegate.catalog import mappings, packages, seen
from tidegate.connections import accounts
from tidegate.errors import ConnectionUnknown, LedgerMissing, ReportInvalid
from tidegate.lifecycle import holders, listing, outlook, portfolio, report, rulebook
from tidegate.lifecycle.rules import Rule
from tidegate.revenue import cohorts, conversions, converted, metrics, renewals, reports, source
from tidegate.revenue.periods import Period, back, read_day, read_month
from tidegate.revenue.reports import Report
from tidegate.revenue.source import Group
from tidegate.workflows.demo import demo_contacts
from tidegate.workflows.lifecycle import lifecycle_report
from tidegate.workflows.revenue.data_quality import data_quality

Reader = Callable[[Connection, Mapping[str, Any], datetime], Any]

GONE = (ConnectionUnknown, LedgerMissing)
"""What readers raise where there is nothing left that the report is about."""
NATIVE = frozenset({"calendar", "renewals", "at_risk", "begun", "ended", "changed"})
"""Reports of a ledger whose amounts stay in their own currencies."""
AHEAD = 365
"""Days of the calendar of renewals."""
OBJECTS = 200
"""Objects of a check that are told."""
ROWS = 50
"""Of a page of renewals."""
FUNNEL = timedelta(days=30)
RENEWING = timedelta(days=30)
NEXT = 6
"""Renewals that are named."""


def about(db: Connection, connection: str, name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a report of the ledger in force is about, so that one under other terms is another one: these terms, and
    what else is asked. Raises LedgerMissing.
    """
    native = name in NATIVE or asked.get("by") == "currency"
    report = reports.opened(db, connection, datetime.now(UTC), currency=reports.NATIVE if native else None)
    ledger, base = report.ledger, report.rates.base if report.rates else reports.NATIVE
    terms = {"connection": connection, "edition": ledger.edition, "zone": ledger.zone.key, "currency": base}
    return {**asked, **terms}


def in_force(db: Connection, name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The same report of the ledger that is in force by now. Raises LedgerMissing."""
    return about(db, asked["connection"], name, asked)


def _opened(db: Connection, asked: Mapping[str, Any], as_of: datetime) -> Report:
    """The report, of the edition that is asked for. Raises LedgerMissing where another one took its place."""
    group = Group(asked.get("by", ""))
    found = reports.opened(db, asked["connection"], as_of, currency=asked["currency"], group=group)
    if found.ledger.edition != asked["edition"]:
        raise LedgerMissing(connection=asked["connection"])
    return found


def _over(report: Report, months: int) -> Sequence[Period]:
    """So many months, the last of them this one."""
    return reports.window(report, back("month", report.today, months - 1), None)


def _metrics(db: Connection, asked: Mapping[str, Any], as_of: datetime) -> Any:
    """By month, or of the last days in one: {months} or {days}."""
    report = _opened(db, asked, as_of)
    if days := asked.get("days"):
        over: Sequence[Period] = [Period(f"{days} days", report.today - timedelta(days=days - 1), report.today)]
    else:
        over = _over(report, asked["months"])
    return metrics.rows(db, report, over)


def _cohorts(db: Connection, asked: Mapping[str, Any], as_of: datetime) -> Any:
    """`last`: the last day of the cohort's month."""
    source.roomy(db)
    report = _opened(db, asked, as_of)
    over = _over(report, asked["months"])
    ends = {one.name: one.last.isoformat() for one in over}
    return [row | {"last": ends[row["cohort"]]} for row in cohorts.cohorts(db, report, over)]


def _conversions(db: Connection, asked: Mapping[str, Any], as_of: datetime) -> Any:
    source.roomy(db)
    report = _opened(db, asked, as_of)
    over = _over(report, asked["months"])
    first, last = over[0], over[-1]
    return {
        "first": first.first.isoformat(),
        "last": last.last.isoformat(),
        "trials": conversions.trials(db, report, first, last),
        "reasons": conversions.reasons(db, report, first, last),
        "changes": conversions.packages(db, report, first, last),
    }


def _begun(db: Connection, asked: Mapping[str, Any], as_of: datetime) -> Any:
    """A page of the trials of a `month` that came to an `outcome`, and one row more."""
    source.roomy(db)
    report, month = _opened(db, asked, as_of), read_month(asked["month"])
    return [_timed(row, "at") for row in converted.begun(db, report, month, asked["outcome"], _page(asked))]


def _ended(db: Connection, asked: Mapping[str, Any], as_of: datetime) -> Any:
    """A page of the subscriptions that ended for a `reason`, and one row more."""
    report = _opened(db, asked, as_of)
    return [_timed(row, "at") for row in converted.ended(db, report, between(asked), asked["reason"], _page(asked))]


def _changed(db: Connection, asked: Mapping[str, Any], as_of: datetime) -> Any:
    """A page of the contacts that went from package to package: `which`, and one row more."""
    source.roomy(db)
    return converted.changed(db, _opened(db, asked, as_of), between(asked), asked["which"], _page(asked))


def between(asked: Mapping[str, Any]) -> Period:
    """The days `from` and `to`, both with it. Raises ReportInvalid."""
    first, last = read_day(asked["from"]), read_day(asked["to"])
    if last < first:
        raise ReportInvalid(problem=f"{first} comes after {last}.")
    return Period("", first, last)


def _groups(db: Connection, asked: Mapping[str, Any], as_of: datetime) -> Any:
    """What stands now, by group, the largest first; `today`."""
    report = _opened(db, asked, as_of)
    return reports.standing_rows(report, reports.standing(db, report, report.today))


def _quality(db: Connection, asked: Mapping[str, Any], as_of: datetime) -> Any:
    """The checks, and of each the first objects."""
    told = data_quality(db, accounts.named(db, asked["connection"]), as_of)
    objects: dict[str, list[dict[str, Any]]] = {}
    for one in told["objects"]:
        of_check = objects.setdefault(one["check"], [])
        if len(of_check) < OBJECTS:
            of_check.append(one)
    return {"checks": told["checks"], "objects": objects}


def _calendar(db: Connection, asked: Mapping[str, Any], as_of: datetime) -> Any:
    """By month, and in each by who looks after it."""
    report = _opened(db, asked, as_of)
    return {
        "months": renewals.calendar(db, report, as_of, AHEAD, ["month"]),
        "owners": renewals.calendar(db, report, as_of, AHEAD, ["month", "owner"]),
    }


def _renewals(db: Connection, asked: Mapping[str, Any], as_of: datetime) -> Any:
    """A page of what renews within some days (`once`: of each contact the first), and one row more."""
    report, month, currency = _opened(db, asked, as_of), asked.get("month", ""), asked.get("paid_in", "")
    days, owner = asked["days"], asked["owner"]
    narrowed: dict[str, Any] = {"month": month, "currency": currency, "once": asked.get("once", False)}
    rows = renewals.upcoming(db, report, as_of, days, owner, _page(asked), **narrowed)
    return [_timed(row, "renews_at") for row in rows]


def _at_risk(db: Connection, asked: Mapping[str, Any], as_of: datetime) -> Any:
    """A page of what is at risk, and one row more."""
    rows = renewals.at_risk(db, _opened(db, asked, as_of), as_of, _page(asked))
    return [_timed(row, "ends_at", "renews_at") for row in rows]


def _page(asked: Mapping[str, Any]) -> renewals.Page:
    return renewals.Page((asked["page"] - 1) * ROWS, ROWS + 1)


def _timed(row: dict[str, Any], *times: str) -> dict[str, Any]:
    """The row with these times as JSON has them."""
    return row | {name: row[name] and row[name].isoformat() for name in times}


def _lifecycle(db: Connection, asked: Mapping[str, Any], as_of: datetime) -> Any:
    return lifecycle_report.report_of(db, asked["livemode"], *_days(asked), as_of)


def _drivers(db: Connection, asked: Mapping[str, Any], as_of: datetime) -> Any:
    counts = {name: asked[name] for name in ("usage_days", "within_days")}
    return lifecycle_report.drivers_of(db, asked["livemode"], asked["of"], *_days(asked), as_of, **counts)


def _days(asked: Mapping[str, Any]) -> tuple[date | None, date | None]:
    first, last = (date.fromisoformat(asked[name]) if asked.get(name) else None for name in ("from", "to"))
    return first, last


def _holders(db: Connection, asked: Mapping[str, Any], _: datetime) -> Any:
    """How many contacts, of live or test data (`livemode`; None: all), hold each package, and each version of it, how
    many each mapping gives something, and each feature is granted to; and how many may move from a version (`moving`).
    """
    source.roomy(db)
    livemode = asked.get("livemode")
    return {
        "packages": holders.by_version(db, livemode),
        "held": holders.by_package(db, livemode),
        "mappings": holders.by_mapping(db),
        "features": holders.by_feature(db, livemode),
        "moving": packages.to_move(db),
    }


def _unmapped(db: Connection, asked: Mapping[str, Any], _: datetime) -> Any:
    """Prices that nothing maps, with what waits for each."""
    found = mappings.queue(db, asked["connection"]) if mappings.any_waits(db, asked["connection"]) else []
    return [one | {"since": one["since"] and one["since"].isoformat()} for one in found]


def _seen(db: Connection, asked: Mapping[str, Any], _: datetime) -> Any:
    """Products as they are subscribed to, of which suggestions are made."""
    source.roomy(db)
    return seen.as_json(seen.products(db, asked["connection"]))


def _understood(db: Connection, asked: Mapping[str, Any], _: datetime) -> Any:
    """How contacts and catalog stand after an import."""
    return asdict(demo_contacts.summary(db.engine, accounts.named(db, asked["connection"]), 0))


def counted(rules: Sequence[Rule], told: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The stages or segments that there are now, with what report `stages` told of each; nobody is in a new one."""
    known = {one["key"]: one for one in told}
    nobody: dict[str, Any] = {"contacts": 0, "mrr": []}
    return [
        {**nobody, **known.get(rule.key, {}), "key": rule.key, "name": rule.name, "when": rule.when} for rule in rules
    ]


def _stages(db: Connection, asked: Mapping[str, Any], as_of: datetime) -> Any:
    """How many are in each stage and segment, who moved lately, and the health of all."""
    rules, livemode = rulebook.load(db), asked["livemode"]
    since = (as_of.astimezone(UTC) - FUNNEL).replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "stages": listing.stages(db, rules.stages, livemode),
        "segments": listing.segments(db, rules.segments, livemode),
        "moves": report.moves(db, livemode, since),
        "moves_since": since.date().isoformat(),
        "portfolio": portfolio.portfolio(db, livemode),
    }


def _outlook(db: Connection, asked: Mapping[str, Any], as_of: datetime) -> Any:
    """Who is at risk, and what renews."""
    renewing = outlook.renewing(db, asked["livemode"], as_of, as_of + RENEWING, NEXT)
    following = [one | {"renews_at": one["renews_at"].isoformat()} for one in renewing["next"]]
    return {"at_risk": outlook.at_risk(db, asked["livemode"]), "renewing": renewing | {"next": following}}


# A report of another form has another name: what an earlier release kept is let go of then (`kept_reports.renew`).
READERS: Mapping[str, Reader] = {
    "metrics": _metrics,
    "cohorts": _cohorts,
    "conversions": _conversions,
    "begun": _begun,
    "ended": _ended,
    "changed": _changed,
    "groups": _groups,
    "quality": _quality,
    "calendar": _calendar,
    "renewals": _renewals,
    "at_risk": _at_risk,
    "lifecycle": _lifecycle,
    "drivers": _drivers,
    "held_now": _holders,
    "unmapped": _unmapped,
    "seen": _seen,
    "understood": _understood,
    "stages": _stages,
    "outlook": _outlook,
}
"""Every report by its name."""
