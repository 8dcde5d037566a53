"""`tidegate features`: what the product can do, be configured to, or count."""

from typing import Any

import typer

from tidegate.cli.options import AsJson

app = typer.Typer(help="Features of the catalog.", no_args_is_help=True)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the features; tidegate.yaml, the API and `tidegate mappings suggest` make them."""
    from tidegate.catalog import features
    from tidegate.cli import show
    from tidegate.cli.hub import opened

    with opened() as hub, hub.engine.connect() as db:
        found = features.every(db)
    if as_json:
        show.document({"features": found})
        return
    rows = [(*(one[name] for name in ("key", "type", "unit")), _reset(one), one["meter"], one["name"]) for one in found]
    show.table(["key", "type", "unit", "reset", "meter", "name"], rows)
    show.line(f"{len(found):,} features" if found else "No features yet: `tidegate mappings suggest` proposes some.")


def _reset(one: dict[str, Any]) -> str:
    return one["reset"] if one["type"] == "metered" else ""
