"""`tidegate close`: keeps what a month came to, and shows what is said otherwise later."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from tidegate.cli.options import AsJson, ConnectionName


def close(
    month: Annotated[str | None, typer.Argument(metavar="MONTH", help="Such as 2026-03; it has to be over.")] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what is said otherwise since it was closed.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the closed months.")] = False,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Close a month: keep what it came to per customer. What changes later is shown, and never written over it."""
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.errors import UsageError
    from tidegate.revenue import closing, reports
    from tidegate.revenue.periods import read_month

    if list_ == (month is not None) or (diff and month is None):
        raise UsageError(problem="Name a month, such as 2026-03, or use --list.")
    with opened(may_migrate=not (list_ or diff)) as hub:
        account = hub.account(connection)
        with hub.engine.begin() as db:
            report = reports.opened(db, account.name, datetime.now(UTC), currency=reports.NATIVE)
            if month is None:
                _list(closing.closed(db, report.ledger), as_json=as_json)
                return
            period = read_month(month)
            if diff:
                _differences(period.name, closing.difference(db, report.ledger, period), as_json=as_json)
                return
            customers = closing.close(db, report.ledger, period, person(), report.today)
            kept = next(one for one in closing.closed(db, report.ledger) if one["month"] == period.name)
    _closed(kept, customers, as_json=as_json)


def _closed(kept: dict[str, Any], customers: int, *, as_json: bool) -> None:
    from tidegate.cli import show

    if as_json:
        show.document(kept)
    else:
        show.line(f"{kept['month']} is closed with {_mrr(kept)} of {customers:,} customers.")


def _list(months: list[dict[str, Any]], *, as_json: bool) -> None:
    from tidegate.cli import show

    if as_json:
        show.document({"months": months})
        return
    show.table(
        ["month", "MRR", "customers", "closed", "by"],
        [[one["month"], _mrr(one), one["customers"], one["closed_at"], one["by"]] for one in months],
    )


def _differences(month: str, found: list[dict[str, Any]], *, as_json: bool) -> None:
    from tidegate.cli import show
    from tidegate.cli.amounts import money

    if as_json:
        show.document({"month": month, "customers": found})
        return
    show.table(
        ["who", "customer", "closed with", "now", "difference", "in"],
        [
            [one["name"] or one["contact"], one["customer"]]
            + [money(one[name], one["currency"]) for name in ("closed", "now", "difference")]
            + [", ".join(one["changes"])]
            for one in found
        ],
    )
    show.line(f"{len(found):,} customers of {month} are said otherwise now than when it was closed.")


def _mrr(one: dict[str, Any]) -> str:
    from tidegate.cli.amounts import money

    return ", ".join(money(each["mrr"], each["currency"]) for each in one["mrr"]) or "no MRR"
