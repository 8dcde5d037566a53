"""Looks at what a connection's key may read: one object of every list, so that a lacking permission is soon known."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text

from tidegate.connections import accounts, permissions, problems, runs
from tidegate.connections.accounts import Account
from tidegate.connections.permissions import Permission
from tidegate.errors import (
    StripeKeyInvalid,
    StripeObjectMissing,
    StripePermissionMissing,
    TidegateError,
    Unreachable,
    WorkStopped,
)
from tidegate.mirror.event_list import ENDPOINT as EVENTS
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.endpoints import list_path
from tidegate.stripe_api.resources import RESOURCES, all_listed
from tidegate.stripe_api.resources.resource import Resource
from tidegate.workflows.doorbell import Doorbell

AT_ONCE = 4


class _Ask(NamedTuple):
    """An endpoint and the path that is asked for it; empty: there is none yet."""

    endpoint: str
    path: str
    singleton: bool


def probe(engine: Engine, account: Account, api: StripeApi) -> list[Permission]:
    """Asks for one object of each list and of the events, stores what may be read and returns it.

    `permission_missing` is noted and cleared per endpoint. Where a permission came back, an import of what it opens is
    rung for (of all that is left, when an import is unfinished), or the reading of the events. Raises StripeKeyInvalid
    and Unreachable, and then nothing is stored.
    """
    listed = all_listed(livemode=account.livemode)
    with engine.connect() as db:
        asks = [_Ask(f"GET {one.path}", _path(db, account.name, one), one.singleton) for one in listed]
    asks.append(_Ask(EVENTS, EVENTS.removeprefix("GET "), False))
    with problems.watched(engine, account.name), ThreadPoolExecutor(AT_ONCE, thread_name_prefix="probe") as pool:
        found = list(pool.map(partial(_look, api), asks))
    with engine.begin() as db:
        if accounts.hold(db, account.name):
            _ring(db, Doorbell(engine), account.name, permissions.store(db, account.name, found))
    return found


def looked_at(
    engine: Engine, account: Account, opened: AbstractContextManager[StripeApi]
) -> tuple[list[Permission], str]:
    """As `probe`, or why it could not be looked at: an account is connected all the same."""
    try:
        with opened as api:
            return probe(engine, account, api), ""
    except TidegateError as error:
        return [], str(error)


def _path(db: Connection, connection: str, resource: Resource) -> str:
    """Where the list is; of a list per parent that of one parent, empty when none is stored."""
    if not resource.per_parent:
        return str(resource.path)
    parent = db.scalar(
        text(f"""
select id from stripe.{RESOURCES[resource.per_parent].table}
where connection = :connection and deleted_at is null limit 1"""),
        {"connection": connection},
    )
    return list_path(str(resource.path), parent) if parent else ""


def _look(api: StripeApi, ask: _Ask) -> Permission:
    endpoint = ask.endpoint
    if not ask.path:
        return Permission(endpoint, None, "Nothing is stored yet that such a list could be asked of.")
    try:
        api.get(ask.path, {} if ask.singleton else {"limit": 1})
    except StripePermissionMissing as error:
        return Permission(endpoint, False, str(error))
    except (StripeKeyInvalid, Unreachable, WorkStopped):
        raise
    except StripeObjectMissing as error:
        if error.facts["code"] == "resource_missing":  # the parent was deleted; its list might have been read
            return Permission(endpoint, True)
        return Permission(endpoint, None, str(error))
    except TidegateError as error:
        return Permission(endpoint, None, str(error))
    return Permission(endpoint, True)


def _ring(db: Connection, doorbell: Doorbell, connection: str, regained: Sequence[str]) -> None:
    """Rings for what the key may read again; an account that was never imported waits for its import."""
    names = [one.name for one in RESOURCES.values() if one.path and f"GET {one.path}" in regained]
    names += [one.name for one in RESOURCES.values() if one.per_parent in names and one.name not in names]
    last = runs.last(db, connection, "import")
    if names and last:
        unfinished = last["state"] != "done" and not last["options"].get("resources")
        wanted = [] if unfinished else names
        doorbell.ring("import_account", connection=connection, db=db, resources=wanted)
    if EVENTS in regained:
        doorbell.ring("catch_up", connection=connection, db=db)
