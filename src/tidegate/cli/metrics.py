"""`tidegate metrics`: what moved MRR over each period, and the figures that follow from it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tidegate.cli.mrr import AMOUNTS, ByPeriod, Currency, From, GroupBy, To, called
from tidegate.cli.options import AsCsv, AsJson, ConnectionName, one_form

FIGURES = {
    "mrr": "MRR", "net_new": "net new", "new": "new", "reactivation": "reactivation", "expansion": "expansion",
    "contraction": "contraction", "churn": "churn", "switched": "from other groups", "fx": "fx", "arr": "ARR",
    "arpa": "ARPA", "ltv": "LTV", "trial_mrr": "on trial", "usage": "metered usage",
}  # fmt: skip
RATIOS = {
    "growth": "growth", "gross_churn": "gross MRR churn", "net_churn": "net MRR churn",
    "customer_churn": "customer churn", "nrr": "NRR", "grr": "GRR",
}  # fmt: skip
MONEY = (*AMOUNTS, "net_new", "arpa", "ltv", "trial_mrr", "usage")
COLUMNS = 6
"""Periods that are shown side by side; the last ones."""


def metrics(
    by: ByPeriod = "month",
    first: From = None,
    last: To = None,
    currency: Currency = None,
    group_by: GroupBy = None,
    as_csv: AsCsv = False,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Show growth, churn, retention, ARPA, LTV and the rest by period, with the movements they are made of."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.revenue import metrics, names, renewals, reports
    from tidegate.revenue.periods import read_day
    from tidegate.revenue.source import group

    one_form(as_csv=as_csv, as_json=as_json)
    with opened() as hub, hub.engine.connect() as db:
        account = hub.account(connection)
        report = reports.opened(db, account.name, datetime.now(UTC), currency=currency, by=by, group=group(group_by))
        over = reports.window(report, read_day(first) if first else None, read_day(last) if last else None)
        rows = names.add(db, report, metrics.rows(db, report, over))
        columns = [*_flat((rows or names.add(db, report, [metrics.blank(report)]))[0])]
        statuses = renewals.by_status(db, report)
    document = {**report.head(), "by": by, "group_by": group_by, "rows": rows, "statuses": statuses}
    if as_json:
        show.document(document)
    else:
        _print(document, columns, as_csv=as_csv)


def _print(document: dict[str, Any], columns: Sequence[str], *, as_csv: bool) -> None:
    from tidegate.cli import amounts, show

    rows, statuses = document["rows"], document["statuses"]
    if as_csv:
        amounts.as_csv(columns, [_flat(row) for row in rows], MONEY)
    else:
        _tables(rows)
    if rows and statuses and not as_csv:
        show.line()
    if statuses and not as_csv:
        show.table(
            ["status", "subscriptions", "customers", "MRR"],
            [
                [row["status"], row["subscriptions"], row["customers"], amounts.money(row["mrr"], row["currency"])]
                for row in statuses
            ],
        )
    if not rows:
        show.remark("There is no recurring revenue yet.")
    amounts.say_doubts(document)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    nested = {name: row[name] for name in ("contacts", "movements")}
    contacts = {f"contacts_{name}": number for name, number in nested["contacts"].items()}
    return {name: value for name, value in row.items() if name not in nested} | contacts


def _tables(rows: list[dict[str, Any]]) -> None:
    """A table for each group and currency, with the last periods side by side."""
    from tidegate.cli import show

    series: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        series.setdefault((str(row.get("group", "")), row["currency"]), []).append(row)
    for number, those in enumerate(series.values()):
        shown = those[-COLUMNS:]
        if number:
            show.line()
        show.table(
            [
                called(shown[0]) if "group" in shown[0] else "",
                *(row["period"] + ("…" if row["running"] else "") for row in shown),
            ],
            list(_lines(shown)),
        )


def _lines(shown: list[dict[str, Any]]) -> list[list[str]]:
    from tidegate.cli.amounts import money, percent

    lines = [
        [words, *(money(row[name], row["currency"]) for row in shown)]
        for name, words in FIGURES.items()
        if name in shown[0] and (name in {"mrr", "net_new", "arr", "arpa"} or any(row[name] for row in shown))
    ]
    lines += [[words, *(percent(row[name]) for row in shown)] for name, words in RATIOS.items()]
    lines += [["quick ratio", *("–" if row["quick_ratio"] is None else f"{row['quick_ratio']:.2f}" for row in shown)]]
    lines += [["contacts", *(f"{row['contacts']['closing']:,}" for row in shown)]]
    return [*lines, ["subscriptions", *(f"{row['subscriptions']:,}" for row in shown)]]
