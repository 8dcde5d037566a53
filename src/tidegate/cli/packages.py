"""`tidegate packages`: sets of features in versions; published, and held until their subscribers are migrated."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import AsJson, ConnectionName
from tidegate.cli.previews import MOST_LISTED, Listed, Previewed, Token, Yes

if TYPE_CHECKING:
    from tidegate.workflows.previewing import Change

app = typer.Typer(help="Packages: sets of features, in versions.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(metavar="PACKAGE", help="Its key, as `tidegate packages list` shows.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the packages with their newest version and how many contacts hold them now."""
    from tidegate.catalog import packages
    from tidegate.catalog.words import terms
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.lifecycle import holders

    with opened() as hub, hub.engine.connect() as db:
        found = holders.of_packages(db, packages.every(db), hub.livemode_of_lists())
    if as_json:
        show.document({"packages": found})
        return
    rows = [
        (
            one["key"],
            one["name"],
            one["kind"] + (", default" if one["is_default"] else ""),
            f"{one['version'] or 'none'}" + (", a draft waits" if one["draft"] is not None else ""),
            one["contacts"],
            terms(one["features"] or {}),
        )
        for one in found
    ]
    show.table(["key", "name", "kind", "version", "contacts", "features"], rows)
    show.line(f"{len(found):,} packages" if found else "No packages yet: `tidegate mappings suggest` proposes some.")


@app.command("show")
def show_(package: Key, as_json: AsJson = False) -> None:
    """Show a package: its versions with how many contacts hold each now, and what is mapped to it."""
    from tidegate.catalog.words import terms
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.lifecycle import holders

    with opened() as hub, hub.engine.connect() as db:
        found = holders.of_package(db, package, hub.livemode_of_lists())
    if as_json:
        show.document(found)
        return
    show.line(f"{found['key']}: {found['name'] or 'no name'}, {found['kind']}")
    if found["is_default"]:
        show.line("It is the default: whoever has no base package has it.")
    if found["managed_by"]:
        show.line("It is managed by tidegate.yaml.")
    versions = [
        (one["version"], one["published_at"] or "a draft", one["contacts"], terms(one["features"]))
        for one in found["versions"]
    ]
    show.table(["version", "published", "contacts", "features"], versions)
    if found["mappings"]:
        mapped = [(one["id"], one["connection"], one["price"] or one["product"]) for one in found["mappings"]]
        show.line()
        show.table(["mapping", "connection", "price or product"], mapped)


@app.command()
def publish(
    package: Key,
    feature: Annotated[
        list[str] | None,
        typer.Option(
            "--feature",
            metavar="KEY=TERMS",
            help="What the version gives: sso=true, seats=10, calls={limit: 1000, reset: month}; may be repeated, and "
            "then is all of it. Without any, the draft that waits.",
        ),
    ] = None,
    move: Annotated[
        bool, typer.Option("--move", help="Subscribers get it at once, after a preview of who gains and loses what.")
    ] = False,
    preview: Previewed = False,
    yes: Yes = False,
    token: Token = None,
    as_json: AsJson = False,
    listed: Listed = MOST_LISTED,
) -> None:
    """Publish a version. Subscribers stay on theirs until they are migrated; new ones get this one."""
    from tidegate.cli.who import person
    from tidegate.workflows.catalog import catalog_changes

    given = given_features(feature) if feature else None
    change = catalog_changes.publish_package(package, person(), features=given, move=move)
    _finish(change, preview, yes, token, as_json, listed, _published)


@app.command()
def migrate(
    package: Key,
    to: Annotated[int | None, typer.Option("--to", metavar="VERSION", help="A version; else the newest.")] = None,
    subscription: Annotated[
        list[str] | None, typer.Option(metavar="SUB", help="Only this one, sub_…; may be repeated.")
    ] = None,
    preview: Previewed = False,
    yes: Yes = False,
    token: Token = None,
    as_json: AsJson = False,
    listed: Listed = MOST_LISTED,
) -> None:
    """Move subscribers to another version of the package, after a preview of who gains and loses what."""
    from tidegate.cli.who import person
    from tidegate.workflows.catalog import catalog_changes

    change = catalog_changes.migrate_package(package, person(), to=to, subscriptions=subscription)
    _finish(change, preview, yes, token, as_json, listed, _migrated)


@app.command()
def history(
    about: Annotated[
        str, typer.Argument(metavar="[KEY]", help="Only of this package, feature, price or product; else of all.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many.")] = 50,
    after: Annotated[int | None, typer.Option(min=1, metavar="N", help="`next` of the page before.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show who changed what of packages, features and mappings, newest first."""
    from tidegate.catalog import journal
    from tidegate.cli import show
    from tidegate.cli.hub import opened

    with opened() as hub, hub.engine.connect() as db:
        found = journal.page(db, about=about, before=after, limit=limit + 1)
    following = found[limit - 1]["id"] if len(found) > limit else None
    if as_json:
        show.document({"changes": found[:limit], "next": following})
        return
    rows = [(one["at"], one["by"], one["action"], one["subject"], _detail(one["detail"])) for one in found[:limit]]
    show.table(["at", "by", "what", "of", "detail"], rows)
    if following:
        show.line(f"More with --after {following}")


@app.command("create-in-stripe")
def create_in_stripe(
    package: Key,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show the requests; nothing is sent, no key is needed.")
    ] = False,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Create the product and the prices in Stripe that the package names and Stripe lacks, and map them.

    Needs a key that may write products and prices (`tidegate connect --write-key`). Running it again creates nothing.
    """
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.catalog import catalog_stripe

    with opened(may_migrate=not dry_run) as hub:
        account = hub.account(connection)
        if dry_run:
            with hub.engine.connect() as db:
                found = catalog_stripe.plan(db, account, package).as_json()
        else:
            found = catalog_stripe.create(hub.engine, account, package, hub.stripe_writing, person())
    if as_json:
        show.document(found)
        return
    for request in found["requests"]:
        show.line(f"{request['method']} {request['path']}")
        for name, value in request["form"].items():
            show.line(f"    {name}={value}")
        show.line(f"    Idempotency-Key: {request['idempotency_key']}")
    for one in found["known"]:
        show.line(f"Known already: {one}")
    if found["done"]:
        show.line(f"Created: {', '.join(found['created']) or 'nothing, Stripe has it all'}.")
        show.line(f"Mapping {found['mapping']}: {found['means']}.")
    else:
        show.line(f"{len(found['requests']):,} requests would be sent." if found["requests"] else "Nothing to create.")


def given_features(given: list[str]) -> dict[str, Any]:
    """`key=terms` as a feature's terms by key; terms are YAML. Raises CatalogInvalid."""
    from tidegate.workflows.config.config_yaml import value_of

    return dict(value_of(one, "--feature") for one in given)


def _detail(said: dict[str, Any]) -> str:
    """What else is known of a change; lists and tables by their size."""
    told = {name: f"{len(value):,}" if isinstance(value, list | dict) else value for name, value in said.items()}  # pyright: ignore[reportUnknownArgumentType]
    return ", ".join(f"{name} {value}" for name, value in told.items() if value not in (None, "", False, "0"))


def _published(result: dict[str, Any]) -> str:
    if not result["changed"]:
        return f"Version {result['version']} of {result['package']} gives the same already."
    key, told = result["package"], f"Version {result['version']} of {result['package']} is published."
    if result["stay"]:
        told += f" {result['stay']:,} contacts stay on an older one"
        told += ", which gives nothing at all" if result["stay_with_nothing"] == result["stay"] else ""
        told += f": `tidegate packages migrate {key}` moves them, with `--preview` first."
    return told


def _migrated(result: dict[str, Any]) -> str:
    return f"{result['moved']:,} subscriptions of {result['package']} are on version {result['version']} now."


def _finish(
    change: "Change", preview: bool, yes: bool, token: str | None, as_json: bool, listed: int, told: Any
) -> None:
    from tidegate.cli.hub import opened
    from tidegate.cli.previews import carry_out, tell

    with opened(may_migrate=True) as hub:
        found = carry_out(hub.engine, change, only_preview=preview, yes=yes, token=token, as_json=as_json)
    tell(found, [told(found.result)] if found.done else [], as_json=as_json, listed=listed)
