"""`tidegate stages` and `tidegate segments`: who is where, who would be by other rules, and the change."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.amounts import money
from tidegate.cli.lifecycle_figures import drivers, report
from tidegate.cli.options import AsJson, ConnectionName
from tidegate.cli.previews import Previewed, Token, Yes

if TYPE_CHECKING:
    from tidegate.lifecycle.rules import Rule
    from tidegate.workflows.lifecycle.lifecycle_rules import Preview

app = typer.Typer(help="The stage that each contact is in.", no_args_is_help=True)
segments_app = typer.Typer(help="Segments, any number of them for each contact.", no_args_is_help=True)


@app.command("list")
def list_(connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """List the stages in their order, with the contacts and the MRR in each."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.lifecycle import listing, rulebook

    with opened() as hub, hub.engine.connect() as db:
        found = listing.stages(db, rulebook.load(db).stages, hub.livemode_if_any(connection))
    if as_json:
        show.document({"stages": found})
        return
    rows = [
        (place, one["key"], one["name"], one["contacts"], paid(one["mrr"]), one.get("median_days"), said(one["when"]))
        for place, one in enumerate(found, 1)
    ]
    show.table(["", "key", "name", "contacts", "MRR", "median days", "when"], rows)


@segments_app.command("list")
def list_segments(connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """List the segments, with the contacts and the MRR in each."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.lifecycle import listing, rulebook

    with opened() as hub, hub.engine.connect() as db:
        found = listing.segments(db, rulebook.load(db).segments, hub.livemode_if_any(connection))
    if as_json:
        show.document({"segments": found})
        return
    rows = [(one["key"], one["name"], one["contacts"], paid(one["mrr"]), said(one["when"])) for one in found]
    show.table(["key", "name", "contacts", "MRR", "when"], rows)


@app.command("use")
def use(
    preset: Annotated[str, typer.Argument(metavar="PRESET", help="default, or journy.")],
    preview: Previewed = False,
    token: Token = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Use the stages of a preset; who would move is shown first. Stages of your own stand in tidegate.yaml."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.lifecycle.lifecycle_rules import change
    from tidegate.workflows.lifecycle.lifecycle_rules import preset as named

    stages: Sequence[Rule] = named(preset)
    with opened(may_migrate=True) as hub:
        ask = not (token or yes or as_json or preview) and sys.stdin.isatty()
        if preview or ask:
            found = change(hub.engine, person(), stages=stages, only_preview=True)
            if not as_json:
                say(found)
            token = found.token
        if ask:
            typer.confirm("Do it?", abort=True, err=True)
        if not preview:
            found = change(hub.engine, person(), stages=stages, token=token)
    if as_json:
        show.document(found.as_json())  # pyright: ignore[reportPossiblyUnboundVariable]
    elif not preview:
        show.line(f"{found.contacts:,} contacts moved.")  # pyright: ignore[reportPossiblyUnboundVariable]


def say(found: "Preview") -> None:
    """Who would move, as tables, with the token that does it."""
    from tidegate.cli import show

    told = found.as_json()
    rows = [(one["from"] or "nowhere yet", one["to"], one["contacts"]) for one in told["moves"]]
    show.table(["from", "to", "contacts"], rows)
    for word in ("entered", "left"):
        for segment, count in told[word].items():
            show.line(f"{count:,} contacts: segment {segment} {word}")
    show.line(f"{found.contacts:,} contacts would move. To do exactly this: --token {found.token}")


app.command("report")(report)
app.command("drivers")(drivers)


def paid(amounts: Sequence[Mapping[str, Any]]) -> str:
    """`295.00 USD, 1,200 JPY`; a dash for nothing."""
    return ", ".join(money(one["mrr"], one["currency"]) for one in amounts) or "–"


def said(when: Any) -> str:
    """A condition in a line."""
    if when is None:
        return "no other holds"
    if "field" in when:
        tests = [f"{when['field']} {word.replace('_', ' ')} {_plain(value)}" for word, value in when.items()][1:]
        return " and ".join(tests)
    [(word, rest)] = when.items()
    if word == "not":
        return f"not ({said(rest)})"
    if word == "condition":
        return str(rest).replace("_", " ")
    return f" {'and' if word == 'all' else 'or'} ".join(
        f"({said(one)})" if {"all", "any"} & {*one} else said(one) for one in rest
    )


def _plain(value: Any) -> str:
    return " or ".join(str(one) for one in value) if isinstance(value, list) else str(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
