"""`tidegate mrr`: what comes in every month, now, at a day, or over time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tidegate.cli.options import AsJson, ConnectionName

Currency = Annotated[
    str | None,
    typer.Option(
        "--currency", metavar="C", help="Convert all into one; `native`: into none, whatever the ledger says."
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="G",
        help="package, product, price, interval, currency, country, contact or property:NAME.",
    ),
]
From = Annotated[str | None, typer.Option("--from", metavar="DAY", help="The first period; else a year back.")]
To = Annotated[str | None, typer.Option("--to", metavar="DAY", help="The last one; else the present one.")]
ByPeriod = Annotated[Literal["month", "week", "day"], typer.Option("--by", help="The periods.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Answer as CSV with a header; amounts are decimals.")]
GROUPS_SHOWN = 20
AMOUNTS = ("opening", "new", "reactivation", "expansion", "contraction", "churn", "switched", "fx", "mrr")


def mrr(
    at: Annotated[str | None, typer.Option("--at", metavar="DAY", help="At the end of that day; else now.")] = None,
    by: Annotated[
        Literal["month", "week", "day"] | None, typer.Option("--by", help="Over time, a figure for each period.")
    ] = None,
    first: From = None,
    last: To = None,
    currency: Currency = None,
    group_by: GroupBy = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Save the picture of it, as .svg or .png.")
    ] = None,
    as_csv: AsCsv = False,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Show monthly recurring revenue: at an instant, or by period with what moved it.

    Days are those of the connection's time zone. Each currency stands for itself unless all are converted into one.
    """
    from tidegate.cli.hub import opened
    from tidegate.errors import UsageError
    from tidegate.revenue import reports
    from tidegate.revenue.periods import read_day
    from tidegate.revenue.source import group

    if at and by:
        raise UsageError(problem="Use --at DAY or --by month, not both.")
    over_time = by or ("month" if first or last or plot else None)
    with opened() as hub, hub.engine.connect() as db:
        account = hub.account(connection)
        report = reports.opened(
            db, account.name, datetime.now(UTC), currency=currency, by=over_time or "month", group=group(group_by)
        )
        if over_time is None:
            day = read_day(at) if at else report.today
            rows = reports.standing_rows(report, reports.standing(db, report, day))
            document: dict[str, Any] = {**report.head(), "at": day.isoformat(), "rows": rows}
        else:
            over = reports.window(report, read_day(first) if first else None, read_day(last) if last else None)
            rows = reports.rows_of(report, reports.lines(db, report, over))
            document = {**report.head(), "by": over_time, "group_by": group_by, "rows": rows}
    if plot:
        from tidegate.cli import picture

        picture.save(plot, picture.panels_of(rows))
    _print(document, as_csv=as_csv, as_json=as_json)


def _print(document: dict[str, Any], *, as_csv: bool, as_json: bool) -> None:
    from tidegate.cli import amounts, show

    rows = document["rows"]
    if as_json:
        show.document(document)
        return
    if as_csv:
        amounts.as_csv(rows, AMOUNTS)
    elif "at" in document:
        _standing(document)
    elif document["group_by"]:
        _groups(rows)
    else:
        _periods(rows)
    if not rows:
        show.remark("There is no recurring revenue yet.")
    amounts.say_missing(document)


def _standing(document: dict[str, Any]) -> None:
    from tidegate.cli import show
    from tidegate.cli.amounts import money

    grouped = any("group" in row for row in document["rows"])
    head = [*(["group"] if grouped else []), "MRR", "ARR"]
    show.line(
        f"{document['connection']}, end of {document['at']} ({document['time_zone']}), {document['policy']} policy"
    )
    show.table(
        head,
        [
            [
                *([row["group"] or "none"] if grouped else []),
                money(row["mrr"], row["currency"]),
                money(row["arr"], row["currency"]),
            ]
            for row in document["rows"]
        ],
    )


def _periods(rows: Sequence[dict[str, Any]]) -> None:
    """A table; on a terminal with a bar for each period."""
    from tidegate.cli import show
    from tidegate.cli.amounts import bar, money, on_terminal

    highest: dict[str, int] = {}
    for row in rows:
        highest[row["currency"]] = max(highest.get(row["currency"], 0), row["mrr"] or 0)
    drawn = on_terminal()
    shown = [
        [row["period"] + ("…" if row["running"] else ""), money(row["mrr"], row["currency"])]
        + ([bar(row["mrr"], highest[row["currency"]])] if drawn else [])
        for row in sorted(rows, key=lambda row: (row["currency"], row["from"]))
    ]
    show.table(["period", "MRR", *([""] if drawn else [])], shown)


def _groups(rows: Sequence[dict[str, Any]]) -> None:
    """A line for each group, the largest first, with its course."""
    from tidegate.cli import show
    from tidegate.cli.amounts import money, spark

    series: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        series.setdefault((row["group"], row["currency"]), []).append(row)
    shown = [
        [
            group or "none",
            money(those[0]["opening"], currency),
            spark([row["mrr"] for row in those]),
            money(those[-1]["mrr"], currency),
        ]
        for (group, currency), those in series.items()
    ]
    show.table(["group", "opening", "course", "MRR"], shown[:GROUPS_SHOWN])
    if len(shown) > GROUPS_SHOWN:
        show.remark(f"These are the {GROUPS_SHOWN} largest of {len(shown):,}; --csv and --json give all.")
