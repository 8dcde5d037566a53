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
    from tidegate.cli import amounts, show
    from tidegate.cli.hub import opened
    from tidegate.revenue import reports
    from tidegate.revenue.cohort_report import cohort_report
    from tidegate.revenue.periods import read_day

    with opened() as hub:
        account = hub.account(connection)
        with hub.engine.connect() as db:
            report = reports.opened(db, account.name, datetime.now(UTC), currency=currency)
            over = reports.window(report, read_day(first) if first else None, read_day(last) if last else None)
            document = cohort_report(db, report, over)
    if as_json:
        show.document(document)
        return
    _cohorts(document["cohorts"])
    if document["trials"]:
        show.line()
        columns = ("cohort", "trials", "converted", "ended", "running", "restarted")
        shown = [[*(row[name] for name in columns), amounts.percent(row["conversion"])] for row in document["trials"]]
        show.table(["trials begun in", *columns[1:], "conversion"], shown)
    if document["cancellations"]:
        show.line()
        shown = [
            [
                row["reason"] or "not told",
                row["subscriptions"],
                ", ".join(amounts.money(one["mrr"], one["currency"]) for one in row["lost"]),
            ]
            for row in document["cancellations"]
        ]
        show.table(["canceled because", "subscriptions", "MRR lost"], shown)
    if document["packages"]:
        show.line()
        shown = [
            [_package(row["before"], "new"), _package(row["after"], "gone"), row["contacts"]]
            + [amounts.money(row[name], row["currency"]) for name in ("opening", "closing")]
            for row in document["packages"]
        ]
        show.table(["package before", "package after", "contacts", "MRR before", "MRR after"], shown)
    amounts.say_missing(document)


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
