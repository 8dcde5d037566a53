"""`tidegate owners`: who of your team looks after contacts, and how they are told."""

from typing import Annotated, Any, Literal

import typer

from tidegate.cli.options import AsJson, ConnectionName

app = typer.Typer(help="Who of your team looks after contacts.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(metavar="OWNER", help="As contacts name it: a name or an e-mail address.")]


@app.command("list")
def list_(connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """List the owners with their contacts, MRR, health, alerts and tasks, and whoever contacts name beside them."""
    from tidegate.cli import show
    from tidegate.cli.health import weighted
    from tidegate.cli.hub import opened
    from tidegate.cli.stages import paid
    from tidegate.lifecycle import owners

    with opened() as hub, hub.engine.connect() as db:
        found = owners.listing(db, hub.livemode_if_any(connection))
    if as_json:
        show.document({"owners": found})
        return
    names = ("name", "email", "destination", "digest", "contacts")
    rows = [
        [_named(one), *(one[name] for name in names), paid(one["mrr"]), weighted(one), one["alerts"], one["tasks"]]
        for one in found
    ]
    columns = ["owner", "name", "e-mail", "alerts to", "digest", "contacts", "MRR", "health", "alerts", "tasks"]
    show.table(columns, rows)


def _named(one: dict[str, Any]) -> str:
    return one["key"] + ("" if one["known"] else " (not defined)") if one["key"] else "nobody"


@app.command()
def put(
    key: Key,
    name: Annotated[str | None, typer.Option(help="Its name.")] = None,
    email: Annotated[str | None, typer.Option(help="Its e-mail address.")] = None,
    destination: Annotated[
        str | None, typer.Option(metavar="KEY", help="Where its alerts go; empty: the default route.")
    ] = None,
    digest: Annotated[Literal["none", "daily", "weekly"] | None, typer.Option(help="Sent there, too.")] = None,
    when: Annotated[
        str | None,
        typer.Option(metavar="YAML", help="A condition: it gets contacts that nobody gave an owner. Empty: none."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an owner, or change what is said of one."""
    from dataclasses import replace

    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.lifecycle import owners
    from tidegate.lifecycle.owners import Owner
    from tidegate.workflows.config.config_yaml import value_of
    from tidegate.workflows.lifecycle import people

    given: dict[str, Any] = {"name": name, "email": email, "destination": destination}
    said = {what: one for what, one in given.items() if one is not None}
    if digest is not None:
        said["digest"] = "" if digest == "none" else digest
    if when is not None:
        said["when"] = value_of(f"when={when}", "--when")[1] if when.strip() else None
    with opened(may_migrate=True) as hub:
        with hub.engine.connect() as db:
            known = next((one for one in owners.every(db) if one.key == key), Owner(key))
        found = people.define_owner(hub.engine, replace(known, **said), person())
    if as_json:
        show.document(found)
        return
    where = found["destination"] or "the default route"
    show.line(f"{key} looks after {found['contacts']:,} contacts; alerts go to {where}.")


@app.command()
def remove(key: Key, as_json: AsJson = False) -> None:
    """Remove an owner; contacts that somebody gave to it keep naming it, and their alerts go to the default route."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.lifecycle import people

    with opened(may_migrate=True) as hub:
        left = people.remove_owner(hub.engine, key, person())
    if as_json:
        show.document({"owner": key, "contacts": left})
    else:
        show.line(f"{key} is removed; {left:,} contacts still name it.")


@app.command()
def assign(
    contact: Annotated[str, typer.Argument(metavar="CONTACT", help="Its id.")],
    owner: Annotated[
        str, typer.Argument(metavar="OWNER", help="By key, name or e-mail address; empty: whoever's rule holds.")
    ],
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Give a contact to an owner."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.lifecycle import people

    with opened(may_migrate=True) as hub:
        found = people.assign_owner(hub.engine, hub.livemode(connection), contact, owner, person())
    if as_json:
        show.document({"contact": found.ref, "owner": found.owner})
    else:
        show.line(f"{found.owner or 'Nobody'} looks after {found.ref} now.")
