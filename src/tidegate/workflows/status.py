"""How the hub stands: every connection's mirror, inbox and imports, and what is wrong with them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, text

from tidegate.connections import accounts, problems, runs
from tidegate.connections.accounts import Account
from tidegate.mirror import inbox
from tidegate.mirror.tables import STRIPE_TABLES

BEHIND = timedelta(minutes=15)
INBOX_OLD_SECONDS = 300
WEBHOOKS_LIVE = timedelta(days=1)


def status(engine: Engine, names: Sequence[str] | None = None, *, poll_seconds: int = 300) -> dict[str, Any]:
    """Every connection (or the named ones) as {connections: […], problems: […], database: {…}}; times are ISO 8601 UTC.

    `problems` repeats those of the connections, each with its connection. Raises ConnectionUnknown.
    """
    with engine.connect() as db:
        chosen = [accounts.named(db, name) for name in names] if names else accounts.every(db)
        shown = [_connection(db, account, poll_seconds) for account in chosen]
        size, version = db.execute(
            text("select pg_database_size(current_database()), current_setting('server_version')")
        ).one()
    every = [{"connection": one["name"], **problem} for one in shown for problem in one["problems"]]
    return {"connections": shown, "problems": every, "database": {"version": version, "bytes": size}}


def _connection(db: Connection, account: Account, poll_seconds: int) -> dict[str, Any]:
    run = runs.last(db, account.name, "import")
    waiting = inbox.summary(db, account.name)
    refetches = db.scalar(
        text("select count(*) from tidegate.refetches where connection = :name"), {"name": account.name}
    )
    return {
        "name": account.name,
        "account": account.account,
        "mode": "live" if account.livemode else "test",
        "sandbox": account.sandbox,
        "connected": account.disconnected_at is None,
        "display_name": account.display_name,
        "freshness": _freshness(account, run, poll_seconds),
        "events_until": _iso(account.events_until),
        "last_webhook_at": _iso(account.last_webhook_at),
        "caught_up_at": _iso(account.caught_up_at),
        "resources": _resources(db, account.name),
        "inbox": waiting,
        "refetches": refetches,
        "run": _run(run),
        "problems": _problems(db, account, run, waiting),
    }


def _freshness(account: Account, run: RowMapping | None, poll_seconds: int) -> str:
    """In words, how current the mirror is."""
    now = datetime.now(UTC)
    if account.disconnected_at:
        return f"disconnected since {account.disconnected_at:%Y-%m-%d %H:%M} UTC"
    if run is None:
        return "not imported yet"
    if account.last_webhook_at and now - account.last_webhook_at < WEBHOOKS_LIVE:
        return "live by webhooks"
    if account.caught_up_at and now - account.caught_up_at < timedelta(seconds=3 * poll_seconds):
        return f"polling, up to {max(1, poll_seconds // 60)} min behind"
    if run["state"] == "running":
        return "being imported"
    as_of = account.events_until or run["finished_at"]
    return f"as of {as_of:%Y-%m-%d %H:%M} UTC, nothing keeps it current" if as_of else "partly imported"


def _resources(db: Connection, connection: str) -> list[dict[str, Any]]:
    """Rows per resource: live, deleted, unreadable, and the newest version's time."""
    unreadable = {
        row.resource: row.n
        for row in db.execute(
            text("select resource, count(*) as n from tidegate.unreadable where connection = :c group by 1"),
            {"c": connection},
        )
    }
    parts = [
        f"select '{name}' as resource, count(*) filter (where deleted_at is null) as stored, "
        f"count(*) filter (where deleted_at is not null) as deleted, max(updated_at) as newest "
        f"from stripe.{table.name} where connection = :c"
        for name, table in STRIPE_TABLES.items()
    ]
    rows = db.execute(text(" union all ".join(parts)), {"c": connection}).mappings()
    return [{**row, "newest": _iso(row["newest"]), "unreadable": unreadable.get(row["resource"], 0)} for row in rows]


def _problems(
    db: Connection, account: Account, run: RowMapping | None, waiting: dict[str, Any]
) -> list[dict[str, Any]]:
    """The noted problems and those that show in the tables."""
    now = datetime.now(UTC)
    found = problems.listing(db, account.name)
    if account.disconnected_at:
        return found

    def add(code: str, since: datetime | None, detail: str) -> None:
        found.append(problems.shown(account.name, code, since, detail))

    if run is None:
        add("not_imported", account.created_at, "The account was connected and never imported.")
    elif run["state"] in {"incomplete", "interrupted"}:
        add("import_incomplete", run["finished_at"], run["error"] or _named(run["summary"].get("problems", {})))
    if waiting["parked"]:
        add("inbox_parked", None, f"{waiting['parked']} events could not be handled.")
    if waiting["oldest_seconds"] > INBOX_OLD_SECONDS:
        since = now - timedelta(seconds=waiting["oldest_seconds"])
        add("queue_old", since, f"{waiting['waiting']} events wait, the oldest for {waiting['oldest_seconds']} s.")
    if run is not None and account.caught_up_at and now - account.caught_up_at > BEHIND:
        add("behind", account.caught_up_at, "Stripe's events have not been read since.")
    audit = runs.last(db, account.name, "audit")
    if audit and audit["state"] == "done" and not audit["summary"].get("clean", False):
        differing = db.scalars(
            text("select resource from tidegate.comparisons where run = :run and verdict <> 'equal' order by 1"),
            {"run": audit["id"]},
        ).all()
        add("audit_failed", audit["finished_at"], f"Different from Stripe: {', '.join(differing)}.")
    return [{**problem, "since": _iso(problem["since"])} for problem in found]


def _named(failed: dict[str, str]) -> str:
    return "; ".join(f"{name}: {problem}" for name, problem in failed.items())


def _run(run: RowMapping | None) -> dict[str, Any] | None:
    if run is None:
        return None
    times = {name: _iso(run[name]) for name in ("started_at", "heartbeat_at", "finished_at")}
    return {"id": run["id"], "kind": run["kind"], "state": run["state"], **times, "summary": run["summary"]}


def _iso(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None
