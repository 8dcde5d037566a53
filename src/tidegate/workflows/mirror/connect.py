"""Connects a Stripe account: asks Stripe whose key it is, stores it sealed; and lets go of one again."""

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace

import msgspec
from sqlalchemy import Connection, Engine, text

from tidegate.connections import accounts, permissions, problems, runs
from tidegate.connections.accounts import Account, Credentials
from tidegate.errors import (
    ImportRunning,
    StripeAccountHidden,
    StripeEndpointMissing,
    StripeKeyInvalid,
    StripeKeyRefused,
    StripePermissionMissing,
    UsageError,
)
from tidegate.mirror import forgotten
from tidegate.mirror.tables import STRIPE_TABLES
from tidegate.outbound import forgetting
from tidegate.revenue import editions, partitions
from tidegate.revenue.facts import keep_facts
from tidegate.secrets import Vault
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.mode import check_mode, livemode_of

LIVE_RATE, SANDBOX_RATE, ENDPOINT_RATE = 100.0, 25.0, 25.0
"""Requests a second, as docs.stripe.com/rate-limits states them: live, test mode, one endpoint."""

OWNED = (
    "problems",
    "versions",
    "unreadable",
    "refetches",
    "inbox",
    "comparisons",
    "runs",
    "permissions",
    "listings",
    "changed_customers",
    "changed_objects",
    "awaited",
    "forgotten",
    "links",
    "reviews",
    "matched_by",
    "contact_settings",
    "grants",
    "holdings",
    "kept_mappings",
    "mappings",
    "unmapped_prices",
    "ignored_prices",
    "outbox",
    "spans",
    "movements",
    "mrr_days",
    "price_days",
    "ledgers",
    "revenue_due",
    "missing_tax_rates",
    "exclusions",
    "closings",
    "closed_rows",
    "billing_events",
    "billing_tellings",
    "requests",
    "meter_forwards",
)
"""Tables of schema `tidegate` whose rows belong to a connection; what others refer to comes after them."""

NAME = r"[a-z0-9_-]{1,60}"
"""What a connection may be called: it stands in URLs and on command lines."""

OpenApi = Callable[[str, str | None], AbstractContextManager[StripeApi]]
"""Opens Stripe with a key and an API base (None: Stripe itself), before a connection exists."""


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """What is known before Stripe is asked. `name` empty: derived from the account. Rates: None takes Stripe's
    limits.
    """

    api_key: str = field(repr=False)
    name: str = ""
    write_key: str = field(default="", repr=False)
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    api_base: str = ""
    rate: float | None = None
    endpoint_rate: float | None = None


class _Dashboard(msgspec.Struct):
    display_name: str | None = None


class _Settings(msgspec.Struct):
    dashboard: _Dashboard | None = None


class _AccountBody(msgspec.Struct):
    id: str
    settings: _Settings | None = None


_decode_account = msgspec.json.Decoder(_AccountBody).decode


def connect(engine: Engine, vault: Vault, request: ConnectRequest, open_api: OpenApi) -> Account:
    """Asks Stripe whose key it is and stores the connection; an existing name gets the new credentials, and keeps the
    rates and the API base that are not given.

    Raises UsageError for what is no secret key, StripeKeyRefused, StripeAccountHidden, StripeUnreachable,
    StripeModeWrong, and OtherAccount when the name belongs to another account.
    """
    livemode = _checked(request)
    request = _at_its_base(engine, request)
    found = _ask_whose(request.api_key, request.api_base, open_api)
    if request.write_key:
        owner = _ask_whose(request.write_key, request.api_base, open_api).id
        if owner != found.id:
            raise UsageError(problem=f"The write key belongs to {owner}, the read key to {found.id}.")
    shown = found.settings.dashboard.display_name if found.settings and found.settings.dashboard else None
    with engine.begin() as db:
        known = accounts.every(db)
        name = request.name or _name(known, found.id, livemode)
        values = {
            "name": name,
            "account": found.id,
            "livemode": livemode,
            "sandbox": bool(request.api_base),
            "display_name": shown or found.id,
            "api_base": request.api_base,
            "platform": None,
            "left_out": False,
            **_rates(request, livemode, next((one for one in known if one.name == name), None)),
        }
        secrets = Credentials(request.api_key.strip(), request.write_key.strip(), request.webhook_secrets)
        saved = accounts.save(db, values, secrets, vault)
        accounts.follow(db, name)
        forgotten.recall(db, name)
        for one in _concerned(db, name):  # of the key before
            permissions.outdate(db, one)
            problems.clear(db, one, [*problems.OF_ACCESS, "permission_missing"])
        return saved


def _at_its_base(engine: Engine, request: ConnectRequest) -> ConnectRequest:
    """The request, asking where the connection of that name asks already: its key is nothing for anybody else."""
    if request.api_base or not request.name:
        return request
    with engine.connect() as db:
        known = next((one for one in accounts.every(db) if one.name == request.name), None)
    return replace(request, api_base=known.api_base or "") if known else request


def _checked(request: ConnectRequest) -> bool:
    """Whether the keys are of live mode. Raises UsageError for what cannot be right, before Stripe is asked."""
    if request.name and not re.fullmatch(NAME, request.name):
        raise UsageError(problem=f"{request.name!r} cannot be a name: up to 60 of a-z, 0-9, - and _ can.")
    livemode = _mode(request.api_key)
    if request.write_key and _mode(request.write_key) != livemode:
        raise UsageError(problem="The write key and the read key are not of the same mode (live or test).")
    return livemode


def _rates(request: ConnectRequest, livemode: bool, known: Account | None) -> dict[str, float]:
    """The limits that were asked for; else those that the connection has; else Stripe's."""
    rate = request.rate
    if rate is None:
        rate = known.rate if known else LIVE_RATE if livemode else SANDBOX_RATE
    endpoint_rate = request.endpoint_rate
    if endpoint_rate is None:
        endpoint_rate = known.endpoint_rate if known else min(rate, ENDPOINT_RATE)
    return {"rate": rate, "endpoint_rate": endpoint_rate}


def _mode(key: str) -> bool:
    """Whether the key is of live mode. Raises UsageError for what is no secret or restricted key."""
    livemode = livemode_of(key)
    if livemode is None:
        raise UsageError(
            problem="That is not a Stripe secret key: they begin with sk_live_, sk_test_, rk_live_ or rk_test_. "
            "Make a restricted key with read permissions under Developers, API keys in Stripe's dashboard."
        )
    return livemode


def _ask_whose(key: str, base: str, open_api: OpenApi) -> _AccountBody:
    """The account of a key. Raises StripeKeyRefused, StripeAccountHidden, UsageError when what answers at the base is
    not Stripe's API, StripeModeWrong when it is of the other mode.
    """
    try:
        with open_api(key.strip(), base or None) as api:
            body = api.get("/v1/account", interactive=True).body
            found = _decode_account(body)
            check_mode(api, interactive=True)
        return found
    except StripeKeyInvalid as error:
        raise StripeKeyRefused(**error.facts) from error
    except StripePermissionMissing as error:
        raise StripeAccountHidden(**error.facts) from error
    except (msgspec.DecodeError, StripeEndpointMissing) as error:
        said = "it has no /v1/account" if isinstance(error, StripeEndpointMissing) else f"{error}"
        told = f"What answers at {base or 'Stripe'} is not Stripe's API: {said}."
        raise UsageError(problem=f"{told} An API base is an address without a path.") from error


def _name(existing: Sequence[Account], account: str, livemode: bool) -> str:
    """The name this account has already; else `live` or `test`, with a number when that is taken."""
    known = next((one.name for one in existing if (one.account, one.livemode) == (account, livemode)), "")
    wanted = "live" if livemode else "test"
    candidates = [wanted, *(f"{wanted}-{n}" for n in range(2, len(existing) + 2))]
    taken = {one.name for one in existing}
    return known or next(name for name in candidates if name not in taken)


def disconnect(engine: Engine, name: str) -> Account:
    """Forgets the connection's keys and what was wrong with them, and keeps its data. Raises ConnectionUnknown.

    A platform takes its accounts along: they have no key but the platform's. One of them alone is left out of the
    fan-out from now on.
    """
    with engine.begin() as db:
        account = accounts.named(db, name)
        gone = [name, *(one.name for one in accounts.connected_to(db, name))]
        accounts.forget_credentials(db, name)
        if account.platform:
            accounts.note(db, name, left_out=True)
        for one in gone:
            permissions.outdate(db, one)
            problems.clear(db, one, [*problems.OF_ACCESS, "permission_missing", "account_gone"])
        return accounts.named(db, name)


def concerned(engine: Engine, name: str) -> list[str]:
    """The connection and, of a platform, those of its accounts: whom `disconnect` and `purge` act on.

    Raises ConnectionUnknown.
    """
    with engine.connect() as db:
        return _concerned(db, name)


def _concerned(db: Connection, name: str) -> list[str]:
    return [accounts.named(db, name).name, *(one.name for one in accounts.connected_to(db, name))]


def count_for_purge(engine: Engine, name: str) -> dict[str, int]:
    """How many rows `purge` would delete, per table that has any. Raises ConnectionUnknown."""
    with engine.connect() as db:
        owners = _owners(db, _concerned(db, name))
        counts = {
            table: int(db.scalar(text(f"select count(*) from {table} where {mine}"), owners) or 0)
            for table, mine in _owned().items()
        }
    return {table: count for table, count in counts.items() if count}


def purge(engine: Engine, name: str) -> dict[str, int]:
    """Deletes a connection and everything of it, in one transaction; returns the rows deleted per table.

    Which customers were forgotten is kept, as ids of Stripe's, for when the account is connected again. A platform
    takes its accounts along. Whoever handles their events at the moment ends first and finds nothing afterwards.

    Raises ConnectionUnknown, and ImportRunning or SyncRunning while one is imported, swept or caught up, or synced to:
    stop that first.
    """
    with engine.connect() as locking, ExitStack() as held, engine.begin() as db:
        lock = text("select from tidegate.connections where name = any(:names) for update")
        db.execute(lock, {"names": [name]})  # from here on a platform gets no further account
        names = _concerned(db, name)
        for one in names:
            if not held.enter_context(runs.alone(locking, one, "import", "sweep", "catch_up")):
                raise ImportRunning(connection=one)
            forgetting.refuse_while_running(db, one)
        db.execute(lock, {"names": names})
        owners = _owners(db, names)
        forgotten.outlast(db, names)
        linked = list(db.scalars(_LINKED, {"names": names}))
        kept = [(name, one["edition"]) for name in names for one in editions.every(db, name)]
        counts = {
            table: db.execute(text(f"delete from {table} where {mine}"), owners).rowcount
            for table, mine in _owned().items()
        }
        keep_facts(db, linked)
        db.execute(text("delete from tidegate.connections where name = any(:names)"), {"names": names})
        for one, edition in kept:
            partitions.drop(db, one, edition)  # last: reports wait for it
    return {table: count for table, count in counts.items() if count}


_LINKED = text("""
select distinct contact from tidegate.links where connection = any(:names) and contact is not null""")


def _owners(db: Connection, names: Sequence[str]) -> dict[str, list[str]]:
    """What the rows of these connections are found by: their names, and the rate budgets that no other one uses."""
    every = accounts.every(db)
    shared = {one.budget for one in every if one.name not in names}
    budgets = {one.budget for one in every if one.name in names} - shared
    return {"names": list(names), "budgets": sorted(budgets)}


def _owned() -> dict[str, str]:
    """Every table with rows of some connections, and the condition that finds them."""
    mirrored = [f"stripe.{table.name}" for table in STRIPE_TABLES.values()]
    syncs = "select key from tidegate.syncs where connection = any(:names)"
    told = "outbox in (select id from tidegate.outbox where connection = any(:names))"
    due = {"tidegate.deliveries": told, "tidegate.destination_seconds": told}  # before what is found by them
    return (
        due
        | dict.fromkeys([*mirrored, *(f"tidegate.{table}" for table in OWNED)], "connection = any(:names)")
        | {
            "tidegate.runs": f"connection = any(:names) or connection in (select 'sync:' || key from ({syncs}) s)",
            "tidegate.rate_budget": "connection = any(:budgets)",
            # A job that a worker has taken up is the worker's to end.
            "tidegate.procrastinate_jobs": "args ->> 'connection' = any(:names) and status <> 'doing'",
            "tidegate.sync_rows": f"sync in ({syncs})",
            "tidegate.sync_associations": f"sync in ({syncs})",
            "tidegate.sync_plans": f"sync in ({syncs})",
            "tidegate.syncs": "connection = any(:names)",  # after what is found by it
        }
    )
