"""Shows what a change would do to whom, asks, and does it: the same for every command that may take something."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Engine

    from tidegate.workflows.previewing import Change, Preview

Previewed = Annotated[bool, typer.Option("--preview", help="Only show what it would change, with a token for it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask, whatever it changes.")]
Token = Annotated[
    str | None, typer.Option("--token", metavar="T", help="Do what the preview of this token showed, or refuse.")
]
KeepHolders = Annotated[
    bool,
    typer.Option(
        "--keep-holders/--all-holders",
        help="Whoever has something of it keeps that, and only who comes later is concerned; or everybody is.",
    ),
]

SHOWN = 20
"""Contacts of a feature that the tables of a preview list."""
MOST_LISTED = 100
Listed = Annotated[
    int,
    typer.Option(
        "--listed",
        metavar="N",
        min=0,
        help="With --json: so many contacts of each feature are listed; `totals` counts all of them.",
    ),
]


def carry_out(
    engine: "Engine", change: "Change", *, only_preview: bool, yes: bool, token: str | None, as_json: bool
) -> "Preview":
    """Previews the change, or does it, after asking where it takes or changes something and nobody said `--yes`.

    Raises PreviewNeeded where nobody can be asked, and PreviewStale; ends the command when the answer is no.
    """
    from tidegate.workflows.previewing import commit, preview, settle

    if only_preview:
        return preview(engine, change)
    if token or yes or as_json or not sys.stdin.isatty():
        return settle(engine, change, token, anyway=yes)
    found = preview(engine, change)
    if found.hurts:
        say(found)
        typer.confirm("Do it?", abort=True, err=True)
    return commit(engine, change, found.token)


def tell(found: "Preview", lines: "Sequence[str]", *, as_json: bool, listed: int) -> None:
    """What a change does or did: as a JSON document, or as tables and then these lines."""
    from tidegate.cli import show

    if as_json:
        show.document(found.as_json(listed))
        return
    if found.features or not found.done:
        say(found)
    for line in lines:
        show.line(line)


def say(found: "Preview") -> None:
    """The preview as tables, a feature each, with its token while it is not done."""
    from tidegate.cli import show

    told = found.as_json(0)
    counted = {feature: sum(total.values()) for feature, total in told["totals"].items()}
    say_features(found.features, counted, found.done)
    show.line(
        f"{told['contacts']:,} contacts looked at: {told['gained']:,} entitlements gained, {told['changed']:,} "
        f"changed, {told['lost']:,} lost."
    )
    if not found.done:
        show.line(f"Nothing was done. To do exactly this: --token {found.token}")


def say_features(features: dict[str, list[dict[str, Any]]], counted: "Mapping[str, int]", done: bool) -> None:
    """A table for each feature of a preview: who has what, and would have, or had and has; `counted`: of how many."""
    from tidegate.catalog.words import standing
    from tidegate.cli import show

    for feature, changes in features.items():
        rows = [(one["contact"], standing(one["before"]), standing(one["now"])) for one in changes[:SHOWN]]
        show.table([feature, "had", "has"] if done else [feature, "has", "would have"], rows)
        if counted[feature] > SHOWN:
            show.line(f"… and {counted[feature] - SHOWN:,} more (--json --listed N lists N)")
        show.line()
