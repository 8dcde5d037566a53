"""`tidegate actions`: what is done when something happens to a contact, what would have been, and whether it helped."""

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from tidegate.cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

app = typer.Typer(help="What is done when something happens to a contact.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(metavar="KEY", help="What the action is called.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N", help="How many are shown.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the actions, how often they fired, and what hinders one. They are written in tidegate.yaml, or over HTTP."""
    from tidegate.cli import show
    from tidegate.workflows.lifecycle import lifecycle_actions

    found = _asked(lifecycle_actions.listing)
    if as_json:
        show.document({"actions": found})
        return
    rows = [
        (
            one["key"], "on" if one["enabled"] else "off", trigger_said(one["spec"]["on"]), one["fired"],
            one["held_out"], one["failed"], one["last_fired_at"], one["problem"],
        )
        for one in found
    ]  # fmt: skip
    show.table(["key", "", "when", "fired", "held out", "failed", "last", "problem"], rows)
    if not found:
        show.line("There is none; `tidegate actions suggest` prints some to begin with.")


@app.command("show")
def show_(key: Key, as_json: AsJson = False) -> None:
    """Show an action as it was written, and how often it fired."""
    from tidegate.cli import show
    from tidegate.workflows.config.config_yaml import dump
    from tidegate.workflows.lifecycle import lifecycle_actions

    found = _asked(lambda db: lifecycle_actions.shown(db, key))
    if as_json:
        show.document(found)
        return
    show.line(dump({"actions": [{"key": key, **found["spec"]}]}).rstrip())
    state = "switched on" if found["enabled"] else "switched off"
    show.line(f"{found['name']} is {state}; it fired {found['fired']:,} times, {found['held_out']:,} were held out.")
    if found["problem"]:
        show.line(f"This hinders it: {found['problem']}")


@app.command()
def enable(key: Key, as_json: AsJson = False) -> None:
    """Switch an action on: it fires for what happens from now on, not for those who match already."""
    _switch(key, enabled=True, as_json=as_json)


@app.command()
def disable(key: Key, as_json: AsJson = False) -> None:
    """Switch an action off: what happens until it is switched on again is not its business."""
    _switch(key, enabled=False, as_json=as_json)


def _switch(key: str, *, enabled: bool, as_json: bool) -> None:
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.lifecycle import lifecycle_actions

    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        lifecycle_actions.switch(db, key, person(), enabled=enabled)
        found = lifecycle_actions.shown(db, key)
    if as_json:
        show.document(found)
    else:
        show.line(f"{key} is switched {'on: it fires for what happens from now on' if enabled else 'off'}.")


@app.command()
def preview(
    key: Key,
    period: Annotated[
        str | None,
        typer.Option("--period", metavar="P", help="2026-05, or 2026-05-01..2026-05-14 (UTC); else the last 30 days."),
    ] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show what an action would have done in the past, to whom and why; nothing is sent."""
    from tidegate.cli import show
    from tidegate.workflows.lifecycle import lifecycle_actions

    found = _asked(lambda db: lifecycle_actions.preview_of(db, key, period, limit=limit))
    if as_json:
        show.document(found)
        return
    rows = [
        (
            one["at"],
            one["name"] or one["contact"],
            "held out" if one["state"] == "held_out" else "",
            "; ".join(one["reasons"]),
        )
        for one in found["occurrences"]
    ]
    show.line(preview_said(found, period))
    if rows:
        show.table(["when", "contact", "", "why"], rows)
    more = found["would_have_fired"] + found["held_out"] - len(rows)
    if more:
        show.line(f"… and {more:,} more (--limit N shows N).")
    for note in found["notes"]:
        show.line(f"Note: {note}")


def preview_said(found: dict[str, Any], period: str | None) -> str:
    """What would have been done, in a sentence."""
    when = f"in {period}" if period else "in the last 30 days"
    times = f"would have fired {found['would_have_fired']:,} times {when}"
    said = f"{found['action']} {times}, for {found['contacts']:,} contacts"
    more = [f"{count:,} passed over: {WHY.get(why, why)}" for why, count in sorted(found["passed"].items())]
    if found["held_out"]:
        more.insert(0, f"{found['held_out']:,} held out")
    return f"{said}{'; ' + ', '.join(more) if more else ''}."


WHY = {
    "before": "it was so when the action was switched on",
    "begin": "it came with an import",
    "condition": "`when` does not hold",
    "cooldown": "cooldown",
    "merged": "it was decided of a contact that is part of it now",
    "suppressed": "nobody is told of it",
    "mode": "the destination is of the other mode",
}


@app.command()
def report(key: Key, as_json: AsJson = False) -> None:
    """Show whether an action reached its goal, beside those that were held out."""
    from tidegate.cli import show
    from tidegate.cli.amounts import money, percent
    from tidegate.workflows.lifecycle import lifecycle_actions

    found = _asked(lambda db: lifecycle_actions.reported(db, key))
    if as_json:
        show.document(found)
        return
    show.line(f"{key} fired {found['fired']:,} times; {found['held_out']:,} were held out, {found['failed']:,} failed.")
    names = {"fired": "acted on", "held_out": "held out"}
    if found["groups"]:
        rows = [
            (names[group], one["contacts"], one["measured"], one["reached"], percent(one["share"]), one["running"])
            for group, one in found["groups"].items()
        ]
        show.table(["", "contacts", "time is over", "reached", "share", "still running"], rows)
    if (difference := found["difference"]) is not None:
        value, low, high = (f"{100 * difference[end]:+.1f}" for end in ("value", "low", "high"))
        show.line(f"Difference: {value} points, from {low} to {high} ({difference['method']}).")
    show.line(found["verdict"])
    if found["mrr"]:
        amounts = ("before", "kept", "expanded")
        rows = [(names[one["group"]], *(money(one[name], one["currency"]) for name in amounts)) for one in found["mrr"]]
        show.table(["MRR", *amounts], rows)


@app.command()
def fired(
    key: Key,
    all_: Annotated[bool, typer.Option("--all", help="Also what was passed over, and why.")] = False,
    before: Annotated[int | None, typer.Option("--before", metavar="ID", help="Older ones, for the next page.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show for whom an action fired, newest first, and what became of it."""
    from tidegate.cli import show
    from tidegate.workflows.lifecycle import lifecycle_actions

    found = _asked(lambda db: lifecycle_actions.fired(db, key, passed=all_, before=before, limit=limit))
    if as_json:
        show.document({"action": key, "fired": found, "next": found[-1]["id"] if len(found) == limit else None})
        return
    rows = [
        (
            one["id"], one["decided_at"], one["name"] or one["contact"],
            one["state"].replace("_", " ") + (f": {WHY.get(one['why'], one['why'])}" if one["why"] else ""),
            "; ".join(one["reasons"]), one["goal"],
            ", ".join(f"{sent['destination']} {sent['state']}" for sent in one["deliveries"]),
        )
        for one in found
    ]  # fmt: skip
    show.table(["id", "when", "contact", "", "why", "goal", "sent to"], rows)
    if not found:
        show.line("It has not fired yet.")


@app.command()
def suggest(as_json: AsJson = False) -> None:
    """Print actions to begin with, as a section of tidegate.yaml; each is off until `enabled: false` is taken away."""
    import sys

    from tidegate.cli import show
    from tidegate.workflows.config.config_yaml import dump
    from tidegate.workflows.lifecycle import lifecycle_actions

    found = _asked(lifecycle_actions.suggested)
    if as_json:
        show.document({"actions": found})
    else:
        sys.stdout.write(dump({"actions": found}))


def trigger_said(on: Any) -> str:
    """A trigger in a few words."""
    if isinstance(on, str):
        return on.replace("_", " ")
    [(kind, what)] = on.items()
    told = " or ".join(map(str, what)) if isinstance(what, list) else str(what)  # pyright: ignore[reportUnknownArgumentType]
    if kind.endswith("_in_days"):
        said: dict[str, Any] = cast("dict[str, Any]", what) if isinstance(what, dict) else {"days": cast("Any", what)}
        months = said.get("interval_months", 0)
        of = f", of intervals of {months:g} months or more" if months else ""
        return f"{kind.removesuffix('_days').replace('_', ' ')} {said['days']} days{of}"
    return f"{kind.replace('_', ' ')} {told}"


def _asked(of: "Callable[[Connection], Any]") -> Any:
    from tidegate.cli.hub import opened

    with opened() as hub, hub.engine.connect() as db:
        return of(db)
