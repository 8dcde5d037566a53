"""`tidegate tasks`: what is to be done about contacts, by whom and by when."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from tidegate.cli.options import AsJson, ConnectionName

app = typer.Typer(help="What is to be done about contacts.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(metavar="ID", help="Its number, as `tidegate tasks list` shows it.")]
DAY = ["%Y-%m-%d"]


@app.command("list")
def list_(
    owner: Annotated[str | None, typer.Option(metavar="KEY", help="Of this owner's contacts.")] = None,
    due_by: Annotated[
        datetime | None, typer.Option("--due-by", formats=DAY, metavar="DAY", help="Due by that day.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those that are done.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    after: Annotated[int, typer.Option(min=0, metavar="N", help="Pass so many over, for the next page.")] = 0,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """List the tasks that are open, those that are due first."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.lifecycle import notes

    day = due_by.replace(tzinfo=UTC).date() if due_by else None
    with opened() as hub, hub.engine.connect() as db:
        livemode = hub.livemode(connection)
        found = notes.tasks(db, livemode, owner=owner, due_by=day, done=all_, after=after, limit=limit)
    if as_json:
        show.document({"tasks": found, "next": after + limit if len(found) == limit else None})
        return
    names = ("id", "due_on", "contact", "name", "owner", "text", "by", "done_at")
    rows = [[one[name] for name in names] for one in found]
    show.table(["id", "due", "contact", "name", "owner", "what", "by", "done"], rows)
    show.line(f"{len(found):,} tasks" if found else "Nothing is to be done.")


@app.command()
def done(number: Number, as_json: AsJson = False) -> None:
    """Say that a task is done."""
    _change(number, {"done": True}, as_json=as_json)


@app.command()
def reopen(number: Number, as_json: AsJson = False) -> None:
    """Say that a task is not done after all."""
    _change(number, {"done": False}, as_json=as_json)


@app.command()
def change(
    number: Number,
    text: Annotated[str | None, typer.Option(help="What is to be done.")] = None,
    due: Annotated[datetime | None, typer.Option(formats=DAY, metavar="DAY", help="By when.")] = None,
    some_day: Annotated[bool, typer.Option("--some-day", help="By no day in particular.")] = False,
    as_json: AsJson = False,
) -> None:
    """Change what a task says, or by when it is due."""
    given: dict[str, Any] = {} if text is None else {"text": text}
    if due is not None:
        given["due_on"] = due.replace(tzinfo=UTC).date()
    elif some_day:
        given["due_on"] = None
    _change(number, given, as_json=as_json)


@app.command()
def remove(number: Number, as_json: AsJson = False) -> None:
    """Take a task away; that it was there stays in the record of changes."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.lifecycle import notes

    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        notes.remove_task(db, number, person())
    if as_json:
        show.document({"task": number, "removed": True})
    else:
        show.line(f"Task {number} is gone.")


def _change(number: int, given: dict[str, Any], *, as_json: bool) -> None:
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.lifecycle import notes
    from tidegate.workflows.lifecycle.lifecycle import now

    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        found = notes.change_task(db, number, person(), now(db), given)
    if as_json:
        show.document(found)
    else:
        state = f"done by {found['done_by']}" if found["done_at"] else "open"
        due = f", due {found['due_on']}" if found["due_on"] else ""
        show.line(f"Task {number} of {found['contact']} is {state}{due}: {found['text']}")
