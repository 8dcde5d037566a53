"""`tidegate contacts suppress`, `unsuppress`, `suppressed`: contacts of which nobody is told."""

from typing import Annotated, Any

import typer

from tidegate.cli.options import AsJson, ConnectionName

app = typer.Typer()

Contact = Annotated[str, typer.Argument(metavar="CONTACT", help="Its id, present or former.")]


@app.command()
def suppress(
    contact: Contact,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for others.")],
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Tell no destination of a contact, and fire no action for it; what waits is taken back."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.contacts import contacts_suppress

    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        found = contacts_suppress.suppress(db, hub.livemode(connection), contact, reason, person())
    if as_json:
        show.document(found)
    else:
        show.line(f"Nobody is told of {found['contact']} any more; {found['taken_back']:,} deliveries are taken back.")


@app.command()
def unsuppress(contact: Contact, connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """Tell of it again, of what happens from now on, and how it is now."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.contacts import contacts_suppress

    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        found = contacts_suppress.unsuppress(db, hub.livemode(connection), contact, person())
    if as_json:
        show.document(found)
    else:
        show.line(f"{found['contact']} is told of again.")


@app.command()
def suppressed(connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """List the contacts of which nobody is told, and why."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.contacts import contacts_suppress

    with opened() as hub, hub.engine.connect() as db:
        found: list[dict[str, Any]] = contacts_suppress.listing(db, hub.livemode(connection))
    if as_json:
        show.document({"suppressed": found})
    else:
        show.table(["contact", "name", "why", "by", "since"], [list(one.values()) for one in found])
