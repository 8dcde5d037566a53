"""`tidegate mappings`: what Stripe's prices and products mean; set, removed, proposed, and what still waits."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import AsJson, ConnectionName
from tidegate.cli.previews import MOST_LISTED, KeepHolders, Listed, Previewed, Token, Yes
from tidegate.cli.suggest import suggest

if TYPE_CHECKING:
    from tidegate.wiring import Hub
    from tidegate.workflows.previewing import Change, Preview

app = typer.Typer(help="What Stripe's prices and products mean.", no_args_is_help=True)
app.command()(suggest)

Source = Annotated[str, typer.Argument(metavar="PRICE|PRODUCT", help="Stripe's price_… or prod_….")]


@app.command("list")
def list_(connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """List the mappings in force, with how many contacts each gives something now, and what holders keep of others."""
    from tidegate.catalog import kept, mappings
    from tidegate.catalog.names import called
    from tidegate.catalog.words import meaning
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.lifecycle import holders

    with opened() as hub:
        name = hub.account(connection).name if connection else None
        with hub.engine.connect() as db:
            found, held = holders.of_mappings(db, mappings.every(db, name)), kept.every(db, name)
    if as_json:
        show.document({"mappings": found, "kept": held})
        return
    rows = [
        (
            one["id"],
            one["connection"],
            one["price"] or one["product"],
            called(one["product_name"], one["nickname"], one["interval"], one["interval_count"]),
            meaning(one),
            "yes" if one["per_quantity"] else "no",
            one["contacts"],
        )
        for one in found
    ]
    show.table(["id", "connection", "price or product", "name", "means", "per quantity", "contacts"], rows)
    show.line(f"{len(found):,} mappings")
    if held:
        show.line()
        show.table(
            ["kept by holders", "name", "means to them", "subscriptions", "since"],
            [(one["price"], one["product_name"], meaning(one), one["subscriptions"], one["since"]) for one in held],
        )
        show.line("`tidegate mappings remove PRICE --all-holders` ends that.")


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
    listed: Listed = MOST_LISTED,
) -> None:
    """Map a price or a product to a package or a feature, in place of what it was mapped to."""
    from tidegate.catalog.mappings import Wanted
    from tidegate.cli.hub import opened
    from tidegate.cli.previews import carry_out, tell
    from tidegate.cli.who import person
    from tidegate.workflows.catalog.catalog_changes import set_mapping

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
    done = "is mapped" if found.result["changed"] else "is mapped so already"
    tell(found, _done(found, done, source), as_json=as_json, listed=listed)


@app.command()
def remove(
    mapping: Annotated[str, typer.Argument(metavar="ID|PRICE|PRODUCT", help="Its number, or what it is of.")],
    keep_holders: KeepHolders = True,
    preview: Previewed = False,
    yes: Yes = False,
    token: Token = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
    listed: Listed = MOST_LISTED,
) -> None:
    """Take a mapping out of force. A preview names who would lose what; its token does exactly that.

    With --all-holders it ends what holders keep of a price or product, mapped now or not.
    """
    from tidegate.cli.hub import opened
    from tidegate.cli.previews import carry_out, tell
    from tidegate.cli.who import person

    with opened(may_migrate=True) as hub:
        change = _removal(hub, connection, mapping, person(), keep_holders)
        found = carry_out(hub.engine, change, only_preview=preview, yes=yes, token=token, as_json=as_json)
    if "released" in found.result:
        done = [f"{found.result['released']:,} prices of subscriptions are kept no longer."]
    else:
        done = _done(found, "is removed", mapping)
    tell(found, done, as_json=as_json, listed=listed)


@app.command()
def queue(connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """List the prices of live subscriptions that nothing maps, with what waits on each."""
    from tidegate.catalog import mappings
    from tidegate.catalog.words import list_value
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


@app.command()
def ignore(
    price: Annotated[str, typer.Argument(metavar="PRICE", help="Stripe's price_….")],
    undo: Annotated[bool, typer.Option("--undo", help="Let it wait for a mapping again.")] = False,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Let a price mean nothing: it gives nobody anything, and waits for no mapping any more."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows import previewing
    from tidegate.workflows.catalog import catalog_changes

    with opened(may_migrate=True) as hub:
        change = catalog_changes.ignore_price(hub.account(connection).name, price, person(), heed=undo)
        done = previewing.settle(hub.engine, change).result
    if as_json:
        show.document(done)
    else:
        show.line(f"{price} {'is ignored' if done['ignored'] else 'waits for a mapping, where it is subscribed to'}.")


def source_of(given: str) -> dict[str, str]:
    """A price or a product, told by its id. Ids of old products and plans have no prefix: `product:ID`, `price:ID`."""
    kind, _, rest = given.partition(":")
    if rest and kind in ("price", "product"):
        return {kind: rest}
    return {"product": given} if given.startswith("prod_") else {"price": given}


def given_terms(limit: int | None, unlimited: bool, reset: str, value: str) -> dict[str, Any] | None:
    """The terms that the options say; None: nothing. Raises CatalogInvalid for a value that is no YAML."""
    from tidegate.workflows.config.config_yaml import value_of

    said: dict[str, Any] = {"limit": limit, "unlimited": unlimited or None, "reset": reset or None}
    if value:
        said["value"] = value_of(f"value={value}", "--value")[1]
    return {name: one for name, one in said.items() if one is not None} or None


def _removal(hub: "Hub", connection: str | None, mapping: str, by: str, keep_holders: bool) -> "Change":
    """The change that removes a mapping, or that ends what is kept where nothing is in force. Raises CatalogUnknown."""
    from tidegate.catalog import kept, mappings
    from tidegate.errors import CatalogUnknown
    from tidegate.workflows.catalog.catalog_changes import release_kept, remove_mapping

    with hub.engine.connect() as db:
        if mapping.isdecimal():
            return remove_mapping(db, int(mapping), by, keep_holders=keep_holders)
        name, of = hub.account(connection).name, source_of(mapping)
        price, product = of.get("price"), of.get("product")
        known = mappings.in_force(db, name, price, product)
        if known is not None:
            return remove_mapping(db, known["id"], by, keep_holders=keep_holders)
        if not keep_holders and any(mapping in (one["price"], one["product"]) for one in kept.every(db, name)):
            return release_kept(name, price, product, by)
    raise CatalogUnknown(what="mapping of", key=mapping, nearest="", list="mappings")


def _done(found: "Preview", done: str, what: str) -> list[str]:
    result, lines = found.result, list[str]()
    if found.done:
        lines.append(f"{what[:1].upper()}{what[1:]} {done} (mapping {result['mapping']}).")
    if result["kept"]:
        lines.append(
            f"Kept for those who hold it: {result['kept']:,} prices of subscriptions; --all-holders ends that."
        )
    return lines
