"""`tidegate destinations`: where events and contacts are sent, and what became of it."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli import suppressed_properties
from tidegate.cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(help="Send events and contacts to where they are used.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(metavar="KEY", help="What the destination is called.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the destinations with how they stand; secrets are never shown."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.delivery import destinations

    with opened() as hub, hub.engine.connect() as db:
        found = destinations.listing(db)
    if as_json:
        show.document({"destinations": found})
        return
    columns = ["key", "kind", "state", "delivered", "waiting", "dead", "last error", "managed by"]
    names = ("key", "kind", "state", "delivered", "waiting", "dead", "error", "managed_by")
    show.table(columns, [[one[name] for name in names] for one in found])


@app.command()
def add(
    key: Key,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND", help="webhook, apprise, kissmetrics, segment, hubspot, http, files or warehouse."
        ),
    ],
    said: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=YAML", help="An option, such as url=https://… or events=[billing_event.*]."
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="NAME=VARIABLE", help="A secret option that the environment holds."),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option("--secret", metavar="NAME", help="A secret option, asked for, or read from stdin, a line each."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a destination, or replace one. Secrets are encrypted; a webhook without `secrets` is given a new one, which
    is shown this once.
    """
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.settings import environment
    from tidegate.workflows.delivery import destinations

    options, variables = _options(said or (), env or (), secret or (), environment())
    made = ""
    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        if kind == "webhook" and "secrets" not in options and not destinations.exists(db, key):
            made = destinations.made_secret()
            options["secrets"] = [made]
        destinations.define(db, key, kind, options, person(), variables=variables, vault=lambda: hub.vault)
        known = destinations.shown(db, key)
    if as_json:
        show.document(known | ({"secret": made} if made else {}))
        return
    show.line(f"Destination {key} is sent what is told from now on; `tidegate destinations test {key}` tries it.")
    if made:
        show.line(f"Its signing secret, shown this once: {made}")


@app.command("test")
def try_(key: Key, as_json: AsJson = False) -> None:
    """Send a sample now. Exit 1 when it is not taken, 3 when nobody answers."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.delivery import destinations_tried

    with opened() as hub:
        with hub.engine.connect() as db:
            destination = hub.destination(db, key)
            message = destinations_tried.sample(db, destination)
        done = destinations_tried.test(destination, message)
    if as_json:
        show.document(done)
    else:
        status = f" (HTTP {done['status']})" if done["status"] else ""
        show.line(f"{key} took {done['type']} {done['id']}{status}.")


@app.command()
def preview(
    key: Key,
    contact: Annotated[
        str | None, typer.Option("--contact", metavar="ID", help="Of this contact, also how it is now.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show what would be sent next, exactly; nothing is sent."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.contacts import directory
    from tidegate.workflows.delivery import destinations_tried

    with opened() as hub, hub.engine.connect() as db:
        whose = directory.find(db, hub.livemode(), contact).key if contact is not None else None
        found = destinations_tried.preview(db, hub.destination(db, key), whose, limit)
    if as_json:
        show.document({"destination": key, "messages": found})
        return
    for one in found:
        show.line(f"{one['type']}  {one['contact'] or ''}  {one['id']}")
        for request in one.get("requests", ()):
            show.line(f"  {request['method']} {request['url']}")
            for name, value in request["headers"].items():
                show.line(f"  {name}: {value}")
            if request["body"] is not None:
                show.line(f"  {request['body']}")
        if "written" in one:
            show.line(f"  {one['written']}")
    if not found:
        show.line(f"Nothing waits for {key}.")


@app.command()
def backfill(
    key: Key,
    begin: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], metavar="DATE", help="Events from this day (UTC) on; else none."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without being asked.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send the past: events since a day, and every contact as it is. Says how many first, and asks."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.delivery import destinations_past
    from tidegate.workflows.doorbell import Doorbell

    since = begin.replace(tzinfo=UTC) if begin is not None else None
    with opened(may_migrate=True) as hub:
        with hub.engine.connect() as db:
            found = destinations_past.backfill(db, hub.destination(db, key), since, person(), only_preview=True)
        if not yes and not as_json:
            events = found["billing_events"] + found["events"]
            show.line(f"{events:,} events and {found['contacts']:,} contacts would be sent to {key}.")
            if not sys.stdin.isatty():
                show.line("Nothing was sent: say --yes.")
                return
            typer.confirm("Send them?", abort=True, err=True)
        if yes or not as_json:
            with hub.engine.begin() as db:
                found = destinations_past.backfill(db, hub.destination(db, key), since, person(), only_preview=False)
                Doorbell(hub.engine).ring("deliver", connection="", db=db)
    if as_json:
        show.document(found)
    else:
        show.line("They are due now; a worker sends them.")


@app.command()
def pause(key: Key, as_json: AsJson = False) -> None:
    """Send it nothing from now on; what is told goes on waiting for it."""
    _change("pause", key, as_json)


@app.command()
def resume(key: Key, as_json: AsJson = False) -> None:
    """Send it what waits, in its order."""
    _change("resume", key, as_json)


def _change(verb: str, key: str, as_json: bool) -> None:
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.delivery import destinations
    from tidegate.workflows.doorbell import Doorbell

    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        if verb == "pause":
            found = destinations.pause(db, key, person())
        else:
            found = destinations.resume(db, key, person())
            Doorbell(hub.engine).ring("deliver", connection="", db=db)
    if as_json:
        show.document(found)
    else:
        show.line(f"{key} is {found['state']}; {found['waiting']:,} deliveries wait.")


@app.command()
def dead(
    key: Key,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show the dead letters of a destination: what it refused for good, and why."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.delivery import backlog
    from tidegate.workflows.delivery import destinations

    with opened() as hub, hub.engine.connect() as db:
        destinations.shown(db, key)
        found = backlog.dead(db, key, limit=limit)
    if as_json:
        show.document({"destination": key, "dead": found})
        return
    columns = ["delivery", "type", "contact", "status", "error", "tries", "died at"]
    names = ("delivery", "type", "contact", "status", "error", "attempts", "died_at")
    show.table(columns, [[one[name] for name in names] for one in found])


@app.command()
def replay(
    key: Key,
    delivery: Annotated[
        list[int] | None, typer.Option("--delivery", metavar="N", help="Only this dead letter; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send dead letters again, under the ids that they had."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.delivery import destinations
    from tidegate.workflows.doorbell import Doorbell

    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        count = destinations.replay(db, key, person(), delivery)
        Doorbell(hub.engine).ring("deliver", connection="", db=db)
    if as_json:
        show.document({"destination": key, "replayed": count})
    else:
        show.line(f"{count:,} dead letters of {key} are due again.")


@app.command()
def remove(key: Key, as_json: AsJson = False) -> None:
    """Remove a destination with all that waits for it."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.delivery import destinations

    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        found = destinations.remove(db, key, person())
    if as_json:
        show.document({"destination": key, "removed": True, **found})
    else:
        show.line(f"Destination {key} is removed, with {found['waiting']:,} deliveries that waited.")


def _options(
    said: "list[str] | tuple[str, ...]",
    env: "list[str] | tuple[str, ...]",
    secret: "list[str] | tuple[str, ...]",
    environment: "Mapping[str, str]",
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options by name, and the variables that some of them come from."""
    from tidegate.errors import UsageError
    from tidegate.workflows.config.config_yaml import value_of

    options: dict[str, Any] = dict(value_of(one, "--set") for one in said)
    variables: dict[str, Any] = {}
    for one in env:
        name, sign, variable = one.partition("=")
        if not sign or variable not in environment:
            raise UsageError(problem=f"--env {one}: say NAME=VARIABLE, of a variable that is set.")
        variables[name] = {"env": variable}
        options[name] = environment[variable]
    for name in secret:
        if sys.stdin.isatty():
            options[name] = str(typer.prompt(name, hide_input=True, err=True))
        else:
            options[name] = sys.stdin.readline().strip()
    return options, variables


app.registered_commands += suppressed_properties.app.registered_commands
