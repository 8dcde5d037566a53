"""The pages of connections: all with how they stand, and one with its permissions, webhooks and credentials."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.errors import ImportRunning, StripePermissionMissing, SyncRunning, TidegateError, UsageError
from tidegate.mirror.event_list import ENDPOINT as EVENTS_ENDPOINT
from tidegate.stripe_api.key_link import EVENTS
from tidegate.stripe_api.purposes import PURPOSES
from tidegate.stripe_api.resources import RESOURCES
from tidegate.web import csv_answers
from tidegate.web.mirror.status_page import StatusReading
from tidegate.web.pages import Page, Texts, Visit
from tidegate.wiring import open_by_key
from tidegate.workflows.mirror import disconnect as disconnecting
from tidegate.workflows.mirror import fan_out as fanning_out
from tidegate.workflows.mirror import oauth, webhook_endpoint
from tidegate.workflows.mirror.probe import looked_at
from tidegate.workflows.operation import status as standing

EXPORTED = (
    "name", "display_name", "account", "mode", "simulated", "platform", "freshness", "problems", "permissions_refused",
    "last_webhook_at", "import", "imported_at",
)  # fmt: skip
FATES = {
    "new": "is connected and imported",
    "connected": "stays connected",
    "again": "is connected again",
    "elsewhere": "stays as it is: it has a key of its own",
    "gone": "is disconnected: no longer the platform's; its data stays",
    "left_out": "stays disconnected",
}


def one(visit: Visit) -> Response:
    """Everything of a connection."""
    return _page(visit, _account(visit))


def look_again(visit: Visit) -> Response:
    """Looks at what the key may read, now."""
    account = _account(visit)
    _, refused = looked_at(visit.hub.engine, account, visit.hub.stripe(account))
    return _page(visit, account, 502, refused=refused) if refused else visit.go(connection_page(account.name))


def set_up_webhooks(visit: Visit) -> Response:
    """Registers the endpoint at Stripe by whichever key may; where none may, the page has the steps."""
    account, hub = _account(visit), visit.hub
    url = webhook_endpoint.address(visit.base, account.name)
    with hub.engine.connect() as db:
        opened = hub.stripe_writing if accounts.may_write(db, account.name) else hub.stripe
    try:
        with opened(account) as api:
            webhook_endpoint.set_up(hub.engine, hub.vault, account, api, url, visit.actor)
    except StripePermissionMissing:
        said = "No key of this connection may set up webhooks. Do it by hand, in three steps, as it is said here."
        return _page(visit, account, 409, refused=said)
    except TidegateError as error:
        return _page(visit, account, 409, refused=str(error))
    return visit.go(connection_page(account.name))


def keep_secret(visit: Visit) -> Response:
    """Keeps a signing secret that was copied from Stripe."""
    account, hub = _account(visit), visit.hub
    try:
        webhook_endpoint.keep_secret(hub.engine, hub.vault, account.name, visit.form.get("secret", ""), visit.actor)
    except UsageError as error:
        return _page(visit, account, 422, wrong=Texts(secret=str(error)))
    return visit.go(connection_page(account.name))


def parting(visit: Visit) -> Response:
    """What disconnecting does; with `purge` how many rows it deletes."""
    return _parting(visit, _account(visit), purge="purge" in visit.request.query_params)


def part(visit: Visit) -> Response:
    """Disconnects, or deletes all of it; wants the connection's name, typed."""
    account, hub, purge = _account(visit), visit.hub, visit.form.get("purge") == "yes"
    if visit.form.get("confirm", "") != account.name:
        said = f"This is not the name of the connection, {account.name}."
        return _parting(visit, account, 422, purge=purge, wrong=Texts(confirm=said))
    if purge:
        try:
            deleted = disconnecting.purge(hub.engine, account.name, visit.actor)
        except (ImportRunning, SyncRunning) as error:
            return _parting(visit, account, 409, purge=True, refused=str(error))
        oauth.give_back(hub.registered, account, open_by_key)
        return visit.render("connections/deleted.html", name=account.name, rows=sum(deleted.values()))
    disconnecting.disconnect(hub.engine, account.name, visit.actor)
    kept = oauth.give_back(hub.registered, account, open_by_key)
    if kept:
        said = f"Disconnected. Stripe could not be told; the account's owner uninstalls the app there: {kept}"
        return _page(visit, _account(visit), refused=said)
    return visit.go(connection_page(account.name))


def platform_accounts(visit: Visit) -> Response:
    """The accounts of a Connect platform, and what connecting them does."""
    account = _account(visit)
    with visit.hub.stripe(account) as api:
        found = fanning_out.look(visit.hub.engine, account, api, by_hand=True)
    return visit.render("connections/platform.html", account=account, found=found.accounts, fates=FATES)


def connect_accounts(visit: Visit) -> Response:
    """Connects them."""
    account = _account(visit)
    with visit.hub.stripe(account) as api:
        fanning_out.fan_out(visit.hub.engine, account, api, actor=visit.actor)
    return visit.go("/connections")


def pages(reading: StatusReading) -> tuple[Page, ...]:
    """The page of all, which is read as often as the status page, and those of one."""

    def listing(visit: Visit) -> Response:
        told = reading.facts()
        return visit.render(
            "connections/connections.html", connections=told["status"]["connections"], as_of=told["as_of"]
        )

    def exported(_: Visit) -> list[dict[str, Any]]:
        return [_told(one) for one in reading.facts()["status"]["connections"]]

    listed = Page("/connections", listing), Page("/connections.csv", csv_answers.of("connections", EXPORTED, exported))
    return *listed, *OF_ONE


OF_ONE = (
    Page("/connections/{name:str}", one),
    Page("/connections/{name:str}/look", look_again, "operate", "POST"),
    Page("/connections/{name:str}/webhooks", set_up_webhooks, "admin", "POST"),
    Page("/connections/{name:str}/secret", keep_secret, "admin", "POST", secrets=("secret",)),
    Page("/connections/{name:str}/disconnect", parting, "admin"),
    Page("/connections/{name:str}/disconnect", part, "admin", "POST"),
    Page("/connections/{name:str}/accounts", platform_accounts, "admin"),
    Page("/connections/{name:str}/accounts", connect_accounts, "admin", "POST"),
)


def connection_page(name: str) -> str:
    """Where the page of a connection is."""
    return f"/connections/{quote(name)}"


def _account(visit: Visit) -> Account:
    return visit.hub.account(visit.request.path_params["name"])


def _page(visit: Visit, account: Account, status: int = 200, **facts: Any) -> Response:
    config = visit.hub.settings
    [found] = standing.status(
        visit.hub.engine, [account.name], poll_seconds=config.poll_seconds, sweep_hour=config.sweep_hour
    )["connections"]
    url = webhook_endpoint.address(visit.base, account.name)
    with visit.hub.engine.connect() as db:
        held = {"secret": accounts.has_webhook_secret(db, account.name), "writes": accounts.may_write(db, account.name)}
    told: dict[str, Any] = {"refused": "", "wrong": Texts(), **facts}
    return visit.render(
        "connections/connection.html",
        status,
        one=found,
        account=account,
        held=held,
        url=url,
        reachable=webhook_endpoint.reachable(account, url),
        purposes=_purposes(),
        as_of=datetime.now(UTC),
        **told,
    )


def _told(one: dict[str, Any]) -> dict[str, Any]:
    """A connection as it is exported; `import` is the state of the last one."""
    run: dict[str, Any] = one["run"] or {}
    return {name: one[name] for name in EXPORTED if name in one} | {
        "simulated": one["sandbox"],
        "problems": [problem["code"] for problem in one["problems"]],
        "permissions_refused": [each["endpoint"] for each in one["permissions"] if each["state"] == "refused"],
        "import": run.get("state"),
        "imported_at": run.get("finished_at"),
    }


def _purposes() -> dict[str, str]:
    """What each endpoint is read for."""
    told = {f"GET {one.path}": PURPOSES.get(one.permission, "") for one in RESOURCES.values() if one.path}
    return told | {EVENTS_ENDPOINT: PURPOSES[EVENTS]}


def _parting(visit: Visit, account: Account, status: int = 200, *, purge: bool, **facts: Any) -> Response:
    _, *others = disconnecting.concerned(visit.hub.engine, account.name)
    counts = disconnecting.count_for_purge(visit.hub.engine, account.name) if purge else {}
    told: dict[str, Any] = {"refused": "", "wrong": Texts(), **facts}
    return visit.render(
        "connections/disconnect.html", status, account=account, others=others, purge=purge, counts=counts, **told
    )
