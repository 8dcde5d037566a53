"""`tidegate contacts timeline`, `note`, `task`: what happened to a contact, and what people wrote down about it."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from tidegate.cli.options import AsJson, ConnectionName
from tidegate.lifecycle.happened import told

app = typer.Typer()

Ref = Annotated[
    str, typer.Argument(metavar="CONTACT", help="Its id, present or former; `account:acme` or `user:acme`.")
]


@app.command()
def timeline(
    contact: Ref,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Only of this kind, such as note or movement; may be repeated."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many.")] = 50,
    after: Annotated[str, typer.Option(metavar="PLACE", help="`next` of the page before.")] = "",
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Show what happened to a contact, the newest first: revenue, payments, stages, alerts, usage, changes, notes, …"""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.contacts import directory
    from tidegate.lifecycle import timeline

    with opened() as hub, hub.engine.connect() as db:
        found = directory.find(db, hub.livemode(connection), contact)
        page = timeline.page(db, found, kinds=kind or timeline.KINDS, after=after, limit=limit)
    if as_json:
        show.document(page)
        return
    rows = [(one["at"], one["kind"], one["what"], told(one)) for one in page["timeline"]]
    show.table(["at", "", "what", ""], rows)
    if page["next"]:
        show.line(f"more with --after {page['next']}")


@app.command()
def note(
    contact: Ref,
    said: Annotated[str, typer.Argument(metavar="TEXT", help="What is to be known of it; `-`: from standard input.")],
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Write a note on a contact's timeline."""
    import sys

    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.contacts import directory
    from tidegate.lifecycle import notes
    from tidegate.workflows.lifecycle.lifecycle import now

    words = sys.stdin.read() if said == "-" else said
    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        found = directory.find(db, hub.livemode(connection), contact)
        written = notes.write(db, found, words, person(), now(db))
    if as_json:
        show.document({"contact": found.ref, "note": written["id"], **written})
    else:
        show.line(f"Note {written['id']} is on the timeline of {found.ref}.")


@app.command("remove-note")
def remove_note(
    contact: Ref,
    note: Annotated[int, typer.Argument(metavar="ID", help="Its number, as the timeline shows it.")],
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Take a note away; that it was there stays in the record of changes."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.contacts import directory
    from tidegate.lifecycle import notes

    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        found = directory.find(db, hub.livemode(connection), contact)
        notes.erase(db, found, note, person())
    if as_json:
        show.document({"contact": found.ref, "note": note, "removed": True})
    else:
        show.line(f"Note {note} of {found.ref} is gone.")


@app.command()
def task(
    contact: Ref,
    said: Annotated[str, typer.Argument(metavar="TEXT", help="What is to be done.")],
    due: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="By when; without one, some day.")
    ] = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Add a task to a contact's timeline."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.contacts import directory
    from tidegate.lifecycle import notes
    from tidegate.workflows.lifecycle.lifecycle import now

    day = due.replace(tzinfo=UTC).date() if due else None
    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        found = directory.find(db, hub.livemode(connection), contact)
        added = notes.add_task(db, found, said, person(), now(db), due_on=day)
    if as_json:
        show.document(added)
    else:
        by = f", due {day.isoformat()}" if day else ""
        show.line(f"Task {added['id']} of {found.ref}{by}. `tidegate tasks done {added['id']}` ends it.")
