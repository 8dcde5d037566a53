"""`tidegate alerts`: what needs somebody, what people did about it, where alerts go, and digests of them."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from tidegate.cli import alert_routes
from tidegate.cli.options import AsJson, ConnectionName

app = typer.Typer(help="Alerts of contacts and of the hub itself.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(metavar="ID", help="Its number, as `tidegate alerts list` shows it.")]


@app.command("list")
def list_(
    rule: Annotated[str, typer.Option("--rule", metavar="KEY", help="Only of this rule.")] = "",
    owner: Annotated[str | None, typer.Option(metavar="KEY", help="Only of this owner's contacts.")] = None,
    system: Annotated[bool, typer.Option("--system", help="Those of the hub itself, in place of contacts'.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Also those that are dismissed or resolved.")] = False,
    connection: ConnectionName = None,
    after: Annotated[int | None, typer.Option(metavar="ID", help="Those before this one, for the next page.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: AsJson = False,
) -> None:
    """List the alerts that stand, newest first."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.lifecycle import alerts, listing, system_alerts

    states = (*alerts.STANDING, "dismissed", "resolved") if all_ else alerts.STANDING
    with opened() as hub, hub.engine.connect() as db:
        mode = None if system else hub.livemode_if_any(connection)
        found = listing.alerts(
            db, states=states, rule=rule, owner=owner, livemode=mode, system=system, after=after, limit=limit
        )
        others = 0 if system else len(system_alerts.standing(db))
    if as_json:
        told = [listing.referred(one) for one in found]
        show.document({"alerts": told, "next": found[-1]["id"] if len(found) == limit else None})
        return
    rows = [
        (
            one["id"],
            one["rule"],
            one["state"],
            one["subject"] or one["name"] or one["contact"],
            one["owner"],
            one["routed_to"],
            one["opened_at"],
            "; ".join(one["reasons"]),
        )
        for one in found
    ]
    columns = ["id", "rule", "state", "subject" if system else "contact", "owner", "told", "since", "why"]
    show.table(columns, rows)
    show.line(f"{len(found):,} alerts" if found else "Nothing needs anybody.")
    if others:
        show.line(f"{others:,} alerts of the hub itself: `tidegate alerts list --system`")


@app.command()
def rules(as_json: AsJson = False) -> None:
    """List the rules and what is set of each; `alerts:` in tidegate.yaml sets it."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.lifecycle.lifecycle_settings import shown

    with opened() as hub, hub.engine.connect() as db:
        found = shown(db)["alerts"]
    if as_json:
        show.document({"rules": found})
        return
    rows = [
        (one["rule"], one["name"], one["enabled"], one.get("days", ""), one.get("interval_months", "")) for one in found
    ]
    show.table(["rule", "name", "enabled", "days", "interval, months"], rows)


@app.command()
def ack(number: Number, as_json: AsJson = False) -> None:
    """Say that somebody looks after it."""
    _move(number, "acknowledged", as_json=as_json)


@app.command()
def snooze(
    number: Number,
    until: Annotated[
        datetime,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], metavar="TIME", help="UTC."),
    ],
    as_json: AsJson = False,
) -> None:
    """Put it aside until a time; resolved by the facts before that it stays so."""
    _move(number, "snoozed", until=until.replace(tzinfo=UTC), as_json=as_json)


@app.command()
def dismiss(
    number: Number,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for others.")],
    as_json: AsJson = False,
) -> None:
    """Put it aside for good: the same occurrence does not open it again."""
    _move(number, "dismissed", note=reason, as_json=as_json)


@app.command()
def note(
    number: Number,
    words: Annotated[str, typer.Argument(metavar="TEXT", help="In place of what was noted before.")],
    as_json: AsJson = False,
) -> None:
    """Write beside it what others should know; its state stays."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.lifecycle import alerts
    from tidegate.workflows.lifecycle.lifecycle import now

    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        alerts.write_note(db, number, words, person(), now(db))
    if as_json:
        show.document({"alert": number, "note": words.strip()})
    else:
        show.line(f"Noted beside alert {number}.")


@app.command()
def reopen(number: Number, as_json: AsJson = False) -> None:
    """Undo what people did about it."""
    _move(number, "open", as_json=as_json)


def _move(
    number: int,
    state: Literal["acknowledged", "snoozed", "dismissed", "open"],
    *,
    until: datetime | None = None,
    note: str = "",
    as_json: bool,
) -> None:
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.lifecycle import alerts
    from tidegate.workflows.lifecycle.lifecycle import now

    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        alerts.move(db, number, state, person(), now(db), until=until, note=note)
    if as_json:
        show.document({"alert": number, "state": state})
    else:
        show.line(f"Alert {number} is {state}.")


app.registered_commands += alert_routes.app.registered_commands
