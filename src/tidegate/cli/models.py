"""`tidegate models`: the queries that syncs read."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from tidegate.cli.options import AsJson

app = typer.Typer(help="Queries over sources, which syncs read.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(metavar="KEY", help="The model.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the models. They are made in tidegate.yaml or over HTTP."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.outbound import syncs

    with opened() as hub, hub.engine.connect() as db:
        found = syncs.every(db, "models")
    if as_json:
        show.document({"models": found})
        return
    show.table(
        ["key", "source", "primary key", "reads", "managed by"],
        [(one["key"], one["source"], ", ".join(one["primary_key"]), _reads(one), one["managed_by"]) for one in found],
    )


@app.command()
def preview(
    key: Key,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Rows to show.")] = 10,
    keys: Annotated[
        bool,
        typer.Option("--keys/--no-keys", help="Read it whole, to count its rows and find keys that are null or twice."),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Show a model's columns with their types and its first rows, and what is wrong with its keys (exit 1)."""
    from tidegate.cli import progress, show
    from tidegate.cli.hub import opened
    from tidegate.cli.progress import Step
    from tidegate.outbound import syncs
    from tidegate.workflows.outbound import sources

    with opened() as hub, progress.shown(alike=False) as tell:
        with hub.engine.connect() as db:
            model = syncs.model(db, key)
        found = sources.preview(
            hub.engine, model, hub.source_url, limit, keys=keys,
            progress=lambda count: tell(Step("rows read", count)),
        )  # fmt: skip
    if as_json:
        show.document(found)
    else:
        _say(found)
    if found["problems"]:
        raise typer.Exit(1)


def _say(found: dict[str, Any]) -> None:
    from tidegate.cli import show

    names = [column["name"] for column in found["columns"]]
    key = found["primary_key"]
    kinds = [(one["name"], one["type"], "primary key" if one["name"] in key else "") for one in found["columns"]]
    show.table(["column", "type", ""], kinds)
    show.table(names, [["–" if row[name] is None else str(row[name]) for name in names] for row in found["rows"]])
    if found["count"] is not None:
        show.line(f"{found['count']:,} rows")
    for problem in found["problems"]:
        show.line(f"A sync would not begin: {problem}")


def _reads(model: Mapping[str, Any]) -> str:
    said = " ".join(model["sql"].split()) or f"table {model['table_name']}"
    return said if len(said) <= 80 else f"{said[:79]}…"
