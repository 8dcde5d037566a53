"""`tidegate export`: the mirror, the ledger, billing events and contacts as Parquet or CSV files."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tidegate.cli.options import AsJson, ConnectionName


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Made when missing; one file per table.")],
    form: Annotated[Literal["parquet", "csv"], typer.Option("--format", help="Of the files.")] = "parquet",
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Write the mirror's tables, the ledger, billing events and contacts to files, read at one instant. Each connection
    needs a directory of its own.
    """
    from tidegate.cli import progress, show
    from tidegate.cli.hub import opened
    from tidegate.cli.progress import Step
    from tidegate.workflows.operation import export as workflow

    with opened() as hub, progress.shown() as tell:
        done = workflow.export(
            hub.engine,
            hub.account(connection),
            directory,
            form,
            lambda table, rows, ended: tell(Step(table, rows, done=ended)),
        )
    if as_json:
        show.document(done)
        return
    show.table(
        ["table", "rows", "size", "file"],
        [(one["table"], one["rows"], show.size(one["bytes"]), one["file"]) for one in done["tables"]],
    )
    rows = sum(one["rows"] for one in done["tables"])
    show.line(f"Exported {done['connection']}: {rows:,} rows in {show.duration(done['seconds'])}.")
