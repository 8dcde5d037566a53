"""`tidegate restore`: a backup in place of what the database holds."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import AsJson

if TYPE_CHECKING:
    from tidegate.workflows.operation.backup import Manifest
    from tidegate.workflows.operation.restore import Holding


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Of `tidegate backup`.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Drop what the database holds: shows what that is, then asks.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring a backup back, whole or not at all. Outbound stays paused until you resume it."""
    from tidegate.cli import progress, show
    from tidegate.cli.hub import unmigrated
    from tidegate.cli.progress import Step
    from tidegate.cli.who import person
    from tidegate.workflows.operation import backup
    from tidegate.workflows.operation import restore as workflow

    found = backup.manifest(file)
    with unmigrated("tidegate restore") as (engine, config):
        if replace and not yes:
            _ask(workflow.holding(engine), found)
        total = found.sql_bytes // 1000
        with progress.shown(alike=False) as tell:
            done = workflow.restore(
                engine,
                config,
                file,
                person(),
                replace=replace,
                tell=lambda read: tell(Step("database, kB", read // 1000, total, done=read == found.sql_bytes)),
            )
    if as_json:
        show.document(done)
    else:
        _say(done)


def _ask(there: "Holding", found: "Manifest") -> None:
    """Lets pass who agrees to lose what is there. Raises UsageError."""
    from tidegate.cli import show
    from tidegate.errors import UsageError

    if not there.revision:
        return
    show.table(
        ["", "connections", "contacts", "as of"],
        [
            ("the database", ", ".join(there.connections) or "none", there.contacts, "now"),
            ("the backup", ", ".join(found.connections) or "none", "", found.taken_at),
        ],
    )
    if not sys.stdin.isatty():
        raise UsageError(problem="Nothing was restored: this needs a person to ask, or `--yes`.")
    if not typer.confirm("Drop what the database holds for the backup's?", err=True):
        raise UsageError(problem="Nothing was restored.")


def _say(done: dict[str, Any]) -> None:
    from tidegate.cli import show

    named = ", ".join(done["connections"]) or "no connection"
    show.line(f"Restored {named} as of {done['taken_at']}. Everybody signs in again.")
    if done["key"] == "restored":
        show.line("The backup's secret key was added to this installation's.")
    if done["key"] == "missing":
        show.line(
            "The secret key that it was made with is not here: put it into TIDEGATE_SECRET_KEY or secret.key, "
            "or run `tidegate connect` for each account again. `tidegate doctor` tells which open."
        )
    show.line("Next: `tidegate catch-up` (after 30 days `tidegate import --full`), then `tidegate audit`.")
    show.line("Users that were disabled and tokens that were revoked since the backup are back: `tidegate users list`.")
    if done["outbound_paused"]:
        show.line("Outbound is paused: it does not know what was sent since. After that, `tidegate resume outbound`.")
