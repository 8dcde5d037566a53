"""How the hub stands: every connection's mirror, inbox and imports, and what is wrong with them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, text

from tidegate.connections import accounts, permissions, runs
from tidegate.connections.accounts import Account
from tidegate.lifecycle import system_alerts
from tidegate.mirror.event_list import ENDPOINT as EVENTS
from tidegate.mirror.sizes import sizes
from tidegate.store import sizes as store_sizes
from tidegate.stripe_api.resources import RESOURCES
from tidegate.workflows import due
from tidegate.workflows.entitlements import usage_problems
from tidegate.workflows.mirror import sweep
from tidegate.workflows.operation import schedules, standing_problems
from tidegate.workflows.operation.capacity import workers_alive
from tidegate.workflows.operation.problems_found import QUEUE_OLD_SECONDS, Queues

PERMISSION_STATES = {True: "granted", False: "refused", None: "unknown"}
WEBHOOKS_LIVE = timedelta(hours=1)
"""A webhook so recent shows that they come; an older one only while polling would have told what it misses."""


def status(
    engine: Engine,
    names: Sequence[str] | None = None,
    *,
    poll_seconds: int = 300,
    sweep_hour: int = 3,
    home: Path | None = None,
) -> dict[str, Any]:
    """Every connection (or the named ones) as {connections: […], problems: […], alerts: […], schedules: […], database:
    {…}, usage: {…}}; times are ISO 8601 UTC.

    `problems` holds what is wrong with the installation, its connection "", and repeats those of the connections, each
    with its connection. Numbers of big resources are `estimated`. `home`: where the embedded database is, None for
    another database, whose disk cannot be seen. A platform's `accounts` are its connections, each with its state;
    of what is none it is null. `alerts`: system alerts that stand; `schedules`: what runs when (`schedules.listing`).
    `usage`: how much of what was consumed is not told to Stripe's meters. Raises ConnectionUnknown.
    """
    with engine.connect() as db:
        chosen = [accounts.named(db, name) for name in names] if names else accounts.every(db)
        queues = {account.name: standing_problems.queues_of(db, account) for account in chosen}
        shown = [_connection(db, account, queues[account.name], poll_seconds, sweep_hour) for account in chosen]
        waiting = [queues[account.name] for account in chosen if account.disconnected_at is None]
        common = standing_problems.of_installation(db, waiting, home)
        usage = usage_problems.standing(db)
        alerted = [{**one, "opened_at": _iso(one["opened_at"])} for one in system_alerts.standing(db)]
        planned = schedules.listing(db, chosen, poll_seconds=poll_seconds, sweep_hour=sweep_hour)
        groups, version = store_sizes.sizes(db), db.scalar(text("select current_setting('server_version')"))
    database = {"version": version, "bytes": sum(groups.values()), "groups": groups}
    every = [{"connection": "", **problem} for problem in _told(common)]
    every += [{"connection": one["name"], **problem} for one in shown for problem in one["problems"]]
    times = [{**one, "last_at": _iso(one["last_at"]), "next_at": _iso(one["next_at"])} for one in planned]
    return {
        "connections": shown,
        "problems": every,
        "alerts": alerted,
        "schedules": times,
        "database": database,
        "usage": usage,
    }


def _connection(db: Connection, account: Account, queues: Queues, poll_seconds: int, sweep_hour: int) -> dict[str, Any]:
    imports = runs.imports(db, account.name)
    run = imports[0] if imports else None
    found = _told(standing_problems.of_account(db, account, imports, queues, poll_seconds))
    silent = any(one["code"] == "webhook_silent" for one in found)
    attended = workers_alive(db) > 0
    events = queues.events
    return {
        "name": account.name,
        "account": account.account,
        "mode": "live" if account.livemode else "test",
        "sandbox": account.sandbox,
        "platform": account.platform,
        "accounts": _accounts(db, account) if account.fan_out_at else None,
        "accounts_looked_at_next": _iso(account.fan_out_at),
        "connected": account.disconnected_at is None,
        "display_name": account.display_name,
        "freshness": _freshness(
            account, run, runs.ever_whole(db, account.name), events, poll_seconds, silent=silent, attended=attended
        ),
        "left_out": runs.left_out(db, account.name),
        "events_until": _iso(account.events_until),
        "complete_as_of": _iso(account.complete_as_of),
        "last_webhook_at": _iso(account.last_webhook_at),
        "caught_up_at": _iso(account.caught_up_at),
        "resources": _resources(db, account.name),
        "inbox": {name: events[name] for name in ("waiting", "parked", "oldest_seconds")},
        "refetches": queues.looks["waiting"],
        "run": _run(run),
        "sweep": _sweep(db, account.name),
        "next_sweep_at": _iso(due.next_sweep(db, account.name, datetime.now(UTC), sweep_hour)),
        "permissions": _permissions(db, account.name),
        "problems": found,
    }


def _freshness(
    account: Account,
    run: RowMapping | None,
    whole: bool,
    events: dict[str, Any],
    poll_seconds: int,
    *,
    silent: bool,
    attended: bool,
) -> str:
    """In words, how current the mirror is; `whole`: everything was imported once, `silent`: webhooks fail to come,
    `attended`: a worker is alive.
    """
    now = datetime.now(UTC)
    if account.disconnected_at:
        return f"disconnected since {account.disconnected_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if run is None:
        return "not imported yet"
    if not whole:
        return "being imported" if run["state"] == "running" else "partly imported"
    if events["overdue_seconds"] > QUEUE_OLD_SECONDS:
        return f"behind: {events['waiting']} events wait, the oldest for {events['oldest_seconds'] // 60} min"
    if not attended:
        return _standing_still(account, run)
    polled = account.caught_up_at and now - account.caught_up_at < timedelta(seconds=3 * poll_seconds)
    if account.last_webhook_at and not silent and (polled or now - account.last_webhook_at < WEBHOOKS_LIVE):
        return "live by webhooks"
    if polled:
        return f"polling, up to {max(1, poll_seconds // 60)} min behind"
    return _standing_still(account, run)


def _standing_still(account: Account, run: RowMapping) -> str:
    as_of = account.complete_as_of or run["started_at"]
    return f"as of {as_of.astimezone(UTC):%Y-%m-%d %H:%M} UTC, nothing keeps it current"


def _resources(db: Connection, connection: str) -> list[dict[str, Any]]:
    """Rows per resource: live, deleted, unreadable, and the newest version's time."""
    unreadable = {
        row.resource: row.n
        for row in db.execute(
            text("select resource, count(*) as n from tidegate.unreadable where connection = :c group by 1"),
            {"c": connection},
        )
    }
    return [
        {**size, "newest": _iso(size["newest"]), "unreadable": unreadable.get(size["resource"], 0)}
        for size in sizes(db, connection)
    ]


def _told(shown: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**problem, "since": _iso(problem["since"])} for problem in shown]


def _run(run: RowMapping | None) -> dict[str, Any] | None:
    if run is None:
        return None
    times = {name: _iso(run[name]) for name in ("started_at", "heartbeat_at", "finished_at")}
    return {"id": run["id"], "kind": run["kind"], "state": run["state"], **times, "summary": run["summary"]}


def _sweep(db: Connection, connection: str) -> dict[str, Any] | None:
    last = sweep.standing(db, connection)
    return last and {**last, "started_at": _iso(last["started_at"]), "finished_at": _iso(last["finished_at"])}


def _permissions(db: Connection, connection: str) -> list[dict[str, Any]]:
    """What the key may read: {name, endpoint, state, allowed, checked_at, detail}; `state` is `granted`, `refused` or
    `unknown` (nothing to try it on, or Stripe said neither). Refused ones first.
    """
    names = {f"GET {one.path}": one.name for one in RESOURCES.values() if one.path} | {EVENTS: "events"}
    found = [
        {
            "name": names.get(one["endpoint"], one["endpoint"]),
            "state": PERMISSION_STATES[one["allowed"]],
            **one,
            "checked_at": _iso(one["checked_at"]),
        }
        for one in permissions.listing(db, connection)
    ]
    return sorted(found, key=lambda one: (one["state"] != "refused", one["name"]))


def _accounts(db: Connection, platform: Account) -> list[dict[str, Any]]:
    """A platform's accounts: {connection, account, display_name, state}; `state` is `connected`, `left_out` (a person
    disconnected it) or `gone` (the platform has it no more).
    """
    return [
        {
            "connection": one.name,
            "account": one.account,
            "display_name": one.display_name,
            "state": "connected" if one.disconnected_at is None else "left_out" if one.left_out else "gone",
        }
        for one in accounts.connected_to(db, platform.name)
    ]


def _iso(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None
