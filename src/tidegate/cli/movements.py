"""`tidegate movements`: every change of MRR, the newest first."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import typer

from tidegate.cli.options import AsCsv, AsJson, ConnectionName, one_form

DAYS = 30
"""Of the past that are shown where nothing else is said."""
COLUMNS = ("at", "day", "contact", "name", "customers", "currency", "kind", "opening", "closing", "amount")


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
    from tidegate.cli.hub import opened
    from tidegate.revenue import listing, reports
    from tidegate.revenue.bridge import KINDS
    from tidegate.revenue.listing import Wanted
    from tidegate.revenue.periods import read_day
    from tidegate.workflows.contacts.contact_customers import customers_of

    one_form(as_csv=as_csv, as_json=as_json)
    with opened() as hub, hub.engine.connect() as db:
        account = hub.account(connection)
        report = reports.opened(db, account.name, datetime.now(UTC), currency=reports.NATIVE)
        end = read_day(last) if last else None
        begin = read_day(first) if first else None if contact else (end or report.today) - timedelta(days=DAYS)
        whose = customers_of(db, account, contact) if contact else None
        wanted = Wanted(begin, end, whose, [kind] if kind else KINDS)
        rows, following = listing.movements(db, report.ledger, wanted, limit=limit, after=after)
    _print({**report.head(), "movements": rows, "next": following}, as_csv=as_csv, as_json=as_json)


def _print(document: dict[str, Any], *, as_csv: bool, as_json: bool) -> None:
    from tidegate.cli import amounts, show

    rows = document["movements"]
    if as_json:
        show.document(document)
        return
    if as_csv:
        told = [row | {"customers": " ".join(row["customers"])} for row in rows]
        amounts.as_csv(COLUMNS, told, ("amount", "opening", "closing"))
    elif not rows:
        show.line("No movements.")
    else:
        show.table(
            ["day", "who", "kind", "amount", "before", "after"],
            [
                [row["day"], row["name"] or row["contact"] or " ".join(row["customers"]), row["kind"]]
                + [amounts.money(row[name], row["currency"]) for name in ("amount", "opening", "closing")]
                for row in rows
            ],
        )
    if document["next"]:
        show.remark(f"More with --after '{document['next']}'")
    amounts.say_doubts(document)
