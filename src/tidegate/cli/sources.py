"""`tidegate sources`: warehouses, databases and files that outbound reads."""

import sys
from typing import Annotated

import typer

from tidegate.cli.options import AsJson

app = typer.Typer(help="Warehouses, databases and files that syncs read.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(metavar="KEY", help="What models call it.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the sources; passwords are never shown."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.outbound import syncs

    with opened() as hub, hub.engine.connect() as db:
        found = syncs.every(db, "sources")
    if as_json:
        show.document({"sources": found})
        return
    show.table(["key", "url", "managed by"], [(one["key"], one["url"], one["managed_by"]) for one in found])


@app.command()
def add(
    key: Key,
    url: Annotated[
        str,
        typer.Argument(
            metavar="[URL|-]",
            help="postgresql://…, duckdb:///data.duckdb, sqlite:///data.db, a folder of Parquet, CSV and JSON files, "
            "tidegate:// (the hub's own tables), mysql://…, bigquery://…, snowflake://…, redshift://…, "
            "databricks://…, clickhouse://…; - reads it from stdin.",
        ),
    ] = "",
    env: Annotated[str, typer.Option("--env", metavar="NAME", help="The variable that holds the URL instead.")] = "",
    test: Annotated[bool, typer.Option("--test/--no-test", help="Ask it something before it is kept.")] = True,
    as_json: AsJson = False,
) -> None:
    """Add a source, or replace one. A URL with a password is encrypted; give it by `-`, a prompt or --env."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.outbound import outbound_changes, sources

    if not url and not env and sys.stdin.isatty():
        url = str(typer.prompt("URL", hide_input=True, err=True))
    said = sys.stdin.readline().strip() if url == "-" else url
    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        known = outbound_changes.define_source(db, key, said, env, lambda: hub.vault, person())
        if test:
            sources.tried(hub.engine, db, key, hub.source_url)
    if as_json:
        show.document(known)
    else:
        show.line(f"Source {key}: {known['url']}{' answers' if test else ''}.")


@app.command("test")
def ask(key: Key, as_json: AsJson = False) -> None:
    """Ask a source for a row of a model over it, or just whether it is there."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.outbound import sources

    with opened() as hub, hub.engine.connect() as db:
        found = sources.tried(hub.engine, db, key, hub.source_url)
    if as_json:
        show.document(found)
    else:
        show.line(f"Source {key} ({found['url']}) answers; asked for {found['asked']}.")


@app.command()
def remove(key: Key, as_json: AsJson = False) -> None:
    """Remove a source that no model names."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.outbound import outbound_changes

    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        outbound_changes.remove(db, "sources", key, person())
    if as_json:
        show.document({"source": key, "removed": True})
    else:
        show.line(f"Source {key} is removed.")
