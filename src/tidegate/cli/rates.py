"""`tidegate rates`: exchange rates of your own, or newer ones than come along."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.options import AsJson

app = typer.Typer(help="Exchange rates for reports in one currency.", no_args_is_help=True)


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The European Central Bank's file, or CSV with date, currency, rate.")
    ],
    per: Annotated[
        str, typer.Option("--per", metavar="C", help="The rates are for one unit of this currency.")
    ] = "eur",
    as_json: AsJson = False,
) -> None:
    """Take rates from a file; they hold over those that come along, and a second time changes nothing."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.errors import UsageError
    from tidegate.revenue import rate_files

    try:
        body = file.read_bytes()
    except OSError as error:
        raise UsageError(problem=f"{file} cannot be read: {error.strerror}.") from error
    rates = rate_files.read(body, file.name, per.lower())
    days = [day for those in rates.values() for day in those]
    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        written = rate_files.store(db, rates, file.name)
    told = (
        {"currencies": len(rates), "from": min(days), "to": max(days), "written": written} if days else {"written": 0}
    )
    if as_json:
        show.document(told)
    elif days:
        show.line(
            f"{len(rates):,} currencies from {min(days)} to {max(days)}: {written:,} rates written, the rest was known."
        )
    else:
        show.line(f"There are no rates in {file}.")
