"""`tidegate setup`: leads from a Stripe key to contacts with entitlements, each step shown before it is done."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tidegate.cli.connect import ApiBase, ApiKey, Name
from tidegate.cli.options import AsJson
from tidegate.cli.previews import MOST_LISTED

if TYPE_CHECKING:
    from tidegate.connections.accounts import Account
    from tidegate.wiring import Hub

MappingChoice = Annotated[
    Literal["ask", "accept", "skip"],
    typer.Option("--mappings", help="What becomes of the suggested mappings; `ask` wants a terminal."),
]
Write = Annotated[
    Path | None, typer.Option("--write", metavar="FILE", help="Write the suggestions as a part of tidegate.yaml.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A contact setting, as in `tidegate contacts settings`."),
]
AlertRoute = Annotated[
    str | None,
    typer.Option("--alert-route", metavar="DESTINATION", help="Where alerts go; a terminal is asked for an address."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Ask nothing: suggestions are accepted, settings taken as given.")]


def setup(
    api_key: ApiKey = "",
    name: Name = "",
    api_base: ApiBase = "",
    mappings: MappingChoice = "ask",
    write: Write = None,
    set_: Settings = None,
    alert_route: AlertRoute = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Set a Stripe account up, step by step: key, permissions, what is there, mappings, contacts, alerts, import.

    Nothing is written to Stripe. Every step can be done again by itself; `--yes` and the options answer all questions.
    """
    from tidegate.cli import show
    from tidegate.cli.hub import opened

    choice = "accept" if yes and mappings == "ask" else mappings
    say = show.remark if as_json else show.line
    given = _request(api_key, name, api_base)
    with opened(may_migrate=True) as hub:
        result: dict[str, Any] = {}
        account = _connect(hub, given, result, say)
        _look(hub, account, result, say)
        _map(hub, account, choice, write, result, say, as_json)
        _match(hub, account, set_ or [], yes, result, say, as_json)
        _route(hub, alert_route, yes, result, say)
        _import(hub, account, result, say)
        _end(hub, account, result, say)
    if as_json:
        show.document(result)
    if result["import"]["state"] != "done":
        raise typer.Exit(1)


def _request(api_key: str, name: str, api_base: str) -> Any:
    from tidegate.cli.connect import asked, secret_of
    from tidegate.cli.hub import configured
    from tidegate.workflows.mirror.connect import ConnectRequest

    config = configured()
    key = secret_of("--api-key", api_key) or config.stripe_api_key.get_secret_value() or asked("Stripe secret key")
    return ConnectRequest(api_key=key, name=name, api_base=api_base or config.stripe_api_base)


def _connect(hub: "Hub", given: Any, result: dict[str, Any], say: Any) -> "Account":
    from tidegate.cli.connect import permissions_of, stored

    account = stored(hub, given)
    mode = "live" if account.livemode else "test"
    say(f"1. Connected {account.display_name} ({account.account}, {mode} mode) as {account.name}.")
    looked = permissions_of(hub, account)
    result |= {"connection": account.name, "account": account.account, "mode": mode, **looked}
    refused = [one["endpoint"] for one in looked["permissions"] if one["allowed"] is False]
    if looked["permissions_error"]:
        say(f"2. What the key may read could not be looked at: {looked['permissions_error']}")
    elif refused:
        say(f"2. The key may NOT read {', '.join(refused)}; these are left out until it may.")
    else:
        say(f"2. The key may read all {len(looked['permissions'])} kinds of objects.")
    return account


def _look(hub: "Hub", account: "Account", result: dict[str, Any], say: Any) -> None:
    """Reads what the questions are about, and says how much of it there is."""
    from tidegate.workflows.mirror import first_look

    result["first"] = _read(hub, account, first_look.RESOURCES)
    with hub.engine.connect() as db:
        result["found"] = found = first_look.found(db, account.name)
    say(f"3. Found {', '.join(f'{number:,} {table}' for table, number in found.items())}.")


def _read(hub: "Hub", account: "Account", resources: tuple[str, ...]) -> dict[str, Any]:
    from tidegate.cli import progress
    from tidegate.cli.import_ import step
    from tidegate.cli.who import person
    from tidegate.workflows.mirror.import_account import ImportOptions, import_account

    options = ImportOptions(resources, readers=hub.settings.import_readers, actor=person())
    with hub.stripe(account) as api, progress.shown() as tell:
        return import_account(hub.engine, account, api, options, progress=lambda now: tell(step(now)))


def _map(
    hub: "Hub",
    account: "Account",
    choice: str,
    write: Path | None,
    result: dict[str, Any],
    say: Any,
    as_json: bool,
) -> None:
    from tidegate.cli.suggest import say_suggestions
    from tidegate.cli.who import person
    from tidegate.workflows.catalog import catalog_suggest
    from tidegate.workflows.config.config_yaml import dump

    with hub.engine.connect() as db:
        wanted, left = catalog_suggest.found(db, account.name)
    result["suggestions"] = [catalog_suggest.as_json(one) for one in wanted]
    say(f"4. {len(wanted):,} mappings are suggested, {len(left):,} products are left to you.")
    if not as_json:
        say_suggestions(wanted, left)
    if write is not None:
        write.write_text(dump(catalog_suggest.entries(wanted)), encoding="utf-8")
        say(f"   Written to {write}: edit it, then `tidegate config apply {write}`.")
    take = bool(wanted) and (choice == "accept" or (choice == "ask" and _agreed("Accept these mappings?")))
    result["accepted"] = catalog_suggest.accept(hub.engine, account.name, wanted, person()).result if take else None
    if not take:
        say("   Nothing is mapped; `tidegate mappings suggest --accept` does it later.")


def _match(
    hub: "Hub", account: "Account", given: list[str], yes: bool, result: dict[str, Any], say: Any, as_json: bool
) -> None:
    from tidegate.cli.contacts_review import parsed, print_effect
    from tidegate.cli.who import person
    from tidegate.workflows.contacts import contacts_settings

    settings = dict(parsed(one) for one in given)
    effect = contacts_settings.preview(hub.engine, account, settings)
    say("5. Customers and your contacts:")
    if not as_json:
        print_effect(effect, hint=False)
    if yes or _agreed("Match them like this?"):
        effect = contacts_settings.commit(hub.engine, account, settings, person(), effect.token)
    else:
        say("   Nobody is matched by other settings; `tidegate contacts settings` does it later.")
    result["contacts"] = effect.as_json(MOST_LISTED)


def _route(hub: "Hub", destination: str | None, yes: bool, result: dict[str, Any], say: Any) -> None:
    """Where alerts go that no owner is sent: a destination that there is, else one made of what a person types."""
    import sys

    from tidegate.cli.who import person
    from tidegate.lifecycle import routes
    from tidegate.workflows.lifecycle import people

    with hub.engine.connect() as db:
        known = routes.load(db)
    if destination is None and not known.destination and not yes and sys.stdin.isatty():
        destination = _asked_for_alerts(hub)
    if destination is not None:
        known = people.put_route(hub.engine, replace(known, destination=destination), person())
    result["alert_route"] = known.destination or None
    if known.destination:
        say(f"6. Alerts go to {known.destination}; `tidegate destinations test {known.destination}` tries it.")
    else:
        say("6. Alerts go nowhere yet; `tidegate alerts route DESTINATION` changes that.")


def _asked_for_alerts(hub: "Hub") -> str | None:
    """The destination that a person names by an address; None: not yet."""
    from tidegate.errors import DestinationInvalid

    question = "Where should alerts go? An Apprise address such as slack://… or mailto://…; empty: nowhere yet"
    while url := str(typer.prompt(question, default="", show_default=False, hide_input=True, err=True)).strip():
        try:
            return made_for_alerts(hub, url)
        except DestinationInvalid as error:
            typer.echo(str(error), err=True)
    return None


def made_for_alerts(hub: "Hub", url: str) -> str:
    """A destination `alerts` at an Apprise address, or another key where that is taken; returns its key. Raises
    DestinationInvalid.
    """
    from tidegate.cli.who import person
    from tidegate.workflows.delivery import destinations

    with hub.engine.begin() as db:
        named = ("alerts", *(f"alerts-{number}" for number in range(2, 99)))
        key = next(one for one in named if not destinations.exists(db, one))
        said: dict[str, Any] = {"url": url, "events": [], "mode": "both"}
        destinations.define(db, key, "apprise", said, person(), variables={}, vault=lambda: hub.vault)
    return key


def _agreed(question: str) -> bool:
    """A person's word; without a terminal, no."""
    import sys

    return sys.stdin.isatty() and typer.confirm(question, err=True)


def _import(hub: "Hub", account: "Account", result: dict[str, Any], say: Any) -> None:
    from tidegate.workflows.refresh import refresh_changed

    result["import"] = summary = _read(hub, account, ())
    read = sum(counts["read"] for counts in summary["resources"].values())
    say(f"7. Imported: {read:,} objects, {summary['state']}.")
    for part, problem in summary["problems"].items():
        say(f"   {part}: {problem}")
    result["refreshed"] = refresh_changed(hub.engine, account).as_json()


def _end(hub: "Hub", account: "Account", result: dict[str, Any], say: Any) -> None:
    from tidegate.workflows.demo.demo_contacts import summary

    done = summary(hub.engine, account, 0)
    result["result"] = {
        name: getattr(done, name) for name in ("contacts", "linked", "in_review", "unmapped", "example")
    }
    say(
        f"8. {done.contacts:,} contacts; {done.linked:,} customers linked, {done.in_review:,} in review; "
        f"{done.unmapped:,} prices wait for a meaning."
    )
    if done.example:
        say(f"Next: `tidegate entitlements {done.example}`, and `tidegate serve` to keep it all current.")
    else:
        say("Next: `tidegate serve` keeps it all current.")
