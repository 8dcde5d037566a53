"""`tidegate connect`: takes a Stripe key from where nobody sees it and stores the connection."""

import sys
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import AsJson

if TYPE_CHECKING:
    from tidegate.connections.accounts import Account
    from tidegate.wiring import Hub

GIVEN = "KEY itself, or - for a line of stdin."


def connect(
    api_key: Annotated[
        str, typer.Option(metavar="KEY|-", help=f"{GIVEN} Else STRIPE_API_KEY, else a hidden prompt.")
    ] = "",
    write_key: Annotated[str, typer.Option(metavar="KEY|-", help=f"{GIVEN} A second key, for outbound writes.")] = "",
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the connection; an existing one gets the key.")
    ] = "",
    api_base: Annotated[str, typer.Option(metavar="URL", help="Another server than Stripe's, such as a sandbox.")] = "",
    webhook_secret: Annotated[
        list[str] | None,
        typer.Option(metavar="SECRET|-", help="Signing secret of the webhook endpoint; again for each, newest first."),
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0, help="Requests a second in all; 0: no limit.")] = None,
    endpoint_rate: Annotated[float | None, typer.Option(min=0, help="The same, for one endpoint.")] = None,
    show_key_link: Annotated[
        bool,
        typer.Option(
            "--show-key-link", help="Only print where Stripe's dashboard makes a restricted key with the right boxes."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Connect a Stripe account by its key; a restricted read-only key is enough."""
    if show_key_link:
        _print_links(as_json)
        return
    from tidegate.cli import show
    from tidegate.cli.hub import configured, opened
    from tidegate.stripe_api.client import StripeApi
    from tidegate.stripe_api.limits import LocalBudget
    from tidegate.workflows.connect import ConnectRequest
    from tidegate.workflows.connect import connect as store

    config = configured()
    request = ConnectRequest(
        api_key=_secret("--api-key", api_key)
        or config.stripe_api_key.get_secret_value()
        or _asked("Stripe secret key"),
        name=name,
        write_key=_secret("--write-key", write_key),
        webhook_secrets=tuple(_secret("--webhook-secret", one) for one in webhook_secret or ()),
        api_base=api_base or config.stripe_api_base,
        rate=rate,
        endpoint_rate=endpoint_rate,
    )
    with opened(may_migrate=True) as hub:
        account = store(
            hub.engine, hub.vault, request, lambda key, base: closing(StripeApi(key, base=base, budget=LocalBudget()))
        )
        looked = _permissions(hub, account)
    if as_json:
        show.document(asdict(account) | looked)
        return
    mode = "live" if account.livemode else "test"
    show.line(f"Connected {account.display_name} ({account.account}, {mode} mode) as {account.name}.")
    _print_permissions(looked)
    show.line(f"Next: `tidegate import --connection {account.name}`.")


def _print_links(as_json: bool) -> None:
    """Where to make a restricted key, for live and for test mode."""
    from tidegate.cli import show
    from tidegate.stripe_api.key_link import key_link, key_permissions

    links = {"live": key_link(livemode=True), "test": key_link(livemode=False)}
    if as_json:
        show.document({**links, "permissions": key_permissions()})
        return
    for mode, link in links.items():
        show.line(f"{mode} mode: {link}")
    show.line("The form opens with these boxes set to Read; look them over, as Stripe may have renamed one:")
    show.line(", ".join(one.removeprefix("rak_").removesuffix("_read") for one in key_permissions()))


def _permissions(hub: "Hub", account: "Account") -> dict[str, Any]:
    """What the new key may read, or why that could not be looked at: the account is connected all the same."""
    from tidegate.errors import TidegateError
    from tidegate.workflows.probe import probe

    try:
        with hub.stripe(account) as api:
            return {"permissions": [one._asdict() for one in probe(hub.engine, account, api)], "permissions_error": ""}
    except TidegateError as error:
        return {"permissions": [], "permissions_error": str(error)}


def _print_permissions(looked: dict[str, Any]) -> None:
    from tidegate.cli import show

    if looked["permissions_error"]:
        show.line(f"What the key may read could not be looked at, and will be later: {looked['permissions_error']}")
        return
    allowed = sum(one["allowed"] is True for one in looked["permissions"])
    show.line(f"The key may read {allowed} of {len(looked['permissions'])} kinds of objects.")
    for one in looked["permissions"]:
        if one["allowed"] is not True:
            show.line(
                f"{'MAY NOT READ' if one['allowed'] is False else 'not known:'} {one['endpoint']}: {one['detail']}"
            )


def _secret(option: str, value: str) -> str:
    """A secret given by option: literally, with a warning, or as the next line of stdin."""
    from tidegate.cli.show import remark
    from tidegate.errors import UsageError

    if not value:
        return ""
    if value != "-":
        remark(f"warning: a secret after {option} stays in the shell's history and in process lists; use `{option} -`.")
        return value
    found = sys.stdin.readline().strip()
    if not found:
        raise UsageError(problem=f"{option} - was to be read from stdin, which has no line for it.")
    return found


def _asked(what: str) -> str:
    """A secret from a hidden prompt. Raises UsageError where nobody can be asked."""
    from tidegate.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError(problem=f"There is no {what}: set STRIPE_API_KEY, or give `--api-key -` and the key on stdin.")
    from tidegate.cli.show import remark
    from tidegate.stripe_api.key_link import key_link

    remark(f"A restricted key that may read what is mirrored is made at\n{key_link(livemode=True)}")
    remark("(for test mode: `tidegate connect --show-key-link`).")
    return str(typer.prompt(what, hide_input=True, err=True))
