"""`tidegate contacts import`, `join`, `leave`: contacts and memberships of your own."""

import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tidegate.cli.options import AsJson, ConnectionName

if TYPE_CHECKING:
    from collections.abc import Generator

    from tidegate.connections.accounts import Account
    from tidegate.wiring import Hub

app = typer.Typer()


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="CSV", help="A file with a header, or `-` for standard input.")],
    kind: Annotated[
        Literal["user", "account"], typer.Option(help="What a line is that does not say its kind.")
    ] = "account",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check it and tell what it would do; write nothing.")
    ] = False,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Take contacts from a list of yours; what is there already is changed where it differs, never made twice.

    Columns: id; kind, name, emails, domains, account, role, owner, properties (JSON), properties.NAME, billing_ids.
    Several e-mails, domains or billing ids are parted by semicolons; an empty cell leaves what is known.
    """
    from tidegate.cli import progress, show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.contacts.contacts_import import import_contacts

    with opened(may_migrate=True) as hub, _rereadable(file) as opens, progress.shown() as tell:
        done = import_contacts(
            hub.engine,
            hub.livemode(connection),
            _account(hub, connection),
            opens,
            person(),
            name="the input" if file == "-" else file,
            kind=kind,
            dry_run=dry_run,
            progress=lambda step, done, total: tell(progress.Step(step, done, total, done == total)),
        ).as_json()
    if as_json:
        show.document(done)
    else:
        show.line(_imported(done))


def _imported(done: dict[str, Any]) -> str:
    if not done["changed"]:
        return f"Nothing {'would change' if done['dry_run'] else 'changed'}: all {done['lines']:,} are as they were."
    return (
        f"{'It would make' if done['dry_run'] else 'Made'} {done['created']:,} contacts and change "
        f"{done['updated']:,} of {done['lines']:,}; {done['unchanged']:,} are as they were. {done['linked']:,} "
        f"customers linked by billing id, {done['matched']:,} by matching; {done['joined']:,} memberships."
    )


def _account(hub: "Hub", connection: str | None) -> "Account | None":
    """The connection of billing ids: the named one, or the only one; None where there are several."""
    from tidegate.errors import ConnectionAmbiguous

    try:
        return hub.account(connection)
    except ConnectionAmbiguous:
        return None


@contextmanager
def _rereadable(file: str) -> "Generator[Callable[[], AbstractContextManager[Iterable[str]]]]":
    """Opens the file as often as it is asked to; standard input is kept in a temporary file. Raises UsageError."""
    import shutil
    from tempfile import NamedTemporaryFile

    if file != "-":
        yield lambda: _lines(Path(file))
        return
    with NamedTemporaryFile("wb", suffix=".csv") as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
        kept.flush()
        yield lambda: _lines(Path(kept.name))


@contextmanager
def _lines(path: Path) -> "Generator[Iterable[str]]":
    from tidegate.errors import UsageError

    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            yield lines
    except OSError as error:
        raise UsageError(problem=f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(problem=f"{path} is no UTF-8 text (byte {error.start}); save it as UTF-8.") from error


User = Annotated[str, typer.Argument(metavar="USER", help="A contact that is a user.")]
AccountRef = Annotated[str, typer.Argument(metavar="ACCOUNT", help="A contact that is an account.")]


@app.command()
def join(
    user: User,
    account: AccountRef,
    role: Annotated[str, typer.Option(help="What the user is in the account; free text.")] = "",
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Make a user a member of an account, or change its role; the user has what the account has."""
    _member(user, account, role, connection, as_json)


@app.command()
def leave(user: User, account: AccountRef, connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """End a user's membership in an account."""
    _member(user, account, None, connection, as_json)


def _member(user: str, account: str, role: str | None, connection: str | None, as_json: bool) -> None:
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.contacts import contacts_edit

    with opened(may_migrate=True) as hub:
        livemode = hub.livemode(connection)
        of, who = contacts_edit.member(hub.engine, livemode, account, user, person(), role=role)
    if as_json:
        found: dict[str, Any] = {"account": of.ref, "user": who.ref, "role": role}
        show.document(found)
        return
    said = f" as {role}" if role else ""
    show.line(f"{who.ref} belongs to {of.ref}{said} now." if role is not None else f"{who.ref} left {of.ref}.")
