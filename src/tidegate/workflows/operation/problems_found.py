"""Problems that nobody notes: what shows in the tables, in the queue, on the disk whenever one looks."""

from collections.abc import Sequence, Set
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, text

from tidegate.connections.accounts import Account
from tidegate.stripe_api.resources import RESOURCES, resource_of_key
from tidegate.workflows.mirror.audit import last_verdicts
from tidegate.workflows.operation.capacity import DISK_LOW, free_bytes, workers_alive

BEHIND = timedelta(minutes=15)
QUEUE_OLD_SECONDS = 300
REASONS = 3
"""How many that could not be compared each say why."""
UNATTENDED_SECONDS = 60
"""Due for so long with no worker alive: none is just being started."""
QUIET, DELIVERED = timedelta(hours=1), timedelta(minutes=10)
"""Webhooks are silent when Stripe has events from so long after the last one, and had so long to deliver them."""


class Found(NamedTuple):
    """A problem's code, since when (None: it cannot be told), its detail, and what of the connection has it."""

    code: str
    since: datetime | None
    detail: str
    subject: str = ""


class Queues(NamedTuple):
    """What waits for a worker: the summaries of inbox and re-fetch queue, and since when an import is asked for."""

    events: dict[str, Any]
    looks: dict[str, Any]
    import_asked: datetime | None

    @property
    def overdue_seconds(self) -> int:
        """For how long the first of it has been due."""
        asked = (datetime.now(UTC) - self.import_asked).total_seconds() if self.import_asked else 0
        return max(self.events["overdue_seconds"], self.looks["overdue_seconds"], int(asked))

    @property
    def words(self) -> str:
        """How much it is."""
        parts = [f"{self.events['waiting']} events", f"{self.looks['waiting']} objects to fetch"]
        return " and ".join([*parts, *(["an import"] if self.import_asked else [])])


def of_connection(
    db: Connection, account: Account, imports: Sequence[RowMapping], queues: Queues, poll_seconds: int
) -> list[Found]:
    """Every problem of a connection that shows; `imports` as `runs.imports` gives them."""
    return [
        *of_import(account, imports),
        *_of_account(db, account),
        *_of_queues(queues),
        *_of_polling(account, imports, poll_seconds),
        *silent(db, account),
        *_of_audits(db, account.name),
    ]


def of_installation(db: Connection, queues: Sequence[Queues], home: Path | None) -> list[Found]:
    """What is wrong for all connections. `home`: where the embedded database is; None when the database is another."""
    found: list[Found] = []
    unattended = max(queues, key=lambda one: one.overdue_seconds, default=None)
    if unattended and unattended.overdue_seconds > UNATTENDED_SECONDS and not workers_alive(db):
        detail = f"{unattended.words} wait, due for {unattended.overdue_seconds} s, and no worker is alive."
        found.append(Found("no_worker", _ago(unattended.overdue_seconds), detail))
    if home:
        place, free = free_bytes(home)
        if free < DISK_LOW:
            found.append(Found("disk_low", None, f"{free / 1e9:.1f} GB are free under {place}."))
    return found


def import_asked(db: Connection, connection: str) -> datetime | None:
    """Since when an import is due that no worker has taken up; None while one of the connection is at work."""
    return db.scalar(
        text("""
select min(due.at) from procrastinate_jobs j
join lateral (select greatest(j.scheduled_at, max(e.at)) as at from procrastinate_events e
              where e.job_id = j.id and e.type in ('deferred', 'deferred_for_retry')) due on due.at <= now()
where j.status = 'todo' and j.queue_name = 'import' and j.task_name <> 'run_sync'
  and j.args ->> 'connection' = :connection
  and not exists (select from procrastinate_jobs w where w.status = 'doing' and w.lock = j.lock)"""),
        {"connection": connection},
    )


def of_import(account: Account, imports: Sequence[RowMapping]) -> list[Found]:
    """Not imported, or imported in part: what no later import has read to its end either."""
    if not imports:
        return [Found("not_imported", account.created_at, "The account was connected and never imported.")]
    covered: set[str] = set()
    open_: list[tuple[RowMapping, str]] = []
    for run in imports:
        wanted = set(run["options"].get("resources") or ()) or {each.name for each in RESOURCES.values() if each.path}
        if run["state"] == "running":
            if not run["options"].get("resources"):
                break  # it reads everything again; what came before is its to mend
            continue
        left = _left(run, wanted)
        if left - covered:
            problems: dict[str, str] = run["summary"].get("problems", {})
            named = {key: told for key, told in problems.items() if resource_of_key(key) in left - covered}
            open_.append((run, run["error"] or "; ".join(f"{key}: {told}" for key, told in named.items())))
        covered |= wanted - left
    if not open_:
        return []
    details = dict.fromkeys(detail or "It was stopped before its end." for _, detail in open_)
    return [Found("import_incomplete", min(run["finished_at"] for run, _ in open_), "; ".join(details))]


def _left(run: RowMapping, wanted: Set[str]) -> Set[str]:
    """What an import did not read to its end. What the key may not read is told as `permission_missing` instead."""
    summary = run["summary"]
    unpermitted = {name for name, why in summary.get("left_out", {}).items() if why == "permission_missing"}
    failed = {resource_of_key(key) for key in summary.get("problems", {})}
    if run["state"] == "interrupted" or (run["state"] != "done" and not failed):
        return wanted
    return failed - unpermitted


def _of_account(db: Connection, account: Account) -> list[Found]:
    """A live account that cannot charge; in test mode Stripe lets every account charge and asks for no details."""
    if not account.livemode:
        return []
    row = db.execute(
        text("""
select updated_at, charges_enabled, details_submitted from stripe.accounts
where connection = :connection and id = :id and deleted_at is null
  and (not charges_enabled or not details_submitted)"""),
        {"connection": account.name, "id": account.account},
    ).first()
    if row is None:
        return []
    lacking = [
        words
        for words, given in (
            ("its details are not complete", row.details_submitted),
            ("it may not take payments", row.charges_enabled),
        )
        if given is False
    ]
    return [Found("account_not_activated", row.updated_at, f"Stripe says of {account.account}: {', '.join(lacking)}.")]


def _of_queues(queues: Queues) -> list[Found]:
    found: list[Found] = []
    events, looks, overdue = queues.events, queues.looks, queues.overdue_seconds
    if events["parked"]:
        found.append(Found("inbox_parked", events["parked_since"], f"{events['parked']} events could not be handled."))
    if looks["failing"]:
        detail = f"{looks['failing']} objects could not be fetched from Stripe, for example: {looks['error']}"
        found.append(Found("refetch_failing", looks["failing_since"], detail))
    if overdue > QUEUE_OLD_SECONDS:
        detail = f"{queues.words} wait, the first due for {overdue} s."
        found.append(Found("queue_old", _ago(overdue), detail))
    return found


def _of_polling(account: Account, imports: Sequence[RowMapping], poll_seconds: int) -> list[Found]:
    """Behind, when neither an import nor a catch-up has looked at Stripe for a quarter of an hour or three polls."""
    ended = next((run["finished_at"] for run in imports if run["finished_at"]), None)
    looked = [at for at in (account.caught_up_at, ended) if at]
    allowed = max(BEHIND, timedelta(seconds=3 * poll_seconds))
    if not looked or datetime.now(UTC) - max(looked) <= allowed:
        return []
    return [Found("behind", max(looked), "Stripe's events have not been read since.")]


def silent(db: Connection, account: Account) -> list[Found]:
    """Whether Stripe has events that a webhook should have brought long ago and only polling did."""
    after = (account.last_webhook_at or account.created_at) + QUIET
    if after >= datetime.now(UTC) - DELIVERED:
        return []
    row = db.execute(
        text("""
select count(*) as events, min(i.created) as since from tidegate.inbox i
join tidegate.connections c on c.name = i.connection and c.webhook_secrets is not null
where i.connection = :connection and i.source = 'events' and i.created > :after and i.created < now() - :delivered"""),
        {"connection": account.name, "after": after, "delivered": DELIVERED},
    ).one()
    if not row.events:
        return []
    last = (
        f"the last came at {account.last_webhook_at:%Y-%m-%d %H:%M} UTC"
        if account.last_webhook_at
        else "none ever came"
    )
    return [Found("webhook_silent", row.since, f"{row.events} events came by polling and by no webhook; {last}.")]


def _of_audits(db: Connection, connection: str) -> list[Found]:
    """What the newest audit of each resource found different; what could not be compared is named with its reason,
    of many with the first one's. Where nothing differs, reading everything again would mend nothing.
    """
    wrong = [one for one in last_verdicts(db, connection) if one["verdict"] != "equal"]
    if not wrong:
        return []
    different = [one["resource"] for one in wrong if one["verdict"] == "different"]
    refused = [one for one in wrong if one["verdict"] == "not_compared"]
    explained = len(refused) if len(refused) <= REASONS else 1
    named = [f"{one['resource']} ({one['error']})" for one in refused[:explained]]
    named += [one["resource"] for one in refused[explained:]]
    details = [
        f"{what}: {', '.join(names)}." for what, names in (("Different", different), ("Not compared", named)) if names
    ]
    since, detail = min(one["at"] for one in wrong), " ".join(details)
    return [Found("audit_failed", since, detail) if different else Found("audit_incomplete", since, detail)]


def _ago(seconds: int) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)
