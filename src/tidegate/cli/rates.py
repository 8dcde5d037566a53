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
    from tidegate.errors import UsageError

    try:
        body = file.read_bytes()
    except OSError as error:
        raise UsageError(problem=f"{file} cannot be read: {error.strerror}.") from error
    _take(body, file.name, per.lower(), as_json=as_json)


@app.command()
def fetch(
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="Of a file such as `import` takes.")
    ] = "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.zip",
    as_json: AsJson = False,
) -> None:
    """Get the European Central Bank's rates, which it publishes every working day; for a daily job."""
    import httpx

    from tidegate.errors import RatesInvalid

    try:
        answer = httpx.get(url, timeout=30, follow_redirects=True).raise_for_status()
    except httpx.HTTPError as error:
        raise RatesInvalid(where=url, problem=f"it could not be fetched ({error})") from error
    _take(answer.content, url.rpartition("/")[2], "eur", as_json=as_json)


def _take(body: bytes, name: str, per: str, *, as_json: bool) -> None:
    """Stores the rates of a file and says how many were new."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.revenue import rate_files
    from tidegate.workflows.revenue import exchange_rates

    rates = rate_files.read(body, name, per)
    days = [day for those in rates.values() for day in those]
    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        written = exchange_rates.take(db, rates, name)
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
        show.line(f"There are no rates in {name}.")
