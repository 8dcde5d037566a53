"""`tidegate renewals`: what renews next, and what is at risk."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from tidegate.cli.options import AsJson, ConnectionName


def renewals(
    days: Annotated[int, typer.Option(min=1, max=3660, metavar="N", help="Of the next so many days.")] = 30,
    by: Annotated[
        Literal["month", "owner", "month-and-owner"] | None,
        typer.Option("--by", help="Sum them up as a calendar."),
    ] = None,
    owner: Annotated[str | None, typer.Option(metavar="KEY", help="Only of this owner's contacts.")] = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """List the subscriptions that renew soon, and those at risk with the reasons; or sum them up as a calendar."""
    from tidegate.cli import amounts, show
    from tidegate.cli.hub import opened
    from tidegate.revenue import renewals, reports

    as_of = datetime.now(UTC)
    with opened() as hub:
        account = hub.account(connection)
        with hub.engine.connect() as db:
            report = reports.opened(db, account.name, as_of, currency=reports.NATIVE)
            if by:
                over: list[renewals.By] = [one for one in renewals.BY if one in by]
                found = renewals.calendar(db, report, as_of, days, over, owner)
                _say_calendar(found, over, report.head(), days, as_json=as_json)
                return
            upcoming = renewals.upcoming(db, report, as_of, days, owner)
            at_risk = renewals.at_risk(db, report, as_of)
    if as_json:
        show.document({**report.head(), "days": days, "renewals": upcoming, "at_risk": at_risk})
        return
    show.table(
        ["renews", "who", "owner", "subscription", "status", "MRR", "every"], [_renewing(row) for row in upcoming]
    )
    show.line()
    show.table(["at risk", "subscription", "because", "ends", "MRR"], [_risky(row) for row in at_risk])
    amounts.say_doubts(report.head())


def _say_calendar(
    found: list[dict[str, Any]], by: Sequence[str], head: dict[str, Any], days: int, *, as_json: bool
) -> None:
    from tidegate.cli import amounts, show

    if as_json:
        show.document({**head, "days": days, "by": list(by), "renewals": found})
        return
    names = [name for name in ("month", "owner") if name in by]
    rows = [
        [
            *(one[name] or "nobody" for name in names),
            one["renewals"],
            one["contacts"],
            amounts.money(one["mrr"], one["currency"]),
        ]
        for one in found
    ]
    show.table([*names, "renewals", "contacts", "MRR"], rows)
    amounts.say_doubts(head)


def _renewing(row: dict[str, Any]) -> list[str]:
    from tidegate.cli.amounts import money

    who, every = row["name"] or row["customer"], f"{row['interval_count'] or 1} {row['interval']}"
    worth = money(row["mrr"], row["currency"])
    return [f"{row['renews_at']:%Y-%m-%d}", who, row["owner"], row["subscription"], row["status"], worth, every]


def _risky(row: dict[str, Any]) -> list[str]:
    from tidegate.cli.amounts import money

    why = ", ".join(one.replace("_", " ") for one in row["reasons"])
    ends = f"{row['ends_at']:%Y-%m-%d}" if row["ends_at"] else ""
    return [row["name"] or row["customer"], row["subscription"], why, ends, money(row["mrr"], row["currency"])]
