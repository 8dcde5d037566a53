"""Stripe connections over HTTP: connect by key, status, start an import, disconnect."""

import time
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from tidegate.api.auth import HubOf, requires
from tidegate.api.contacts import Operator, by
from tidegate.api.runs import Run, shown
from tidegate.api.values import STRICT
from tidegate.connections import runs
from tidegate.connections.accounts import Account
from tidegate.errors import UsageError
from tidegate.security.tokens import Token
from tidegate.stripe_api.resources import to_import
from tidegate.wiring import Hub, open_by_key
from tidegate.workflows.mirror import connect as connecting
from tidegate.workflows.mirror import disconnect as disconnecting
from tidegate.workflows.mirror import import_account, oauth
from tidegate.workflows.mirror.connect import ConnectRequest
from tidegate.workflows.mirror.fan_out import fan_out
from tidegate.workflows.operation import status as standing

router = APIRouter(prefix="/api/integrations/stripe", tags=["connections"])

Named = Annotated[str | None, Query(alias="connection", description="name; one connection alone needs none")]
Admin = Annotated[Token, requires("admin")]
START_SECONDS = 2.0  # how long an answer waits for a worker to begin


class Status(BaseModel):
    """How the hub stands: every connection, what is wrong in all, and the database. Times are UTC. `alerts`: system
    alerts that stand; `schedules`: what runs when, as {what, of, when, last_at, next_at}.
    """

    model_config = ConfigDict(extra="allow")

    connections: list[dict[str, Any]]
    problems: list[dict[str, Any]]
    alerts: list[dict[str, Any]]
    schedules: list[dict[str, Any]]
    database: dict[str, Any]


class Connected(BaseModel):
    """A connection, without its secrets."""

    name: str
    account: str
    mode: str
    sandbox: bool
    display_name: str
    created_at: datetime
    disconnected_at: datetime | None
    platform: str | None = Field(description="the connection of the platform whose key it uses; null: its own")
    accounts: list[str] = Field(description="the connections that use the key of this one")


class Key(BaseModel):
    """A Stripe account to connect; an existing name gets the new credentials. Rates are requests a second."""

    model_config = STRICT

    api_key: SecretStr = Field(description="a restricted read-only key is enough")
    write_key: SecretStr = SecretStr("")
    webhook_secrets: list[SecretStr] = Field(default=[], description="whsec_…, newest first")
    name: str = Field(default="", pattern=r"^[a-z0-9_-]{0,60}$", description="empty: live or test")
    api_base: str = Field(default="", description="empty: Stripe itself")
    rate: float | None = Field(default=None, ge=0)
    endpoint_rate: float | None = Field(default=None, ge=0)
    platform: bool = Field(
        default=False, description="a Connect platform's key: its accounts become connections, too, and are imported"
    )


class Import(BaseModel):
    """What to import. No resources: all. `full` begins anew where an import was interrupted, and looks by id at what is
    in no list any more.
    """

    model_config = STRICT

    resources: list[str] = []
    full: bool = False


class Started(BaseModel):
    """An import that was asked for. `run` is null while no worker has begun it; status shows it then."""

    connection: str
    run: Run | None


@router.get("/status", dependencies=[requires("read")])
def status(hub: HubOf, connection: Named = None) -> Status:
    """Health, account, last import per resource, inbox and problems of all connections, or of the named one."""
    names = [connection] if connection is not None else None
    return Status.model_validate(
        standing.status(
            hub.engine,
            names,
            poll_seconds=hub.settings.poll_seconds,
            sweep_hour=hub.settings.sweep_hour,
            home=hub.embedded_home,
        )
    )


@router.post("/connect", status_code=201)
def connect(hub: HubOf, key: Key, token: Admin) -> Connected:
    """Asks Stripe whose key it is and stores the connection, its secrets sealed; with `platform` connects the accounts,
    too.
    """
    request = ConnectRequest(
        api_key=key.api_key.get_secret_value(),
        name=key.name,
        write_key=key.write_key.get_secret_value(),
        webhook_secrets=tuple(one.get_secret_value() for one in key.webhook_secrets),
        api_base=key.api_base or hub.settings.stripe_api_base,
        rate=key.rate,
        endpoint_rate=key.endpoint_rate,
    )
    account = connecting.connect(hub.engine, hub.vault, request, open_by_key, by(token))
    if key.platform:
        with hub.stripe(account) as api:
            fan_out(hub.engine, account, api, actor=by(token))
    return _connected(hub, account)


@router.delete("")
def disconnect(hub: HubOf, token: Admin, connection: Named = None) -> Connected:
    """Forgets the connection's keys and keeps its data; the accounts of a platform are disconnected with it. Access by
    OAuth is given back to Stripe, where it can be reached.
    """
    account = hub.account(connection)
    done = _connected(hub, disconnecting.disconnect(hub.engine, account.name, by(token)))
    oauth.give_back(hub.registered, account, open_by_key)
    return done


def _connected(hub: Hub, account: Account) -> Connected:
    names = ("name", "account", "sandbox", "display_name", "created_at", "disconnected_at", "platform")
    values = {name: getattr(account, name) for name in names}
    _, *others = disconnecting.concerned(hub.engine, account.name)
    return Connected(mode="live" if account.livemode else "test", accounts=others, **values)


@router.post("/sync", status_code=202)
def sync(
    hub: HubOf, token: Operator, response: Response, what: Import | None = None, connection: Named = None
) -> Started:
    """Lets a worker import the account, or go on with its import; one that runs already is answered as it is.

    An import that waits for a worker does what this one asks for, too: all of the resources, `full` when either is.
    """
    account = hub.account(connection)
    wanted = what or Import()
    if account.disconnected_at:
        raise UsageError(problem=f"The connection {account.name} has no key any more; connect it again first.")
    to_import(wanted.resources, livemode=account.livemode)
    before = _last(hub, account.name)
    import_account.ask(hub.engine, account, by(token), wanted.resources, full=wanted.full)
    run = _begun(hub, account.name, before)
    response.headers["Location"] = f"/api/runs/{run.id}" if run else "/api/integrations/stripe/status"
    return Started(connection=account.name, run=run)


def _last(hub: Hub, connection: str) -> Run | None:
    with hub.engine.connect() as db:
        row = runs.last(db, connection, "import")
    return shown(row) if row else None


def _begun(hub: Hub, connection: str, before: Run | None) -> Run | None:
    """The run that a worker begins or goes on with; None when none does within two seconds."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        run = _last(hub, connection)
        if run and (run.state == "running" or run != before):
            return run
        time.sleep(0.05)
    return None
