"""`tidegate stages report` and `tidegate stages drivers`: the lifecycle in figures, and what goes with conversions."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from tidegate.cli.options import AsJson, ConnectionName

First = Annotated[str | None, typer.Option("--from", metavar="DAY", help="Else 90 days before the last; days are UTC.")]
Last = Annotated[str | None, typer.Option("--to", metavar="DAY", help="Else today.")]
SHOWN = 25
"""Drivers in the table; all of them in JSON."""


def report(first: First = None, last: Last = None, connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """Show moves between stages, time in each, MRR by stage, trials, and who is at risk for which reason."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.revenue.periods import read_day
    from tidegate.workflows.lifecycle.lifecycle_report import lifecycle_report

    with opened() as hub:
        found = lifecycle_report(
            hub.engine,
            hub.livemode(connection),
            read_day(first) if first else None,
            read_day(last) if last else None,
        )
    if as_json:
        show.document(found)
    else:
        _print(found)


def _print(told: dict[str, Any]) -> None:
    from tidegate.cli import amounts, show

    highest = max((one["contacts"] for one in told["stages"]), default=0)
    rows = [
        (
            *(one["name"], one["contacts"], amounts.bar(one["contacts"], highest), _money(one["mrr"])),
            *(one["entered"], one["left"], _days(one["median_days"]), _days(one["p90_days"])),
        )
        for one in told["stages"]
    ]
    if told["without_contact"]:
        rows.append(("(no contact)", "", "", _money(told["without_contact"]), "", "", "", ""))
    columns = ["stage", "contacts", "", "MRR", "entered", "left", "median days", "90 %"]
    show.table(
        columns,
        [*rows, ("all", sum(one["contacts"] for one in told["stages"]), "", _money(told["mrr"]), "", "", "", "")],
    )
    show.line()
    moved = [(one["from"], one["to"], one["contacts"], amounts.percent(one["share"])) for one in told["moves"]]
    show.table([f"from, {told['from']} to {told['to']}", "to", "contacts", "of those that left"], moved)
    trials = told["trials"]
    show.line()
    show.line(
        f"Trials begun: {trials['trials']:,}; {trials['converted']:,} converted, {trials['ended']:,} ended, "
        f"{trials['running']:,} run: {amounts.percent(trials['conversion'])} of those that are over."
    )
    risk = told["at_risk"]
    show.line()
    show.table(
        ["at risk because", "contacts", "MRR"],
        [(one["reason"], one["contacts"], _money(one["mrr"])) for one in risk["reasons"]]
        + [("any of them", risk["contacts"], _money(risk["mrr"]))],
    )


def _money(amounts_: Sequence[dict[str, Any]]) -> str:
    from tidegate.cli import amounts

    return ", ".join(amounts.money(one["mrr"], one["currency"]) for one in amounts_)


def _days(days: float | None) -> str:
    return "–" if days is None else f"{days:,.1f}"


def drivers(
    of: Annotated[
        Literal["trial", "free"], typer.Option("--of", help="Those that began a trial, or came free.")
    ] = "trial",
    first: First = None,
    last: Last = None,
    usage_days: Annotated[
        int, typer.Option(min=1, max=365, metavar="N", help="Days from the beginning in which usage and actions count.")
    ] = 14,
    within_days: Annotated[
        int, typer.Option(min=1, max=3650, metavar="N", help="Days in which paying is a conversion.")
    ] = 90,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Show which contacts convert: by property, and by usage and actions in the first days; each against all others."""
    from tidegate.cli import amounts, show
    from tidegate.cli.hub import opened
    from tidegate.revenue.periods import read_day
    from tidegate.workflows.lifecycle.lifecycle_report import conversion_drivers

    with opened() as hub:
        found = conversion_drivers(
            hub.engine,
            hub.livemode(connection),
            of,
            read_day(first) if first else None,
            read_day(last) if last else None,
            usage_days=usage_days,
            within_days=within_days,
        )
    if as_json:
        show.document(found)
        return
    show.line(
        f"{found['contacts']:,} contacts, {found['converted']:,} converted: {amounts.percent(found['rate'])}. Of "
        f"{found['running']:,} more it is not decided yet."
    )
    rows = [_driver(one) for one in found["drivers"][:SHOWN]]
    show.table(["by", "what", "contacts", "converted", "rate", "95 %", "others", "lift", ""], rows)
    if len(found["drivers"]) > SHOWN:
        show.line(f"{len(found['drivers']) - SHOWN:,} more: --json")
    show.remark(found["warning"])


def _driver(one: dict[str, Any]) -> tuple[Any, ...]:
    from tidegate.cli.amounts import percent

    lift = "–" if one["lift"] is None else f"{one['lift']:.2f} ×"
    between = f"{one['low'] * 100:.0f} to {one['high'] * 100:.0f} %"
    what = f"{one['name']}: {one['value']}" + (", against its hold-out" if one["against"] == "hold_out" else "")
    told = (one["by"], what, one["contacts"], one["converted"], percent(one["rate"]), between)
    return (*told, percent(one["others"]["rate"]), lift, "too few" if one["small"] else "")
