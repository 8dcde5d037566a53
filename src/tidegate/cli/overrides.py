"""`tidegate overrides`: what a person gives a contact beside Stripe."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from tidegate.cli.entitlements import ContactRef
from tidegate.cli.options import AsJson, ConnectionName

app = typer.Typer(help="What people give contacts beside Stripe.", no_args_is_help=True)

Moment = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], metavar="TIME", help="UTC; for good without."),
]


@app.command()
def grant(
    contact: ContactRef,
    package: Annotated[
        str | None, typer.Option(metavar="KEY", help="Give this package, in its newest version.")
    ] = None,
    feature: Annotated[str | None, typer.Option(metavar="KEY", help="Give this feature.")] = None,
    terms: Annotated[
        str | None,
        typer.Option(
            metavar="JSON", help="Of the feature: 100, '{\"limit\": 100}', '\"unlimited\"', '{\"value\": …}'."
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Instead of all that else gives the feature.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; shown with every answer that it counts in.")] = "",
    until: Moment = None,
    priority: Annotated[int, typer.Option(metavar="N", help="Of several, the highest is used up first.")] = 0,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Give a contact a package, or a feature on terms of its own."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.entitlements.entitlements import give

    what: dict[str, Any] = {
        "package": package,
        "feature": feature,
        "terms": read(terms),
        "operation": "replace" if replace else "add",
        "reason": reason,
        "expires_at": until.replace(tzinfo=UTC) if until is not None else None,
        "priority": priority,
    }
    with opened(may_migrate=True) as hub:
        given = give(hub.engine, hub.livemode(connection), contact, by=person(), **what)
    if as_json:
        show.document(given)
    else:
        show.line(f"Override {given['id']}: {given['contact']} has {given['package'] or given['feature']}.")


@app.command()
def revoke(
    number: Annotated[int, typer.Argument(metavar="ID", help="Its number, as `tidegate overrides list` shows.")],
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """End an override at once; what other sources give stays."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.entitlements import entitlements as workflow

    with opened(may_migrate=True) as hub:
        ended = workflow.revoke(hub.engine, hub.livemode(connection), number, person())
    if as_json:
        show.document(ended)
    else:
        show.line(f"Override {number} of {ended['contact']} is revoked.")


@app.command("list")
def list_(
    contact: Annotated[str | None, typer.Argument(metavar="CONTACT", help="Only of this one, ended ones too.")] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Those that are over or revoked, too.")] = False,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """List the overrides in force, soonest to expire first."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.entitlements.entitlements import every_override, overrides_of

    with opened() as hub:
        livemode = hub.livemode(connection)
        if contact is not None:
            found = overrides_of(hub.engine, livemode, contact)
        else:
            found = every_override(hub.engine, livemode, ended=ended)
    if as_json:
        show.document({"overrides": found})
        return
    head = ["id", "contact", "gives", "terms", "until", "by", "reason", "revoked"]
    rows = [_row(one) for one in found]
    show.table(head, rows)


def read(terms: str | None) -> Any:
    """Terms as they were typed. Raises UsageError for what is no JSON."""
    from tidegate.errors import UsageError

    if terms is None:
        return None
    try:
        return json.loads(terms)
    except ValueError as error:
        raise UsageError(problem=f"--terms is no JSON: {error}. Write a number, or an object in quotes.") from error


def _row(one: dict[str, Any]) -> list[Any]:
    gives = one["package"] or one["feature"]
    return [str(one["id"]), one["contact"], gives, _terms(one), *(one[name] for name in _SHOWN)]


_SHOWN = ("expires_at", "by", "reason", "revoked_at")


def _terms(one: dict[str, Any]) -> str:
    from tidegate.entitlements.words import gift

    operation = "instead: " if one["operation"] == "replace" else ""
    return operation + gift(one["gives"]) if one["feature"] else f"version {one['version']}"
