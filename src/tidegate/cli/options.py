"""Options that many commands share, spelt once."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document on stdout.")]
ConnectionName = Annotated[
    str | None, typer.Option("--connection", metavar="NAME", help="Which connection; one alone needs no name.")
]
Resources = Annotated[
    list[str] | None, typer.Option("--resource", metavar="NAME", help="Only this resource; may be repeated.")
]
SyncName = Annotated[str, typer.Argument(metavar="NAME", help="The sync.")]
