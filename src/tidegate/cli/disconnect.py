"""`tidegate disconnect`: forgets a connection's keys, and with `--purge` all that was mirrored of it."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.options import AsJson

if TYPE_CHECKING:
    from tidegate.wiring import Hub


def disconnect(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The connection.")],
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete its data, too: shows how much, then asks for the name.")
    ] = False,
    confirm: Annotated[
        str, typer.Option(metavar="NAME", help="The name again, instead of being asked for it (--purge, a platform).")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Forget a connection's keys; its data stays unless purged. A Connect platform takes its accounts along."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.wiring import open_by_key
    from tidegate.workflows.mirror import disconnect as disconnecting
    from tidegate.workflows.mirror import oauth

    with opened(may_migrate=True) as hub:
        _, *others = disconnecting.concerned(hub.engine, name)
        if others and not as_json:
            fate = "deleted" if purge else "disconnected"
            show.line(f"{len(others):,} accounts of the platform are {fate} with it: {', '.join(others)}.")
        if purge:
            _purge(hub, name, confirm, others, as_json)
            return
        if others:
            _check(name, confirm, "disconnected")
        before = hub.account(name)
        account = disconnecting.disconnect(hub.engine, name, person())
        kept = oauth.give_back(hub.registered, before, open_by_key)
    if as_json:
        when = account.disconnected_at
        show.document({"connection": account.name, "disconnected_at": when, "accounts": others})
    else:
        _say_kept(kept)
        show.line(f"Disconnected {name}: its keys are erased, its data stays. `--purge` deletes that, too.")


def _purge(hub: "Hub", name: str, confirm: str, others: Sequence[str], as_json: bool) -> None:
    """Deletes all that is stored of it, after it was shown how much that is."""
    from tidegate.cli import show
    from tidegate.cli.who import person
    from tidegate.wiring import open_by_key
    from tidegate.workflows.mirror import disconnect as disconnecting
    from tidegate.workflows.mirror import oauth

    counts = disconnecting.count_for_purge(hub.engine, name)
    if not as_json:
        if platform := hub.account(name).platform:
            show.line(f"The next fan-out of {platform} connects it anew; without --purge it stays out.")
        show.table(["table", "rows to delete"], [*counts.items(), ("total", sum(counts.values()))])
    _check(name, confirm, "deleted")
    account = hub.account(name)
    deleted = disconnecting.purge(hub.engine, name, person())
    kept = oauth.give_back(hub.registered, account, open_by_key)
    if as_json:
        show.document({"connection": name, "deleted": deleted, "accounts": others})
    else:
        _say_kept(kept)
        show.line(f"Deleted {name} and {sum(deleted.values()):,} rows of it.")


def _say_kept(problem: str) -> None:
    """Says that access by OAuth could not be given back."""
    from tidegate.cli import show

    if problem:
        show.line(f"Stripe could not be told; the account's owner uninstalls the app in Stripe's dashboard: {problem}")


def _check(name: str, confirm: str, fate: str) -> None:
    """Lets pass who gives the name again. Raises UsageError."""
    from tidegate.errors import UsageError

    if not confirm and not sys.stdin.isatty():
        raise UsageError(problem=f"Nothing was {fate}: this needs a person to ask, or `--confirm {name}`.")
    given = confirm or str(typer.prompt(f"Type the connection's name, and all this is {fate}", err=True))
    if given != name:
        raise UsageError(problem=f"Nothing was {fate}: {given!r} is not the name {name!r}.")
