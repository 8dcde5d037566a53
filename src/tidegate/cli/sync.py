"""`tidegate sync`: rows of a warehouse written to Stripe; planned without a request, run, stopped, tried again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli import sync_revert, sync_runs
from tidegate.cli.options import AsJson, SyncName

if TYPE_CHECKING:
    from tidegate.cli.progress import Tell
    from tidegate.wiring import Hub
    from tidegate.workflows.outbound.run_sync import Wanted

app = typer.Typer(help="Write rows of a warehouse to Stripe, or to the contacts here.", no_args_is_help=True)

Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="KEY", help="Only the row of this primary key; may be repeated.")
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Only so many rows that differ.")]
Full = Annotated[
    bool, typer.Option("--full", help="Look at every row, also those that stayed the same since they were sent.")
]
STOPPING = "Stopping after what is under way; the rest is left to the next run."


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the syncs with their rows and their last run."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.sync_shown import say_syncs
    from tidegate.outbound import pausing
    from tidegate.workflows.outbound import sync_history

    with opened() as hub, hub.engine.connect() as db:
        found, paused = sync_history.standing(db), pausing.paused(db)
    if as_json:
        show.document({"syncs": found, "paused": paused})
    else:
        say_syncs(found, paused)


@app.command()
def plan(
    name: SyncName,
    only: Only = None,
    limit: Limit = None,
    full: Full = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write every decision to this .parquet, .csv or .json file."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run would do, field by field, without a request to Stripe. Exit 1 when rows could not be sent, or a
    run would stop.
    """
    from tidegate.cli import progress, show
    from tidegate.cli.hub import opened
    from tidegate.cli.sync_shown import say_plan
    from tidegate.cli.who import person
    from tidegate.workflows.outbound import sync_plan
    from tidegate.workflows.outbound.sync_plan import Part

    _refuse_ending(output)
    part = Part(tuple(only) if only else None, limit, full)
    with (
        opened(may_migrate=True) as hub,
        progress.shown(alike=False) as tell,
        sync_plan.planned(hub.engine, name, hub.source_url, part, _planning(tell)) as made,
    ):
        number = None
        if part.whole:
            with hub.engine.begin() as db:
                number = sync_plan.keep(db, made.plan, person())
        if output is not None:
            sync_plan.export(made, output)
        answer = sync_plan.answer(made, number)
    if as_json:
        show.document(answer)
    else:
        say_plan(answer)
        if output is not None:
            show.line(f"Every decision is in {output}.")
    if answer["stops"] or any(answer["counts"][kind] for kind in ("held", "conflict", "invalid")):
        raise typer.Exit(1)


@app.command()
def run(
    name: SyncName,
    plan: Annotated[
        int | None, typer.Option("--plan", metavar="ID", help="Do what this plan showed, or refuse when it is stale.")
    ] = None,
    only: Only = None,
    limit: Limit = None,
    full: Full = False,
    despite_stops: Annotated[
        bool, typer.Option("--despite-stops", help="Send although more would change than the sync allows.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send what differs to Stripe, or write it to the contacts here. A first run wants its plan (--plan), or a few rows
    (--limit, --only).

    Ctrl-C stops after the requests under way (exit 130, SIGTERM: 143). Exit 1 when rows failed or are held.
    """
    from tidegate.workflows.outbound.run_sync import Wanted
    from tidegate.workflows.outbound.sync_plan import Part

    wanted = Wanted(Part(tuple(only) if only else None, limit, full), plan, despite_stops)
    _run(name, wanted, as_json)


@app.command()
def retry(
    name: SyncName,
    row: Annotated[
        list[str] | None,
        typer.Option(
            "--row", metavar="KEY", help="Only the row of this key, also if it stayed the same; may be repeated."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try the rows again that Stripe refused, are invalid, held or in conflict; of the others nothing is looked at.

    Every run does so, too.
    """
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.outbound import sync_history
    from tidegate.workflows.outbound.run_sync import Wanted
    from tidegate.workflows.outbound.sync_plan import Part

    with opened(may_migrate=True) as hub:
        keys = tuple(row) if row else sync_history.to_retry(hub.engine, name)
    if keys:
        _run(name, Wanted(Part(keys, full=bool(row), if_there=not row)), as_json)
    elif as_json:
        show.document({"sync": name, "run": None, "state": "done", "counts": {}, "sent": {}, "failed": 0})
    else:
        show.line(f"No row of {name} failed, is invalid, held or in conflict.")


@app.command()
def cancel(name: SyncName, as_json: AsJson = False) -> None:
    """Ask the run of a sync that is under way, wherever it is, to stop after its requests under way.

    A run that is due and has not begun is not run.
    """
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.outbound import sync_stopping

    with opened(may_migrate=True) as hub:
        number = sync_stopping.cancel(hub.engine, name, person())
    if as_json:
        show.document({"sync": name, "run": number, "asked": True})
    elif number is None:
        show.line(f"{name} was due, and is not run now.")
    else:
        show.line(f"Run {number} of {name} stops within seconds.")


@app.command()
def reset(
    name: SyncName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget what was sent of a sync's rows: the next run matches all of them anew. Nothing changes in Stripe, nor of
    contacts.
    """
    import sys

    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.errors import UsageError
    from tidegate.workflows.outbound import sync_history

    if not yes:
        if as_json or not sys.stdin.isatty():
            raise UsageError(problem="Nothing was forgotten: this needs a person to ask, or --yes.")
        typer.confirm(f"Forget what was sent of every row of {name}?", abort=True, err=True)
    with opened(may_migrate=True) as hub:
        count = sync_history.reset(hub.engine, name, person())
    if as_json:
        show.document({"sync": name, "forgotten": count})
    else:
        show.line(f"{count:,} rows of {name} are forgotten; the next run is a first one.")


def _run(name: str, wanted: "Wanted", as_json: bool) -> None:
    from tidegate.cli import show
    from tidegate.cli.hub import opened, stopping
    from tidegate.cli.sync_shown import say_run
    from tidegate.errors import WorkStopped

    with opened(may_migrate=True, pool_size=12) as hub, stopping(STOPPING) as stop:
        try:
            summary = _sent(hub, name, wanted, stop.event)
        except WorkStopped as stopped:  # before there was anything to sum up
            show.remark(str(stopped))
            raise typer.Exit(stop.exit_code if stop.signal else 1) from stopped
    if as_json:
        show.document(summary)
    else:
        say_run(summary)
    if summary["state"] != "done":
        raise typer.Exit(stop.exit_code if summary["state"] == "interrupted" and stop.signal else 1)


def _sent(hub: "Hub", name: str, wanted: "Wanted", stop: Any) -> dict[str, Any]:
    from tidegate.cli import progress
    from tidegate.cli.progress import Step
    from tidegate.cli.who import person
    from tidegate.outbound import syncs
    from tidegate.workflows.outbound import run_sync

    with hub.engine.connect() as db:
        what = "contacts written" if syncs.is_own(db, name) else "requests sent"
    with progress.shown(alike=False) as tell:

        def told(summary: dict[str, Any]) -> None:
            total = sum(summary["counts"].get(kind, 0) for kind in run_sync.SENDS)
            done = sum(summary["sent"].values()) + summary["failed"]
            tell(Step(what, done, max(total, done), done=done >= total))

        return run_sync.run(
            hub.engine, name, hub.source_url, hub.stripe_writing, wanted, by=person(), stop=stop, progress=told,
            planning_progress=_planning(tell),
        )  # fmt: skip


def _planning(tell: "Tell") -> Any:
    from tidegate.cli.progress import Step

    def told(what: str, done: int, total: int | None) -> None:
        tell(Step(what, done, total, done=total is not None and done >= total))

    return told


def _refuse_ending(file: Path | None) -> None:
    from tidegate.errors import UsageError

    if file is not None and file.suffix.lower() not in {".parquet", ".csv", ".json"}:
        raise UsageError(problem=f"{file}: its name says the format by its end: .parquet, .csv or .json.")


for command in (sync_runs.runs, sync_runs.tail, sync_revert.revert):
    app.command()(command)
app.command("show")(sync_runs.show_)
