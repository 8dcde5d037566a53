"""`tidegate usage`: what was consumed of features that name a meter in Stripe, and what of it is not told there."""

from typing import Annotated

import typer

from tidegate.cli.options import AsJson, ConnectionName

app = typer.Typer(help="Usage on its way to Stripe's meters.", no_args_is_help=True)

Numbers = Annotated[list[int], typer.Argument(metavar="NUMBER…", help="Of the debits, as `usage list` shows them.")]


@app.command("list")
def list_(
    state: Annotated[
        str | None,
        typer.Option(help="waiting, intended, sent, taken_back, failed, unknown or discarded; else all not told yet."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The oldest so many.")] = 50,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """List debits that are, or were, to be told to a meter, oldest first, and why they are not."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.entitlements import forwards

    chosen = None if state is None else forwards.state_named(state)
    with opened() as hub:
        livemode = hub.livemode(connection)
        with hub.engine.connect() as db:
            rows = forwards.listing(db, livemode, chosen, limit)
    if as_json:
        show.document({"usage": rows})
        return
    columns = ("id", "contact", "feature", "meter", "value", "at", "customer", "state", "error")
    show.table(["number", *columns[1:]], [[row[column] for column in columns] for row in rows])
    show.line(f"{len(rows):,} debits" + (f", the oldest {limit:,} (--limit)" if len(rows) == limit else ""))


@app.command()
def send(connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """Tell Stripe's meters now what is due, as a worker does every minute; ends with 1 when Stripe refused some."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.entitlements.usage_task import send_now

    with opened(may_migrate=True) as hub:
        account = hub.account(connection)
        done = send_now(hub.engine, account, hub.stripe_writing)
    if as_json:
        show.document({"connection": account.name, **done})
    else:
        told = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in done["counts"].items())
        show.line(f"{account.name}: {told or 'nothing is due'}; {done['waiting']:,} wait (`tidegate usage list`).")
    if done["counts"].get("failed") or done["counts"].get("unknown"):
        raise typer.Exit(1)


@app.command()
def retry(
    number: Annotated[
        list[int] | None,
        typer.Argument(metavar="NUMBER…", help="Also those of unknown outcome: look in Stripe first. Else all failed."),
    ] = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Let debits be told anew that Stripe refused."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.entitlements import forwards

    with opened(may_migrate=True) as hub:
        livemode = hub.livemode(connection)
        with hub.engine.begin() as db:
            count = forwards.retry(db, livemode, number or None)
    if as_json:
        show.document({"retried": count})
    else:
        show.line(f"{count:,} debits wait again. A worker tells them; without one, `tidegate usage send` does.")


@app.command()
def discard(number: Numbers, connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """Give up telling debits, or say of those of unknown outcome that Stripe has them; they stay listed."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.entitlements import forwards

    with opened(may_migrate=True) as hub:
        livemode = hub.livemode(connection)
        with hub.engine.begin() as db:
            count = forwards.discard(db, livemode, number)
    if as_json:
        show.document({"discarded": count})
    else:
        show.line(f"{count:,} debits discarded; {len(number) - count:,} were told, under way or unknown before.")
