"""`tidegate tokens`: keys for the HTTP API."""

from dataclasses import asdict
from typing import Annotated

import typer

from tidegate.cli.options import AsJson

app = typer.Typer(help="Tokens for the HTTP API.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for, so that it can be told from others.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="entitlements, revenue, read (and revenue), operate (and read) or admin (and operate); may be "
            "repeated. [default: read]"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and show it, this once."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.operation import api_tokens

    scopes = scope or ["read"]
    with opened(may_migrate=True) as hub:
        number, token = api_tokens.create(hub.engine, name, scopes, person())
    if as_json:
        show.document({"id": number, "name": name, "scopes": scopes, "token": token})
    else:
        show.remark(f"Token {number} ({name}: {', '.join(scopes)}). It is not shown again:")
        show.line(token)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the tokens, revoked ones too."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.security import tokens

    with opened() as hub, hub.engine.connect() as db:
        found = tokens.listing(db)
    if as_json:
        show.document({"tokens": [asdict(one) for one in found]})
        return
    show.table(
        ["id", "name", "scopes", "created", "last used", "revoked"],
        [(one.id, one.name, ", ".join(one.scopes), one.created_at, one.last_used_at, one.revoked_at) for one in found],
    )


@app.command()
def revoke(
    number: Annotated[int, typer.Argument(metavar="ID", help="Its number, as `tidegate tokens list` shows.")],
    as_json: AsJson = False,
) -> None:
    """End a token for good."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.operation import api_tokens

    with opened(may_migrate=True) as hub:
        token = api_tokens.revoke(hub.engine, number, person())
    if as_json:
        show.document(asdict(token))
    else:
        show.line(f"Token {token.id} ({token.name}) is revoked.")
