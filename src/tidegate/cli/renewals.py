"""`tidegate renewals`: what renews next, and what is at risk."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from tidegate.cli.options import AsJson, ConnectionName


def renewals(
    days: Annotated[int, typer.Option(min=1, max=3660, metavar="N", help="Of the next so many days.")] = 30,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """List the subscriptions that renew soon, and those at risk with the reasons."""
    from tidegate.cli import amounts, show
    from tidegate.cli.hub import opened
    from tidegate.revenue import renewals, reports

    as_of = datetime.now(UTC)
    with opened() as hub:
        account = hub.account(connection)
        with hub.engine.connect() as db:
            report = reports.opened(db, account.name, as_of, currency=reports.NATIVE)
            upcoming, at_risk = renewals.upcoming(db, report, as_of, days), renewals.at_risk(db, report, as_of)
    if as_json:
        show.document({**report.head(), "days": days, "renewals": upcoming, "at_risk": at_risk})
        return
    show.table(["renews", "who", "subscription", "status", "MRR", "every"], [_renewing(row) for row in upcoming])
    show.line()
    show.table(["at risk", "subscription", "because", "ends", "MRR"], [_risky(row) for row in at_risk])
    amounts.say_doubts(report.head())


def _renewing(row: dict[str, Any]) -> list[str]:
    from tidegate.cli.amounts import money

    who, every = row["name"] or row["customer"], f"{row['interval_count'] or 1} {row['interval']}"
    worth = money(row["mrr"], row["currency"])
    return [f"{row['renews_at']:%Y-%m-%d}", who, row["subscription"], row["status"], worth, every]


def _risky(row: dict[str, Any]) -> list[str]:
    from tidegate.cli.amounts import money

    why = ", ".join(one.replace("_", " ") for one in row["reasons"])
    ends = f"{row['ends_at']:%Y-%m-%d}" if row["ends_at"] else ""
    return [row["name"] or row["customer"], row["subscription"], why, ends, money(row["mrr"], row["currency"])]
