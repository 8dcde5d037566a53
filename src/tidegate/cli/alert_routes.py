"""`tidegate alerts route`, `tidegate alerts digest`: where alerts go that no owner is sent, and what digests say."""

from typing import Annotated, Any, Literal

import typer

from tidegate.cli.options import AsJson

app = typer.Typer()


@app.command()
def route(
    destination: Annotated[
        str | None, typer.Argument(metavar="DESTINATION", help="Where to from now on; without one it is shown.")
    ] = None,
    digest: Annotated[
        Literal["none", "daily", "weekly"] | None, typer.Option(help="A digest of everything, sent there.")
    ] = None,
    hour: Annotated[int | None, typer.Option(min=0, max=23, help="Of all digests, in the time zone.")] = None,
    time_zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Such as Europe/Paris; without one the connection's.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Let alerts that no owner is sent go nowhere.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show or set the default route: where alerts go whose owner has no destination, and those of the hub itself."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.lifecycle import routes
    from tidegate.lifecycle.routes import Route
    from tidegate.workflows.lifecycle import people

    changes = remove or any(one is not None for one in (destination, digest, hour, time_zone))
    with opened(may_migrate=changes) as hub:
        with hub.engine.connect() as db:
            found = routes.load(db)
        if changes:
            said = found.digest if digest is None else "" if digest == "none" else digest
            wanted = Route(
                "" if remove else found.destination if destination is None else destination,
                "" if remove else said,
                found.hour if hour is None else hour,
                time_zone or found.time_zone,
            )
            found = people.put_route(hub.engine, wanted, person())
    if as_json:
        show.document(found.as_json())
    elif not found.destination:
        show.line("Alerts that no owner is sent go nowhere: `tidegate alerts route DESTINATION` names a destination.")
    else:
        digests = f", with a {found.digest} digest" if found.digest else ", without a digest"
        show.line(f"Alerts that no owner is sent go to {found.destination}{digests}.")
        zone = found.time_zone or "in the connection's time zone"
        show.line(f"Digests are made at {found.hour}:00 {zone}.")


@app.command()
def digest(
    preview: Annotated[bool, typer.Option("--preview", help="Show what the next one would say up to now.")] = False,
    owner: Annotated[str, typer.Option(metavar="KEY", help="Of this owner; without one of everybody.")] = "",
    send: Annotated[bool, typer.Option("--send", help="Send it now: what happened since the last one.")] = False,
    weekly: Annotated[bool, typer.Option("--weekly", help="Preview that of the week, not of the day.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the digests that were made, preview the next one, or send it now."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.lifecycle import digests
    from tidegate.workflows.lifecycle import people
    from tidegate.workflows.operation.watch import preview_digest

    found: Any
    with opened(may_migrate=send) as hub:
        if send and not preview:
            found = people.send_digest(hub.engine, owner, person())
        elif preview:
            found = preview_digest(hub.engine, owner, "weekly" if weekly else "daily")
        else:
            with hub.engine.connect() as db:
                found = {"digests": digests.listing(db, owner or None)}
    if as_json:
        show.document(found)
    elif send and not preview:
        show.line(f"Sent by {found['destination']}: what happened since {found['since']:%Y-%m-%d %H:%M} UTC.")
    elif preview:
        show.line(found["title"])
        show.line()
        show.line(found["text"].rstrip())
    else:
        names = ("recipient", "period", "since", "until", "destination", "made_at")
        rows = [[one[name] or "everybody" for name in names] for one in found["digests"]]
        show.table(["of", "period", "since", "until", "sent to", "made at"], rows)
        show.line(f"{len(rows):,} digests" if rows else "None was made yet; `--preview` shows what one would say.")
