"""`tidegate connect`: takes a Stripe key from where nobody sees it and stores the connection."""

import sys
from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer

from tidegate.cli.options import AsJson

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
    as_json: AsJson = False,
) -> None:
    """Connect a Stripe account by its key; a restricted read-only key is enough."""
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
    if as_json:
        show.document(asdict(account))
        return
    mode = "live" if account.livemode else "test"
    show.line(f"Connected {account.display_name} ({account.account}, {mode} mode) as {account.name}.")
    show.line(f"Next: `tidegate import --connection {account.name}`.")


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
    return str(typer.prompt(what, hide_input=True, err=True))
