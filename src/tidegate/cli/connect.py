"""`tidegate connect`: takes a Stripe key from where nobody sees it and stores the connection."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import AsJson

if TYPE_CHECKING:
    from tidegate.connections.accounts import Account
    from tidegate.wiring import Hub
    from tidegate.workflows.mirror.connect import ConnectRequest
    from tidegate.workflows.mirror.fan_out import FanOut

HAPPENS = {
    "new": "is connected",
    "connected": "stays connected",
    "again": "is connected again",
    "elsewhere": "stays as it is: connected with a key of its own",
    "gone": "is disconnected: no longer the platform's; its data stays",
    "left_out": "stays disconnected",
}
GIVEN = "KEY itself, or - for a line of stdin."


ApiKey = Annotated[str, typer.Option(metavar="KEY|-", help=f"{GIVEN} Else STRIPE_API_KEY, else a hidden prompt.")]
WriteKey = Annotated[str, typer.Option(metavar="KEY|-", help=f"{GIVEN} A second key, for outbound writes.")]
Name = Annotated[str, typer.Option(metavar="NAME", help="Name of the connection; an existing one gets the key.")]
ApiBase = Annotated[str, typer.Option(metavar="URL", help="Another server than Stripe's, such as a sandbox.")]
WebhookSecrets = Annotated[
    list[str] | None,
    typer.Option(metavar="SECRET|-", help="Signing secret of the webhook endpoint; again for each, newest first."),
]
Rate = Annotated[float | None, typer.Option(min=0, help="Requests a second in all; 0: no limit.")]
EndpointRate = Annotated[float | None, typer.Option(min=0, help="The same, for one endpoint.")]
Platform = Annotated[
    bool,
    typer.Option(
        "--platform",
        help="The key of a Connect platform: shows the accounts connected to it, asks, and makes each a connection "
        "with the platform's key. Of a connection that has a key, looks again; no key needs to be given.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="With --platform: do not ask.")]
ShowKeyLink = Annotated[
    bool,
    typer.Option(
        "--show-key-link", help="Only print where Stripe's dashboard makes a restricted key with the right boxes."
    ),
]


def connect(
    api_key: ApiKey = "",
    write_key: WriteKey = "",
    name: Name = "",
    api_base: ApiBase = "",
    webhook_secret: WebhookSecrets = None,
    rate: Rate = None,
    endpoint_rate: EndpointRate = None,
    platform: Platform = False,
    yes: Yes = False,
    show_key_link: ShowKeyLink = False,
    as_json: AsJson = False,
) -> None:
    """Connect a Stripe account by its key; a restricted read-only key is enough."""
    if show_key_link:
        _print_links(as_json)
        return
    from tidegate.cli.hub import configured

    config = configured()
    known_key = config.stripe_api_key.get_secret_value()

    def request() -> "ConnectRequest":
        from tidegate.workflows.mirror.connect import ConnectRequest

        return ConnectRequest(
            api_key=secret_of("--api-key", api_key) or known_key or asked("Stripe secret key"),
            name=name,
            write_key=secret_of("--write-key", write_key),
            webhook_secrets=tuple(secret_of("--webhook-secret", one) for one in webhook_secret or ()),
            api_base=api_base or config.stripe_api_base,
            rate=rate,
            endpoint_rate=endpoint_rate,
        )

    told = (api_key, known_key, write_key, webhook_secret, api_base)
    nothing_new = platform and not any(told) and rate is None and endpoint_rate is None
    _connect(request, name, platform=platform, nothing_new=nothing_new, yes=yes, as_json=as_json)


def _connect(
    request: "Callable[[], ConnectRequest]", name: str, *, platform: bool, nothing_new: bool, yes: bool, as_json: bool
) -> None:
    """Stores the connection and tells of it; `nothing_new`: a platform that is stored is only looked at again."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened

    given = None if nothing_new else request()
    with opened(may_migrate=True) as hub:
        account = None if given else _with_key(hub, name)
        account = account or stored(hub, given or request())
        found, done = _fanned_out(hub, account, yes, as_json) if platform else (None, True)
        account, looked = hub.account(account.name), permissions_of(hub, account)
    if as_json:
        fanned = {"accounts": found.as_json()["accounts"], "done": done} if found else {}
        show.document(asdict(account) | looked | fanned)
    else:
        _tell(account, looked, found, done)


def _tell(account: "Account", looked: dict[str, Any], found: "FanOut | None", done: bool) -> None:
    from tidegate.cli.show import line

    mode = "live" if account.livemode else "test"
    line(f"Connected {account.display_name} ({account.account}, {mode} mode) as {account.name}.")
    print_permissions(looked)
    if found and not done:
        line(f"No account was connected: `tidegate connect --platform --name {account.name} --yes` does it.")
    elif found:
        number = len(found.names("new", "again", "connected"))
        line(f"{number:,} accounts use its key. A worker imports those that are new.")
    line(f"Next: `tidegate import --connection {account.name}`.")


def _with_key(hub: "Hub", name: str) -> "Account | None":
    """The connection of that name if it has a key of its own."""
    return next((one for one in hub.accounts() if one.name == name and not one.platform), None)


def stored(hub: "Hub", request: "ConnectRequest") -> "Account":
    """Asks Stripe whose the key is and keeps the connection."""
    from tidegate.cli.who import person
    from tidegate.wiring import open_by_key
    from tidegate.workflows.mirror.connect import connect as store

    return store(hub.engine, hub.vault, request, open_by_key, person())


def _fanned_out(hub: "Hub", account: "Account", yes: bool, as_json: bool) -> "tuple[FanOut, bool]":
    """The accounts of a platform, and whether they were connected: shown first, and only with a person's word."""
    from tidegate.cli import show
    from tidegate.cli.who import person
    from tidegate.workflows.mirror.fan_out import fan_out, look

    with hub.stripe(account) as api:
        found = look(hub.engine, account, api, by_hand=True)
        if not as_json:
            columns = ("account", "name", "connection", "what happens")
            rows = [(one.account, one.display_name, one.connection, HAPPENS[one.verdict]) for one in found.accounts]
            show.table(columns, rows)
        if not yes and not (sys.stdin.isatty() and typer.confirm("Connect them like this?", err=True)):
            return found, False
        return fan_out(hub.engine, account, api, actor=person()), True


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


def permissions_of(hub: "Hub", account: "Account") -> dict[str, Any]:
    """What the new key may read, or why that could not be looked at: the account is connected all the same."""
    from tidegate.workflows.mirror.probe import looked_at

    found, error = looked_at(hub.engine, account, hub.stripe(account))
    return {"permissions": [one._asdict() for one in found], "permissions_error": error}


def print_permissions(looked: dict[str, Any]) -> None:
    """What a key may read, with each kind that it may not."""
    from tidegate.cli import show

    if looked["permissions_error"]:
        show.line(f"What the key may read could not be looked at, and will be later: {looked['permissions_error']}")
        return
    granted = sum(one["allowed"] is True for one in looked["permissions"])
    show.line(f"The key may read {granted} of {len(looked['permissions'])} kinds of objects.")
    for allowed, prefix in ((False, "MAY NOT READ "), (None, "not known: ")):
        why = {one["endpoint"]: one["detail"] for one in looked["permissions"] if one["allowed"] is allowed}
        show.reasons(why, prefix)


def secret_of(option: str, value: str) -> str:
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


def asked(what: str) -> str:
    """A secret from a hidden prompt. Raises UsageError where nobody can be asked."""
    from tidegate.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError(problem=f"There is no {what}: set STRIPE_API_KEY, or give `--api-key -` and the key on stdin.")
    from tidegate.cli.show import remark
    from tidegate.stripe_api.key_link import key_link

    remark(f"A restricted key that may read what is mirrored is made at\n{key_link(livemode=True)}")
    remark("(for test mode: `tidegate connect --show-key-link`).")
    return str(typer.prompt(what, hide_input=True, err=True))
