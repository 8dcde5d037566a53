"""`tidegate users`: who may sign in to the page."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.options import AsJson

if TYPE_CHECKING:
    from tidegate.security.users import User

app = typer.Typer(help="Who may sign in to the page.", no_args_is_help=True)

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The user's e-mail address.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the users, disabled ones too."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.security import users

    with opened() as hub, hub.engine.connect() as db:
        found = users.listing(db)
    if as_json:
        show.document({"users": [asdict(one) for one in found]})
        return
    columns = ["e-mail", "name", "role", "state", "last seen"]
    show.table(columns, [(one.email, one.name, one.role, one.state, one.last_seen_at) for one in found])


@app.command()
def invite(
    email: Email,
    name: Annotated[str, typer.Option(help="As the page calls them.")],
    role: Annotated[
        str, typer.Option(help="viewer (looks), operator (works), admin (also users, keys and what loses data).")
    ] = "viewer",
    as_json: AsJson = False,
) -> None:
    """Make a user, and a link by which they set their password; it is good once, for three days."""
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.operation import users

    with opened(may_migrate=True) as hub:
        user, secret = users.invite(hub.engine, email, name, role, person())
        _tell(user, hub.settings.page, secret, as_json)


@app.command()
def link(email: Email, as_json: AsJson = False) -> None:
    """Make another link for a user who lost the password, or whose link ran out; the one before is void."""
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.operation import users

    with opened(may_migrate=True) as hub:
        user, secret = users.link(hub.engine, email, person())
        _tell(user, hub.settings.page, secret, as_json)


@app.command()
def role(
    email: Email,
    name: Annotated[str, typer.Argument(metavar="ROLE", help="viewer, operator or admin.")],
    as_json: AsJson = False,
) -> None:
    """Give a user another role; it holds from their next click on."""
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.operation import users

    with opened(may_migrate=True) as hub:
        _show(users.give_role(hub.engine, email, name, person()), as_json)


@app.command()
def disable(email: Email, as_json: AsJson = False) -> None:
    """Sign a user out everywhere, and let them in no more; `enable` takes that back."""
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.operation import users

    with opened(may_migrate=True) as hub:
        _show(users.disable(hub.engine, email, person()), as_json)


@app.command()
def enable(email: Email, as_json: AsJson = False) -> None:
    """Let a disabled user in again, with the password from before."""
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.operation import users

    with opened(may_migrate=True) as hub:
        _show(users.enable(hub.engine, email, person()), as_json)


def _tell(user: "User", page: str, secret: str, as_json: bool) -> None:
    from tidegate.cli import show

    where = f"{page}/welcome?link={secret}"
    if as_json:
        show.document({**asdict(user), "link": where})
    else:
        show.remark(f"Send {user.email} ({user.role}) this link; it is good once, for three days:")
        show.line(where)


def _show(user: "User", as_json: bool) -> None:
    from tidegate.cli import show

    if as_json:
        show.document(asdict(user))
    else:
        show.line(f"{user.email} is {user.role}, {user.state}.")
