"""`tidegate mrr`: what comes in every month, now, at a day, or over time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tidegate.cli.options import AsCsv, AsJson, ConnectionName, one_form

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tidegate.revenue.reports import Report

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
From = Annotated[
    str | None, typer.Option("--from", metavar="DAY", help="A day of the first period; else there are twelve.")
]
To = Annotated[str | None, typer.Option("--to", metavar="DAY", help="A day of the last one; else the present one.")]
ByPeriod = Annotated[Literal["month", "week", "day"], typer.Option("--by", help="The periods.")]
GROUPS_SHOWN = 20
AMOUNTS = ("opening", "new", "reactivation", "expansion", "contraction", "churn", "switched", "fx", "mrr", "arr")


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
    from tidegate.cli import picture
    from tidegate.cli.hub import opened
    from tidegate.errors import UsageError
    from tidegate.revenue import reports
    from tidegate.revenue.source import group

    one_form(as_csv=as_csv, as_json=as_json)
    if at and (by or first or last or plot):
        raise UsageError(problem="Use --at DAY alone, without --by, --from, --to and --plot.")
    over = by or ("month" if first or last or plot else None)
    with opened() as hub, hub.engine.connect() as db:
        report = reports.opened(
            db, hub.account(connection).name, datetime.now(UTC),
            currency=currency, by=over or "month", group=group(group_by),
        )  # fmt: skip
        document, columns = _standing(db, report, at) if over is None else _series(db, report, first, last, group_by)
    if plot:
        picture.save(plot, picture.panels_of(document["rows"]))
    _print(document, columns, as_csv=as_csv, as_json=as_json)


def _standing(db: "Connection", report: "Report", at: str | None) -> tuple[dict[str, Any], list[str]]:
    """The document of a day, and the columns that its rows have."""
    from tidegate.revenue import names, reports
    from tidegate.revenue.periods import read_day

    day = read_day(at) if at else report.today
    rows = names.add(db, report, reports.standing_rows(report, reports.standing(db, report, day)))
    columns = rows or names.add(db, report, reports.standing_rows(report, {("", ""): 0}))
    return {**report.head(), "at": day.isoformat(), "rows": rows}, list(columns[0])


def _series(
    db: "Connection", report: "Report", first: str | None, last: str | None, group_by: str | None
) -> tuple[dict[str, Any], list[str]]:
    """The document of periods, and the columns that its rows have."""
    from tidegate.revenue import names, reports
    from tidegate.revenue.periods import read_day

    over = reports.window(report, read_day(first) if first else None, read_day(last) if last else None)
    rows = names.add(db, report, reports.rows_of(report, reports.lines(db, report, over)))
    columns = rows or names.add(db, report, reports.rows_of(report, [reports.nothing(report)]))
    told = {"by": report.by, "group_by": group_by, "rows": rows}
    return {**report.head(), **told}, list(columns[0])


def _print(document: dict[str, Any], columns: Sequence[str], *, as_csv: bool, as_json: bool) -> None:
    from tidegate.cli import amounts, show

    rows = document["rows"]
    if as_json:
        show.document(document)
        return
    if as_csv:
        amounts.as_csv(columns, rows, AMOUNTS)
    elif "at" in document:
        _day(document)
    elif document["group_by"]:
        _groups(rows)
    else:
        by_period(rows)
    if not rows:
        show.remark("There is no recurring revenue yet.")
    amounts.say_doubts(document)


def _day(document: dict[str, Any]) -> None:
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


def by_period(rows: Sequence[dict[str, Any]]) -> None:
    """A line for each period, a column for each currency; on a terminal a table for each, with bars."""
    from tidegate.cli import show
    from tidegate.cli.amounts import bar, money, on_terminal

    series: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        series.setdefault(row["currency"], []).append(row)
    if not on_terminal():
        shown = [
            [_period(those[0]), *(money(row["mrr"], row["currency"]) for row in those)]
            for those in zip(*series.values(), strict=True)
        ]
        show.table(["period", *(f"MRR in {code.upper()}" for code in series)], shown)
        return
    for number, (code, those) in enumerate(series.items()):
        if number:
            show.line()
        highest = max(row["mrr"] or 0 for row in those)
        shown = [[_period(row), money(row["mrr"], code), bar(row["mrr"], highest)] for row in those]
        show.table(["period", f"MRR in {code.upper()}", ""], shown)


def _period(row: dict[str, Any]) -> str:
    return row["period"] + ("…" if row["running"] else "")


def _groups(rows: Sequence[dict[str, Any]]) -> None:
    """A line for each group, the largest first, with its course."""
    from tidegate.cli import show
    from tidegate.cli.amounts import money, spark

    series: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        series.setdefault((row["group"], row["currency"]), []).append(row)
    shown = [
        [
            called(those[0]),
            money(those[0]["opening"], code),
            spark([row["mrr"] for row in those]),
            money(those[-1]["mrr"], code),
        ]
        for (_, code), those in series.items()
    ]
    show.table(["group", "opening", "course", "MRR"], shown[:GROUPS_SHOWN])
    if len(shown) > GROUPS_SHOWN:
        show.remark(f"These are the {GROUPS_SHOWN} largest of {len(shown):,}; --csv and --json give all.")
