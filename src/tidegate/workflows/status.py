"""How the hub stands: every connection's mirror, inbox and imports, and what is wrong with them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, text

from tidegate.connections import accounts, problems, runs
from tidegate.connections.accounts import Account
from tidegate.mirror import inbox, refetches
from tidegate.mirror.sizes import sizes
from tidegate.workflows.audit import last_verdicts

BEHIND = timedelta(minutes=15)
QUEUE_OLD_SECONDS = 300
WEBHOOKS_LIVE = timedelta(days=1)


def status(engine: Engine, names: Sequence[str] | None = None, *, poll_seconds: int = 300) -> dict[str, Any]:
    """Every connection (or the named ones) as {connections: […], problems: […], database: {…}}; times are ISO 8601 UTC.

    `problems` repeats those of the connections, each with its connection. Numbers of big resources are `estimated`.
    Raises ConnectionUnknown.
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
    events = inbox.summary(db, account.name)
    looks = refetches.summary(db, account.name)
    return {
        "name": account.name,
        "account": account.account,
        "mode": "live" if account.livemode else "test",
        "sandbox": account.sandbox,
        "platform": account.platform,
        "connected": account.disconnected_at is None,
        "display_name": account.display_name,
        "freshness": _freshness(account, run, runs.ever_whole(db, account.name), events, poll_seconds),
        "events_until": _iso(account.events_until),
        "last_webhook_at": _iso(account.last_webhook_at),
        "caught_up_at": _iso(account.caught_up_at),
        "resources": _resources(db, account.name),
        "inbox": {name: events[name] for name in ("waiting", "parked", "oldest_seconds")},
        "refetches": looks["waiting"],
        "run": _run(run),
        "problems": _problems(db, account, run, events, looks, poll_seconds),
    }


def _freshness(account: Account, run: RowMapping | None, whole: bool, events: dict[str, Any], poll_seconds: int) -> str:
    """In words, how current the mirror is; `whole`: everything was imported once."""
    now = datetime.now(UTC)
    if account.disconnected_at:
        return f"disconnected since {account.disconnected_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if run is None:
        return "not imported yet"
    if not whole:
        return "being imported" if run["state"] == "running" else "partly imported"
    if events["overdue_seconds"] > QUEUE_OLD_SECONDS:
        return f"behind: {events['waiting']} events wait, the oldest for {events['oldest_seconds'] // 60} min"
    if account.last_webhook_at and now - account.last_webhook_at < WEBHOOKS_LIVE:
        return "live by webhooks"
    if account.caught_up_at and now - account.caught_up_at < timedelta(seconds=3 * poll_seconds):
        return f"polling, up to {max(1, poll_seconds // 60)} min behind"
    as_of = account.events_until or run["started_at"]
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


def _problems(
    db: Connection,
    account: Account,
    run: RowMapping | None,
    events: dict[str, Any],
    looks: dict[str, Any],
    poll_seconds: int,
) -> list[dict[str, Any]]:
    """The noted problems and those that show in the tables; of one that is disconnected only why, unless a person did
    it.
    """
    found = problems.listing(db, account.name)
    if account.disconnected_at:
        return [{**one, "since": _iso(one["since"])} for one in found if one["code"] == "account_gone"]
    shown = [
        *_of_import(account, run),
        *_of_queues(events, looks),
        *_of_polling(account, run, poll_seconds),
        *_of_audits(db, account.name),
    ]
    found += [problems.shown(account.name, code, since, detail) for code, since, detail in shown]
    return [{**problem, "since": _iso(problem["since"])} for problem in found]


Shown = tuple[str, datetime | None, str]
"""A problem's code, since when, and its detail."""


def _of_import(account: Account, run: RowMapping | None) -> list[Shown]:
    if run is None:
        return [("not_imported", account.created_at, "The account was connected and never imported.")]
    if run["state"] in {"incomplete", "interrupted"}:
        failed = "; ".join(f"{name}: {problem}" for name, problem in run["summary"].get("problems", {}).items())
        return [("import_incomplete", run["finished_at"], run["error"] or failed or "It was stopped before its end.")]
    return []


def _of_queues(events: dict[str, Any], looks: dict[str, Any]) -> list[Shown]:
    found: list[Shown] = []
    if events["parked"]:
        found.append(("inbox_parked", events["parked_since"], f"{events['parked']} events could not be handled."))
    if looks["failing"]:
        detail = f"{looks['failing']} objects could not be fetched from Stripe, for example: {looks['error']}"
        found.append(("refetch_failing", looks["failing_since"], detail))
    overdue = max(events["overdue_seconds"], looks["overdue_seconds"])
    if overdue > QUEUE_OLD_SECONDS:
        detail = (
            f"{events['waiting']} events and {looks['waiting']} objects to fetch wait, the first due for {overdue} s."
        )
        found.append(("queue_old", datetime.now(UTC) - timedelta(seconds=overdue), detail))
    return found


def _of_polling(account: Account, run: RowMapping | None, poll_seconds: int) -> list[Shown]:
    """Behind, when neither an import nor a catch-up has looked at Stripe for a quarter of an hour or three polls."""
    looked = [at for at in (account.caught_up_at, run["finished_at"] if run else None) if at]
    allowed = max(BEHIND, timedelta(seconds=3 * poll_seconds))
    if run is None or run["state"] != "done" or not looked or datetime.now(UTC) - max(looked) <= allowed:
        return []
    return [("behind", max(looked), "Stripe's events have not been read since.")]


def _of_audits(db: Connection, connection: str) -> list[Shown]:
    """What the newest audit of each resource found different; what Stripe refused to show is named with its reason."""
    wrong = [one for one in last_verdicts(db, connection) if one["verdict"] != "equal"]
    if not wrong:
        return []
    different = [one["resource"] for one in wrong if one["verdict"] == "different"]
    refused = [f"{one['resource']} ({one['error']})" for one in wrong if one["verdict"] == "not_compared"]
    details = [
        f"{what}: {', '.join(names)}." for what, names in (("Different", different), ("Not compared", refused)) if names
    ]
    return [("audit_failed", min(one["at"] for one in wrong), " ".join(details))]


def _run(run: RowMapping | None) -> dict[str, Any] | None:
    if run is None:
        return None
    times = {name: _iso(run[name]) for name in ("started_at", "heartbeat_at", "finished_at")}
    return {"id": run["id"], "kind": run["kind"], "state": run["state"], **times, "summary": run["summary"]}


def _iso(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None
