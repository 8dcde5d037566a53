"""`tidegate movements`: every change of MRR, the newest first."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import typer

from tidegate.cli.mrr import AsCsv
from tidegate.cli.options import AsJson, ConnectionName

DAYS = 30
"""Of the past that are shown where nothing else is said."""


def movements(
    contact: Annotated[
        str | None,
        typer.Option("--contact", metavar="C", help="Only those of a contact, or of a Stripe customer cus_…."),
    ] = None,
    kind: Annotated[
        Literal["new", "reactivation", "expansion", "contraction", "churn", "transfer"] | None,
        typer.Option("--kind", help="Only these. A transfer, between customers of a contact, is shown only so."),
    ] = None,
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="DAY", help="Not before that day; else 30 days back, or all of a contact's."),
    ] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DAY", help="Not after that day.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many.")] = 100,
    after: Annotated[str | None, typer.Option(metavar="PLACE", help="`next` of the page before.")] = None,
    as_csv: AsCsv = False,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """List movements of MRR: who came, went, paid more or less, when and by how much."""
    from tidegate.cli import amounts, show
    from tidegate.cli.hub import opened
    from tidegate.revenue import listing, reports
    from tidegate.revenue.bridge import KINDS
    from tidegate.revenue.listing import Wanted
    from tidegate.revenue.periods import read_day
    from tidegate.workflows.contact_customers import customers_of

    with opened() as hub:
        account = hub.account(connection)
        with hub.engine.connect() as db:
            report = reports.opened(db, account.name, datetime.now(UTC), currency=reports.NATIVE)
            begin = read_day(first) if first else None if contact else report.today - timedelta(days=DAYS)
            wanted = Wanted(
                begin,
                read_day(last) if last else None,
                customers_of(db, account, contact) if contact else None,
                [kind] if kind else KINDS,
            )
            rows, following = listing.movements(db, report.ledger, wanted, limit=limit, after=after)
    if as_json:
        show.document({**report.head(), "movements": rows, "next": following})
        return
    if as_csv:
        told = [row | {"customers": " ".join(row["customers"])} for row in rows]
        amounts.as_csv(
            [{k: v for k, v in row.items() if k != "items"} for row in told], ("amount", "opening", "closing")
        )
    else:
        money = amounts.money
        show.table(
            ["day", "who", "kind", "amount", "before", "after"],
            [
                [row["day"], row["name"] or row["contact"] or " ".join(row["customers"]), row["kind"]]
                + [money(row[name], row["currency"]) for name in ("amount", "opening", "closing")]
                for row in rows
            ],
        )
    if following:
        show.remark(f"More with --after '{following}'")
