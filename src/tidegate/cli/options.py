"""Options that many commands share, spelt once."""

from collections.abc import Iterable
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document on stdout.")]
ConnectionName = Annotated[
    str | None, typer.Option("--connection", metavar="NAME", help="Which connection; one alone needs no name.")
]
AsCsv = Annotated[bool, typer.Option("--csv", help="Answer as CSV with a header; amounts are decimals.")]
Choices = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Another choice for one setting; may be repeated."),
]
Resources = Annotated[
    list[str] | None, typer.Option("--resource", metavar="NAME", help="Only this resource; may be repeated.")
]
SyncName = Annotated[str, typer.Argument(metavar="NAME", help="The sync.")]


def one_form(*, as_csv: bool, as_json: bool) -> None:
    """Refuses an answer in two forms at once."""
    from tidegate.errors import UsageError

    if as_csv and as_json:
        raise UsageError(problem="Use --csv or --json, not both.")


def chosen(choices: Iterable[str] | None) -> dict[str, str]:
    """Choices of `--set` by the names of their settings. Raises PolicyInvalid for one that is no NAME=VALUE."""
    from tidegate.errors import PolicyInvalid

    found: dict[str, str] = {}
    for choice in choices or ():
        name, sign, value = choice.partition("=")
        if not sign:
            raise PolicyInvalid(problem=f"--set {choice} is no NAME=VALUE.")
        found[name.strip()] = value.strip()
    return found
