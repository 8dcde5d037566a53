"""`tidegate mappings`: what Stripe's prices and products mean; set, removed, proposed, and what still waits."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import AsJson, ConnectionName
from tidegate.cli.previews import KeepHolders, Previewed, Token, Yes

if TYPE_CHECKING:
    from tidegate.catalog.suggestions import Left, Suggestion
    from tidegate.workflows.previewing import Preview

app = typer.Typer(help="What Stripe's prices and products mean.", no_args_is_help=True)

Source = Annotated[str, typer.Argument(metavar="PRICE|PRODUCT", help="Stripe's price_… or prod_….")]


@app.command("list")
def list_(connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """List the mappings in force, with the contacts that each gives something to."""
    from tidegate.catalog import mappings
    from tidegate.cli import show
    from tidegate.cli.hub import opened

    with opened() as hub:
        name = hub.account(connection).name if connection else None
        with hub.engine.connect() as db:
            found = mappings.every(db, name)
    if as_json:
        show.document({"mappings": found})
        return
    rows = [
        (
            one["id"],
            one["connection"],
            one["price"] or one["product"],
            one["product_name"],
            meaning(one),
            "yes" if one["per_quantity"] else "no",
            one["contacts"],
        )
        for one in found
    ]
    show.table(["id", "connection", "price or product", "name", "means", "per quantity", "contacts"], rows)
    show.line(f"{len(found):,} mappings")


@app.command("set")
def set_(
    source: Source,
    package: Annotated[str, typer.Option("--package", metavar="KEY", help="It means this package.")] = "",
    feature: Annotated[str, typer.Option("--feature", metavar="KEY", help="It means this feature.")] = "",
    limit: Annotated[int | None, typer.Option(min=0, help="Of a metered feature: units for each period.")] = None,
    unlimited: Annotated[bool, typer.Option("--unlimited", help="Of a metered feature: no limit.")] = False,
    reset: Annotated[
        str, typer.Option(metavar="PERIOD", help="hour, day, week, month, year, billing_period or never.")
    ] = "",
    value: Annotated[str, typer.Option(metavar="YAML", help="Of a config feature: its value.")] = "",
    per_quantity: Annotated[
        bool | None,
        typer.Option(
            "--per-quantity/--once",
            help="Limits are multiplied by the item's quantity, or not; else so for add-ons and features only.",
        ),
    ] = None,
    keep_holders: KeepHolders = True,
    preview: Previewed = False,
    yes: Yes = False,
    token: Token = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Map a price or a product to a package or a feature, in place of what it was mapped to."""
    from tidegate.catalog.mappings import Wanted
    from tidegate.cli.hub import opened
    from tidegate.cli.previews import carry_out, person
    from tidegate.workflows.catalog_changes import set_mapping

    terms = given_terms(limit, unlimited, reset, value)
    with opened(may_migrate=True) as hub:
        wanted = Wanted(
            hub.account(connection).name,
            **source_of(source),
            package=package or None,
            feature=feature or None,
            terms=terms,
            per_quantity=per_quantity,
            by=person(),
        )
        change = set_mapping(wanted, keep_holders=keep_holders)
        found = carry_out(hub.engine, change, only_preview=preview, yes=yes, token=token, as_json=as_json)
    _tell(found, as_json, "is mapped" if found.result["changed"] else "is mapped so already", source)


@app.command()
def remove(
    mapping: Annotated[str, typer.Argument(metavar="ID|PRICE|PRODUCT", help="Its number, or what it is of.")],
    keep_holders: KeepHolders = True,
    preview: Previewed = False,
    yes: Yes = False,
    token: Token = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Take a mapping out of force. A preview names who would lose what; its token does exactly that."""
    from tidegate.cli.hub import opened
    from tidegate.cli.previews import carry_out, person
    from tidegate.workflows.catalog_changes import remove_mapping

    with opened(may_migrate=True) as hub:
        number = int(mapping) if mapping.isdecimal() else _number(hub, hub.account(connection).name, mapping)
        with hub.engine.connect() as db:
            change = remove_mapping(db, number, person(), keep_holders=keep_holders)
        found = carry_out(hub.engine, change, only_preview=preview, yes=yes, token=token, as_json=as_json)
    _tell(found, as_json, "is removed", f"mapping {number}")


@app.command()
def queue(connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """List the prices of live subscriptions that nothing maps, with what waits on each."""
    from tidegate.catalog import mappings
    from tidegate.cli import show
    from tidegate.cli.hub import opened

    with opened() as hub:
        name = hub.account(connection).name
        with hub.engine.connect() as db:
            found = mappings.queue(db, name)
    if as_json:
        show.document({"connection": name, "waiting": found})
        return
    columns = ("price", "product", "product_name", "nickname", "subscriptions", "customers", "since")
    rows = [[*(one[column] for column in columns), list_value(one)] for one in found]
    show.table([*(column.replace("_", " ") for column in columns), "list value"], rows)
    show.line(
        f"{len(found):,} prices wait; `tidegate mappings set PRICE --package KEY` grants what they give."
        if found
        else "Nothing waits: every price of a live subscription is mapped."
    )


def source_of(given: str) -> dict[str, str]:
    """A price or a product, told by its id. Ids of old products and plans have no prefix: `product:ID`, `price:ID`."""
    kind, _, rest = given.partition(":")
    if rest and kind in ("price", "product"):
        return {kind: rest}
    return {"product": given} if given.startswith("prod_") else {"price": given}


def given_terms(limit: int | None, unlimited: bool, reset: str, value: str) -> dict[str, Any] | None:
    """The terms that the options say; None: nothing. Raises CatalogInvalid for a value that is no YAML."""
    from tidegate.workflows.config_yaml import value_of

    said: dict[str, Any] = {"limit": limit, "unlimited": unlimited or None, "reset": reset or None}
    if value:
        said["value"] = value_of(f"value={value}", "--value")[1]
    return {name: one for name, one in said.items() if one is not None} or None


def meaning(row: dict[str, Any]) -> str:
    """What a mapping leads to, in words."""
    from tidegate.cli.packages import terms

    return f"package {row['package']}" if row["package"] else f"feature {terms({row['feature']: row['terms'] or {}})}"


def list_value(row: dict[str, Any]) -> str:
    """What waits is worth, at list price: `14.00 USD per month`; empty where tiers decide."""
    from tidegate.money import shown

    if row["list_value"] is None:
        return ""
    count = row["interval_count"] or 1
    every = row["interval"] if count == 1 else f"{count} {row['interval']}s"
    return shown(row["list_value"], row["currency"]) + (f" per {every}" if row["interval"] else "")


def _number(hub: Any, connection: str, source: str) -> int:
    from tidegate.catalog import mappings
    from tidegate.errors import CatalogUnknown

    of = source_of(source)
    with hub.engine.connect() as db:
        known = mappings.in_force(db, connection, of.get("price"), of.get("product"))
    if known is None:
        raise CatalogUnknown(what="mapping of", key=source, nearest="", list="mappings")
    return int(known["id"])


def _tell(found: "Preview", as_json: bool, done: str, what: str) -> None:
    from tidegate.cli import show
    from tidegate.cli.previews import say

    if as_json:
        show.document(found.as_json())
        return
    if found.features or not found.done:
        say(found)
    result = found.result
    if found.done:
        show.line(f"{what[:1].upper()}{what[1:]} {done} (mapping {result['mapping']}).")
    if result["kept"]:
        show.line(f"Kept for those who hold it: {result['kept']:,} prices of subscriptions; --all-holders ends that.")


@app.command()
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
) -> None:
    """Propose features, packages and mappings from products, prices and subscriptions; accept all, or the named ones.

    Accepted ones are undone with `tidegate mappings remove`.
    """
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.previews import person
    from tidegate.workflows import catalog_suggest
    from tidegate.workflows.catalog_changes import concerned
    from tidegate.workflows.config_yaml import dump

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
            "accepted": done.as_json() if done else None,
        }
        show.document(document)
        return
    _say_suggestions(wanted, left)
    if done:
        numbers = [str(number) for one in done.result["accepted"] for number in one["mappings"]]
        show.line(f"Accepted: mappings {', '.join(numbers)}; `tidegate mappings remove` takes one back.")
        show.line(f"{done.as_json()['gained']:,} entitlements are granted to {len(concerned(done)):,} contacts.")
    elif wanted and write is None:
        show.line("`--accept` makes them so, all or the named ones; `--write FILE` lets you edit them first.")
    if write is not None:
        show.line(f"Written to {write}; `tidegate config apply {write}` makes them so.")


def _say_suggestions(wanted: "Sequence[Suggestion]", left: "Sequence[Left]") -> None:
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


def _gives(one: "Suggestion") -> str:
    """What it maps to: a package's features, or a feature's terms."""
    from tidegate.cli.packages import terms

    if one.package is None and one.kind == "package":
        return "the package as it is"
    if one.package is not None:
        given: dict[str, Any] = {key: said if said is not True else {} for key, said in one.package["features"].items()}
        return terms(given) or "no features yet"
    row = one.mappings[0]
    return terms({one.key: {name: row[name] for name in ("limit", "unlimited", "reset") if name in row}})
