"""`tidegate destinations suppress`, `unsuppress`, `suppressed`: properties that no destination is told."""

from typing import Annotated

import typer

from tidegate.cli.options import AsJson

app = typer.Typer()

Name = Annotated[
    str, typer.Argument(metavar="PROPERTY", help="Such as mrr, properties.tier, customer.phone or 'Product Name'.")
]


@app.command()
def suppress(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for others.")],
    as_json: AsJson = False,
) -> None:
    """Tell no destination of a property, whatever it asks for."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.delivery import property_suppression

    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        found = property_suppression.suppress(db, name, reason, person())
    if as_json:
        show.document(found)
    else:
        show.line(f"No destination is told {found['name']} any more; what they were sent before they still have.")


@app.command()
def unsuppress(name: Name, as_json: AsJson = False) -> None:
    """Tell of it again, and how it is now."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.delivery import property_suppression

    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        property_suppression.unsuppress(db, name, person())
    if as_json:
        show.document({"name": name, "suppressed": False})
    else:
        show.line(f"Destinations that keep {name} are told of it again.")


@app.command()
def suppressed(as_json: AsJson = False) -> None:
    """List the properties that no destination is told, and why."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.delivery import suppressed_properties

    with opened() as hub, hub.engine.connect() as db:
        found = suppressed_properties.every(db)
    if as_json:
        show.document({"properties": found})
    else:
        show.table(["property", "why", "by", "since", "managed by"], [list(one.values()) for one in found])
