"""`tidegate inbox`: the events of Stripe that wait or failed; look at them, try them again, give them up."""

from typing import Annotated, Literal

import typer

from tidegate.cli.options import AsJson, ConnectionName

app = typer.Typer(help="Events of Stripe that wait or failed.", no_args_is_help=True)

Events = Annotated[list[str], typer.Argument(metavar="EVENT…", help="Ids, evt_….")]


@app.command("list")
def list_(
    state: Annotated[
        Literal["waiting", "parked", "handled", "skipped"] | None,
        typer.Option(help="Only these; without it the waiting and the parked ones."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """List events, newest first."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.mirror import inbox

    with opened() as hub:
        account = hub.account(connection)
        with hub.engine.connect() as db:
            rows = inbox.listing(db, account.name, state, limit)
    if as_json:
        show.document({"connection": account.name, "events": [dict(row) for row in rows]})
        return
    columns = ("event_id", "type", "state", "source", "received_at", "attempts", "error")
    show.table(columns, [[row[column] for column in columns] for row in rows])
    show.line(f"{len(rows):,} events" + (f", the newest {limit:,} (--limit)" if len(rows) == limit else ""))


@app.command("show")
def show_(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Its id, evt_….")],
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Show one event: what became of it, and its body."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.mirror import events_by_hand

    with opened() as hub, hub.engine.connect() as db:
        row = events_by_hand.show(db, hub.account(connection).name, event)
    if as_json:
        show.document(dict(row))
        return
    for name, value in row.items():
        if name != "body":
            show.line(f"{name}: {show.cell(value)}")
    show.line(row["body"])


@app.command()
def replay(
    event: Annotated[
        list[str] | None, typer.Argument(metavar="EVENT…", help="Ids, evt_…, whatever their state.")
    ] = None,
    parked: Annotated[bool, typer.Option("--parked", help="All that are parked.")] = False,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Let a worker handle events again, at once."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.errors import UsageError
    from tidegate.workflows.mirror import events_by_hand

    if bool(event) == parked:
        raise UsageError(problem="Say which events to replay: their ids, or --parked for all that are parked.")
    with opened(may_migrate=True) as hub:
        account = hub.account(connection)
        count = events_by_hand.replay(hub.engine, account.name, event or None, person())
    if as_json:
        show.document({"connection": account.name, "replayed": count})
    else:
        waiting = "1 event waits" if count == 1 else f"{count:,} events wait"
        show.line(f"{waiting} again. A worker handles them; without one, `tidegate catch-up` does.")


@app.command()
def discard(event: Events, connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """Give up events that wait or are parked; they stay listed as skipped."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.mirror import events_by_hand

    with opened(may_migrate=True) as hub:
        account = hub.account(connection)
        count = events_by_hand.discard(hub.engine, account.name, event, person())
    if as_json:
        show.document({"connection": account.name, "discarded": count})
    else:
        show.line(f"{count:,} events discarded; {len(event) - count:,} were handled or skipped before.")
