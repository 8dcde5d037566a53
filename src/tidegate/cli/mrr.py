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
    from tidegate.revenue import names, reports
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
            rows = names.add(db, report, reports.standing_rows(report, reports.standing(db, report, day)))
            document: dict[str, Any] = {**report.head(), "at": day.isoformat(), "rows": rows}
        else:
            over = reports.window(report, read_day(first) if first else None, read_day(last) if last else None)
            rows = names.add(db, report, reports.rows_of(report, reports.lines(db, report, over)))
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
    show.line(
        f"{document['connection']}, end of {document['at']} ({document['time_zone']}), {document['policy']} policy"
    )
    show.table(
        [*(["group"] if grouped else []), "MRR", "ARR"],
        [
            [*([called(row)] if grouped else []), *(money(row[name], row["currency"]) for name in ("mrr", "arr"))]
            for row in document["rows"]
        ],
    )


def called(row: dict[str, Any]) -> str:
    """The group of a row as people know it."""
    return row.get("name") or row["group"] or "none"


def _periods(rows: Sequence[dict[str, Any]]) -> None:
    """A line for each period, a column for each currency; of one alone with a bar, on a terminal."""
    from tidegate.cli import show
    from tidegate.cli.amounts import bar, money, on_terminal

    currencies = list(dict.fromkeys(row["currency"] for row in rows))
    drawn = on_terminal() and len(currencies) == 1
    highest = max((row["mrr"] or 0 for row in rows), default=0)
    periods: dict[str, dict[str, Any]] = {}
    for row in rows:
        periods.setdefault(row["period"] + ("…" if row["running"] else ""), {})[row["currency"]] = row["mrr"]
    shown = [
        [period, *(money(amounts[code], code) for code in currencies)]
        + ([bar(amounts[currencies[0]], highest)] if drawn else [])
        for period, amounts in periods.items()
    ]
    show.table(["period", *(f"MRR in {code.upper()}" for code in currencies), *([""] if drawn else [])], shown)


def _groups(rows: Sequence[dict[str, Any]]) -> None:
    """A line for each group, the largest first, with its course."""
    from tidegate.cli import show
    from tidegate.cli.amounts import money

    series: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        series.setdefault((row["group"], row["currency"]), []).append(row)
    shown = [
        [called(those[0]), money(those[0]["opening"], code), _course(those), money(those[-1]["mrr"], code)]
        for (_, code), those in series.items()
    ]
    show.table(["group", "opening", "course", "MRR"], shown[:GROUPS_SHOWN])
    if len(shown) > GROUPS_SHOWN:
        show.remark(f"These are the {GROUPS_SHOWN} largest of {len(shown):,}; --csv and --json give all.")


def _course(rows: Sequence[dict[str, Any]]) -> str:
    from tidegate.cli.amounts import spark

    return spark([row["mrr"] for row in rows])
