"""`tidegate mappings suggest`: what products and prices are taken for, and why; accepted, or written to a file."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import AsJson, ConnectionName
from tidegate.cli.previews import MOST_LISTED, Listed

if TYPE_CHECKING:
    from tidegate.catalog.proposals import Left, Suggestion
    from tidegate.workflows.previewing import Preview


def suggest(
    name: Annotated[
        list[str] | None, typer.Argument(metavar="NAME…", help="Only these, such as package:pro; without any, all.")
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Make the features, packages and mappings, and grant what they give.")
    ] = False,
    write: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write them as a part of tidegate.yaml, to edit and apply."),
    ] = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
    listed: Listed = MOST_LISTED,
) -> None:
    """Propose features, packages and mappings from products, prices and subscriptions; accept all, or the named ones.

    Accepted ones are undone with `tidegate mappings remove`.
    """
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.catalog import catalog_suggest
    from tidegate.workflows.config.config_yaml import dump

    with opened(may_migrate=accept) as hub:
        account = hub.account(connection)
        with hub.engine.connect() as db:
            every, left = catalog_suggest.found(db, account.name)
        wanted = catalog_suggest.chosen(every, name or [])
        done = catalog_suggest.accept(hub.engine, account.name, wanted, person()) if accept and wanted else None
    if write is not None:
        write.write_text(dump(catalog_suggest.entries(wanted)), encoding="utf-8")
    if as_json:
        document = {
            "connection": account.name,
            "suggestions": [catalog_suggest.as_json(one) for one in wanted],
            "left": [asdict(one) for one in left],
            "accepted": done.as_json(listed) if done else None,
        }
        show.document(document)
        return
    say_suggestions(wanted, left)
    if done:
        say_accepted(done, wanted)
    elif wanted and write is None:
        show.line("`--accept` makes them so, all or the named ones; `--write FILE` lets you edit them first.")
    if write is not None:
        show.line(f"Written to {write}; `tidegate config apply {write}` makes them so.")


def say_accepted(done: "Preview", wanted: "Sequence[Suggestion]") -> None:
    """The mappings that were made, what they grant, and what of the packages gives nothing yet."""
    from tidegate.cli import show

    numbers = [str(number) for one in done.result["accepted"] for number in one["mappings"]]
    show.line(f"Accepted: mappings {', '.join(numbers)}; `tidegate mappings remove` takes one back.")
    show.line(f"{done.as_json(0)['gained']:,} entitlements are granted to {done.concerned:,} contacts.")
    for key in _empty(wanted):
        show.line(
            f"The package {key} gives nothing yet: `tidegate packages publish {key} --feature KEY=TERMS`, then "
            f"`tidegate packages migrate {key}` for those who hold it."
        )


def say_suggestions(wanted: "Sequence[Suggestion]", left: "Sequence[Left]") -> None:
    """What is suggested, and what is left to a person."""
    from tidegate.cli import show

    rows = [(one.name, one.subscriptions, one.contacts, _gives(one), one.why) for one in wanted]
    if rows:
        show.table(["suggestion", "subscriptions", "contacts", "gives", "why"], rows)
    else:
        show.line("Nothing to suggest: what is subscribed to is mapped.")
    if left:
        show.line()
        show.table(
            ["left to you", "name", "subscriptions", "why"],
            [(one.id, one.name, one.subscriptions, one.why) for one in left],
        )


def _empty(wanted: "Sequence[Suggestion]") -> list[str]:
    """The packages that are made without any feature, since Stripe does not say what is in them."""
    return [one.key for one in wanted if one.package is not None and not one.package["features"]]


def _gives(one: "Suggestion") -> str:
    """What it maps to: a package's features, or a feature's terms."""
    from tidegate.catalog.words import terms

    if one.package is None and one.kind == "package":
        return "the package as it is"
    if one.package is not None:
        given: dict[str, Any] = {key: said if said is not True else {} for key, said in one.package["features"].items()}
        return terms(given) or "no features yet"
    row = one.mappings[0]
    return terms({one.key: {name: row[name] for name in ("limit", "unlimited", "reset") if name in row}})
