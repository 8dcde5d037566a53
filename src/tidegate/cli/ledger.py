"""`tidegate ledger`: the movements of an exported ledger, derived on another engine."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.cli.options import AsJson


def ledger(
    source: Annotated[Path, typer.Option("--from", metavar="DIR", help="What `tidegate export` wrote, as Parquet.")],
    into: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where to write movements; new or empty.")],
    engine: Annotated[
        str, typer.Option("--engine", metavar="URL", help="Of Ibis, such as pyspark://?spark.master=local[4].")
    ] = "duckdb://",
    as_json: AsJson = False,
) -> None:
    """Derive the movements of exported spans on any engine that Ibis has, and compare them with the exported ones.

    Reads no database. Exit 1 when a row differs.
    """
    from tidegate.cli import show
    from tidegate.workflows.revenue.derive_ledger import derive

    told = derive(engine, source, into)
    if as_json:
        show.document(told)
    else:
        _say(told)
    if told["compared"] and not told["compared"]["equal"]:
        raise typer.Exit(1)


def _say(told: dict[str, Any]) -> None:
    from tidegate.cli import show

    show.table(
        ["currency", "kind", "amount", "rows"],
        [(one["currency"], one["kind"], _money(one["amount"], one["currency"]), one["rows"]) for one in told["sums"]],
    )
    show.line(
        f"Derived {told['connection']} on {told['engine']}: {told['movements']:,} movements of {told['spans']:,} "
        f"spans in {show.duration(told['seconds'])}, written to {told['to']}."
    )
    compared = told["compared"]
    if compared is None:
        show.line("There is nothing to compare them with: the export has no movements.parquet.")
    elif compared["equal"]:
        show.line(f"They are the exported ones, row for row ({compared['exported']:,}).")
    else:
        _say_differences(compared)


def _say_differences(compared: dict[str, Any]) -> None:
    from tidegate.cli import show

    derived, exported = compared["only_derived"], compared["only_exported"]
    show.line(f"DIFFERENT: {derived:,} rows are only derived, {exported:,} are only in the export.")
    show.table(
        ["only", "customer", "item", "day", "kind", "amount", "before", "after"],
        [
            [one["of"], one["customer"], one["item"], one["day"], one["kind"]]
            + [_money(one[name], one["currency"]) for name in ("amount", "opening", "closing")]
            for one in compared["rows"]
        ],
    )
    more = derived + exported - len(compared["rows"])
    if more > 0:
        show.line(f"… and {more:,} more.")


def _money(amount: int, currency: str) -> str:
    """Of millionths of a minor unit."""
    from tidegate.cli.amounts import money
    from tidegate.revenue.rounding import whole

    return money(whole(amount), currency)
