"""`tidegate cohorts`: who stays, what trials come to, why subscriptions end, who changes package."""

from datetime import UTC, datetime
from typing import Any

from tidegate.cli.mrr import Currency, From, To
from tidegate.cli.options import AsJson, ConnectionName


def cohorts(
    first: From = None,
    last: To = None,
    currency: Currency = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Show retention by the month of the first MRR, trial conversion, reasons of cancellations, changes of package."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.revenue import reports
    from tidegate.revenue.cohort_report import cohort_report
    from tidegate.revenue.periods import read_day

    with opened() as hub, hub.engine.connect() as db:
        report = reports.opened(db, hub.account(connection).name, datetime.now(UTC), currency=currency)
        over = reports.window(report, read_day(first) if first else None, read_day(last) if last else None)
        document = cohort_report(db, report, over)
    if as_json:
        show.document(document)
    else:
        _print(document)


def _print(document: dict[str, Any]) -> None:
    from tidegate.cli import amounts, show

    _cohorts(document["cohorts"])
    for name, table in (("trials", _trials), ("cancellations", _cancellations), ("packages", _packages)):
        if document[name]:
            show.line()
            show.table(*table(document[name]))
    amounts.say_doubts(document)


Table = tuple[list[str], list[list[Any]]]
"""What `show.table` takes: columns and rows."""


def _trials(rows: list[dict[str, Any]]) -> Table:
    from tidegate.cli.amounts import percent

    columns = ("cohort", "trials", "converted", "ended", "running", "restarted")
    shown = [[*(row[name] for name in columns), percent(row["conversion"])] for row in rows]
    return ["trials begun in", *columns[1:], "conversion"], shown


def _cancellations(rows: list[dict[str, Any]]) -> Table:
    from tidegate.cli.amounts import money

    shown = [
        [
            row["reason"] or "not told",
            row["subscriptions"],
            ", ".join(money(one["mrr"], one["currency"]) for one in row["lost"]),
        ]
        for row in rows
    ]
    return ["canceled because", "subscriptions", "MRR lost"], shown


def _packages(rows: list[dict[str, Any]]) -> Table:
    from tidegate.cli.amounts import money

    shown = [
        [_package(row["before"], "new"), _package(row["after"], "gone"), row["contacts"]]
        + [money(row[name], row["currency"]) for name in ("opening", "closing")]
        for row in rows
    ]
    return ["package before", "package after", "contacts", "MRR before", "MRR after"], shown


def _package(key: str | None, nothing: str) -> str:
    return nothing if key is None else key or "no package"


def _cohorts(cohorts: list[dict[str, Any]]) -> None:
    """How many contacts, and how much of its first MRR, each cohort has at the end of each month from its own on."""
    from tidegate.cli import show
    from tidegate.cli.amounts import money

    if not cohorts:
        show.remark("Nobody had a first MRR in that time.")
        return
    ages = max(len(one["months"]) for one in cohorts)
    shown = [
        [one["cohort"], one["contacts"], money(one["new"], one["currency"])]
        + [_kept(month) for month in one["months"]]
        + [""] * (ages - len(one["months"]))
        for one in cohorts
    ]
    show.table(["cohort", "contacts", "first MRR", *(str(age) for age in range(ages))], shown)


def _kept(month: dict[str, Any]) -> str:
    return f"{month['contacts']:,} · " + ("–" if month["mrr_retention"] is None else f"{month['mrr_retention']:.0%}")
