"""`tidegate reconcile`: the ledger against Stripe's own report, with the cause of every difference."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.cli.options import AsJson, ConnectionName


def reconcile(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Stripe's CSV “MRR per subscriber per month”.")],
    month: Annotated[str | None, typer.Option(metavar="MONTH", help="Only this month of it.")] = None,
    currency: Annotated[str, typer.Option("--currency", metavar="C", help="Of a file that names no currency.")] = "",
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Customers of each month that are shown.")] = 20,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Compare the ledger with Stripe's report of MRR, customer by customer, and say why they differ.

    A difference is Stripe's figure less ours; the causes sum to it.
    """
    from tidegate.cli.hub import opened
    from tidegate.errors import UsageError
    from tidegate.revenue import reports, stripe_report
    from tidegate.revenue.periods import read_month
    from tidegate.revenue.reconciling import reconcile

    wanted = read_month(month) if month else None
    try:
        told = stripe_report.read(file.read_bytes(), file.name, currency)
    except OSError as error:
        raise UsageError(problem=f"{file} cannot be read: {error.strerror}.") from error
    told = [one for one in told if wanted in (None, one.month)]
    if not told:
        raise UsageError(problem=f"{file} tells no MRR{f' of {month}' if month else ''}.")
    as_of = datetime.now(UTC)
    with opened() as hub, hub.engine.connect() as db:
        report = reports.opened(db, hub.account(connection).name, as_of, currency=reports.NATIVE)
        found = reconcile(db, report.ledger, told, as_of)
    _answer({**report.head(), **found}, limit, as_json=as_json)


def _answer(document: dict[str, Any], limit: int, *, as_json: bool) -> None:
    from tidegate.cli import amounts, show
    from tidegate.revenue.reconcile import ABOUT

    if as_json:
        show.document({**document, "about": ABOUT})
        return
    for number, one in enumerate(document["months"]):
        if number:
            show.line()
        _print(one, limit)
    amounts.say_doubts(document)


def _print(one: dict[str, Any], limit: int) -> None:
    from tidegate.cli import show
    from tidegate.cli.amounts import money

    code = one["currency"]
    show.line(
        f"{one['month']}: Stripe {money(one['theirs'], code)}, here {money(one['ours'], code)}, difference "
        f"{money(one['difference'], code)}; {one['equal']:,} customers are the same, {len(one['customers']):,} differ."
    )
    if one["causes"]:
        show.table(
            ["because of", "difference"], [[cause, money(amount, code)] for cause, amount in one["causes"].items()]
        )
    rows = [_row(row, code) for row in one["customers"][:limit]]
    if rows:
        show.table(["who", "customer", "Stripe", "here", "because of"], rows)
    if len(one["customers"]) > limit:
        show.line(f"… and {len(one['customers']) - limit:,} more (--json lists all)")


def _row(row: dict[str, Any], code: str) -> list[str]:
    from tidegate.cli.amounts import money

    why = ", ".join(f"{part['cause']} {money(part['amount'], code)}" for part in row["parts"])
    who = row["name"] or row["customer"]
    return [who, row["customer"], money(row["theirs"], code), money(row["ours"], code), why]
