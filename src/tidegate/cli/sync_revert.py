"""`tidegate sync revert`: takes back what a run sent, after showing what that would do."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import AsJson

if TYPE_CHECKING:
    from tidegate.cli.progress import Tell
    from tidegate.wiring import Hub

TOLD = {
    "revert": "to be taken back",
    "conflict": "changed since, so left as they are",
    "skip": "that cannot be undone",
    "nothing": "that need nothing",
}
STOPPING = "Stopping after the requests that are under way."


def revert(
    number: Annotated[int, typer.Argument(metavar="RUN", help="The run, as `tidegate sync runs` numbers them.")],
    run: Annotated[bool, typer.Option("--run", help="Send it; without, it is only shown.")] = False,
    despite_edits: Annotated[
        bool, typer.Option("--despite-edits", help="Take back also what somebody, or a later run, changed since.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show how what a run sent is taken back, field by field, and with --run do it.

    Its rows are left alone from then on until they change in the model. Exit 1 when something cannot be undone or was
    changed since.
    """
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.outbound import revert_sync

    with opened(may_migrate=True, pool_size=12) as hub:
        if run:
            answer = _sent(hub, number, despite_edits)
        else:
            answer = revert_sync.plan(hub.engine, number, despite_edits=despite_edits).as_json()
    if as_json:
        show.document(answer)
    else:
        _say(answer, number, despite_edits)
    if answer.get("failed") or answer["counts"].get("conflict") or answer["counts"].get("skip"):
        raise typer.Exit(1)


def _sent(hub: "Hub", number: int, despite_edits: bool) -> dict[str, Any]:
    from tidegate.cli import progress
    from tidegate.cli.hub import stopping
    from tidegate.cli.who import person
    from tidegate.workflows.outbound import revert_sync

    with stopping(STOPPING) as stop, progress.shown(alike=False) as tell:
        answer = revert_sync.revert(
            hub.engine, number, hub.stripe_writing, person(), despite_edits=despite_edits, stop=stop.event,
            progress=_telling(tell),
        )  # fmt: skip
    if answer["state"] == "interrupted" and stop.signal:
        raise typer.Exit(stop.exit_code)
    return answer


def _telling(tell: "Tell") -> Any:
    from tidegate.cli.progress import Step

    def told(summary: dict[str, Any]) -> None:
        total = summary["counts"].get("revert", 0)
        done = sum(summary["sent"].values()) + summary["failed"]
        tell(Step("requests sent", done, max(total, done), done=done >= total))

    return told


def _say(answer: Mapping[str, Any], number: int, despite_edits: bool) -> None:
    from tidegate.cli import show
    from tidegate.cli.sync_shown import fields

    counts = answer["counts"]
    show.table([f"requests of run {number}", ""], [(TOLD[kind], count) for kind, count in counts.items() if count])
    for kind, found in answer.get("sample", {}).items():
        more = counts[kind] - len(found)
        show.line()
        show.line(f"{TOLD[kind].capitalize()}:{f' the first {len(found):,}, {more:,} more' if more else ''}")
        show.table(["row", "object", "field", "in Stripe", "becomes", ""], fields(found))
    show.line()
    if "sent" in answer:
        sent = ", ".join(f"{count:,} {name}" for name, count in answer["sent"].items()) or "nothing"
        show.line(f"Run {answer['run']} took back run {number}: sent {sent}; {answer['failed']:,} failed.")
    else:
        edits = " --despite-edits" if despite_edits else ""
        show.line(f"Nothing was sent. `tidegate sync revert {number} --run{edits}` does it.")
