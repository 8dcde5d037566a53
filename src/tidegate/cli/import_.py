"""`tidegate import`: reads an account into the mirror, shows how far it is, and stops cleanly when asked."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import AsJson, ConnectionName, Resources

if TYPE_CHECKING:
    from tidegate.cli.progress import Step
    from tidegate.mirror.backfill import Progress

ALWAYS = ("read", "stored", "unchanged")
COUNTS = (*ALWAYS, "older", "doubtful", "deleted", "unreadable")
STOPPING = "Stopping after the pages that are under way; the next `tidegate import` goes on from here."


def import_(
    resource: Resources = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Begin anew even when an import was interrupted, and look by id at what is in no list any more.",
        ),
    ] = False,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Read the Stripe account into the mirror; goes on by itself where the last import stopped.

    Ctrl-C stops after the pages under way (exit 130, SIGTERM: 143), a second one at once. Exit 1 when a part failed or
    may not be read.
    """
    from tidegate.cli import progress, show
    from tidegate.cli.hub import opened, stopping
    from tidegate.cli.who import person
    from tidegate.errors import WorkStopped
    from tidegate.workflows.mirror.import_account import ImportOptions, import_account

    with opened(may_migrate=True, pool_size=8) as hub:
        account = hub.account(connection)
        options = ImportOptions(tuple(resource or ()), full, hub.settings.import_readers, actor=person())
        with hub.stripe(account) as api, stopping(STOPPING) as stop, progress.shown() as tell:
            try:
                with api.heeding(stop.event):
                    summary = import_account(
                        hub.engine, account, api, options, progress=lambda now: tell(step(now)), stop=stop.event
                    )
            except WorkStopped as stopped:  # before there was anything to sum up
                show.remark(str(stopped))
                raise typer.Exit(stop.exit_code) from stopped
    if as_json:
        show.document(summary)
    else:
        print_summary(summary)
    if summary["state"] != "done" or summary["left_out"]:
        raise typer.Exit(stop.exit_code if summary["state"] == "interrupted" and stop.signal else 1)


def step(now: "Progress") -> "Step":
    """An import's progress as `progress` shows it."""
    from tidegate.cli.progress import Step

    return Step(now.resource, now.counts.read, now.expected, now.done, now.error)


def print_summary(summary: dict[str, Any]) -> None:
    """The counts per resource, those that are zero everywhere left out, then what the import came to."""
    from tidegate.cli import show

    all_counts = summary["resources"].values()
    columns = [name for name in COUNTS if name in ALWAYS or any(counts[name] for counts in all_counts)]
    rows: list[tuple[Any, ...]] = []
    children: dict[str, int] = {}
    skipped: dict[str, int] = {}
    for name, counts in summary["resources"].items():
        rows.append((name, *(counts[column] for column in columns)))
        for child, number in counts["children"].items():
            children[child] = children.get(child, 0) + number
        for reason, number in counts["skipped"].items():
            skipped[f"{name}: {reason}"] = number
    rows += [
        (name, *(number if column == "stored" else None for column in columns)) for name, number in children.items()
    ]
    show.table(["resource", *columns], rows)
    if children:
        show.line(f"{', '.join(children)}: read and stored with their parents.")
    for reason, number in skipped.items():
        show.line(f"skipped {number:,} of {reason}")
    show.reasons(summary["problems"])
    if "mended" in summary:
        show.line(f"Compared with what was stored: {mended(summary['mended'])}.")
    show.line(_ending(summary))
    if left_out := summary["left_out"]:
        show.line(f"Left out, since Stripe refuses the list: {', '.join(left_out)}.")


def mended(found: dict[str, dict[str, int]]) -> str:
    """What a full import or a sweep found that the mirror did not know: `2 missing, 1 vanished (customers, invoices)`;
    `nothing to mend`.
    """
    numbers = {what: sum(counts[what] for counts in found.values()) for what in ("missing", "changed", "vanished")}
    told = ", ".join(f"{number:,} {what}" for what, number in numbers.items() if number)
    names = [name for name, counts in found.items() if any(counts[what] for what in numbers)]
    return f"{told} ({', '.join(names)})" if told else "nothing to mend"


def _ending(summary: dict[str, Any]) -> str:
    from tidegate.cli.show import duration

    read = sum(counts["read"] for counts in summary["resources"].values())
    new = sum(counts["stored"] for counts in summary["resources"].values())
    took = f"{read:,} objects in {summary['pages']:,} pages, {duration(summary['seconds'])}"
    resumed = " (went on with an import that was interrupted)" if summary["resumed"] else ""
    match summary["state"]:
        case "done" if not new:
            return f"Imported {summary['connection']}: nothing new in {took}{resumed}."
        case "done":
            return f"Imported {summary['connection']}: {new:,} stored of {took}{resumed}."
        case "interrupted":
            return f"Interrupted after {took}. What was read is stored; `tidegate import` goes on from there."
        case state:
            return f"The import is {state}: {took}. `tidegate import` tries the rest again."
