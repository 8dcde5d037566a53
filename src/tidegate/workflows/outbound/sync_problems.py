"""What is wrong with syncs whenever one looks: unreadable, failed, rows that failed, late, lasting too long, drafts
that nothing finishes, or held by a pause.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection, RowMapping, text

from tidegate.connections import runs
from tidegate.errors import SyncInvalid
from tidegate.outbound import followups, pausing
from tidegate.outbound.followups import Unfinished
from tidegate.workflows.operation.problems_found import Found

if TYPE_CHECKING:
    from tidegate.outbound.specs import Alerts

KIND = "sync"
ENDED = ("done", "incomplete")
"""States of runs that came to their end."""
FAILED = ("failed", "invalid")
"""States of rows that failed: Stripe refused them, or nothing was sent for what they say."""


def of_connection(db: Connection, connection: str, as_of: datetime) -> list[Found]:
    """Every problem of the connection's syncs; the subject of each is its sync."""
    found: list[Found] = []
    waiting = followups.unfinished(db, connection)
    for row in db.execute(_SYNCS, {"connection": connection}).mappings().all():
        from tidegate.outbound import specs  # a quarter of a second, which a hub without syncs has no use for

        try:
            alerts = specs.sync(row["spec"]).alerts
        except SyncInvalid as wrong:
            found.append(Found("sync_invalid", None, str(wrong), row["key"]))
            continue
        last = runs.last(db, f"sync:{row['key']}", KIND)
        found += _of_last(db, row["key"], last, alerts)
        found += _of_time(row, last, alerts, as_of)
        found += _of_drafts(row["key"], waiting.get(row["key"]), alerts, as_of)
    return found


def of_installation(db: Connection) -> list[Found]:
    """That something is due and a pause holds it."""
    held = list(db.scalars(_HELD))
    pause = pausing.paused(db)
    if pause is None or not held:
        return []
    return [Found("outbound_paused", pause["at"], f"{pause['by']} paused it, and it holds {', '.join(held)}.")]


def _of_last(db: Connection, sync: str, last: RowMapping | None, alerts: "Alerts") -> Iterator[Found]:
    if last is None:
        return
    if last["state"] == "interrupted" and last["error"]:
        yield Found("sync_failed", last["finished_at"], f"{sync}, run {last['id']}: {last['error']}", sync)
    rows = int(last["summary"].get("rows") or 0)
    if last["state"] not in ENDED or not rows:
        return
    failed = int(db.scalar(_FAILED, {"sync": sync, "states": list(FAILED)}) or 0)
    if failed * 100 > alerts.rows_failed * rows:
        share = f"{100 * failed / rows:.1f} % ({failed:,} of {rows:,})"
        detail = f"{sync}: {share} of the rows failed, more than {alerts.rows_failed:g} %."
        yield Found("sync_rows_failed", last["finished_at"], detail, sync)


def _of_time(row: RowMapping, last: RowMapping | None, alerts: "Alerts", as_of: datetime) -> Iterator[Found]:
    running = last is not None and last["state"] == "running"
    due = min((at for at in (row["due_at"], row["next_at"] if row["enabled"] else None) if at), default=None)
    if due is not None and not running and due < as_of - timedelta(minutes=alerts.late):
        yield Found("sync_late", due, f"{row['key']} has been due since {_shown(due)} and does not run.", row["key"])
    if last is None or last["state"] not in (*ENDED, "running"):
        return
    lasted = (as_of if running else last["finished_at"]) - last["started_at"]
    if lasted > timedelta(minutes=alerts.longest):
        what = "has lasted" if running else "lasted"
        detail = f"{row['key']}, run {last['id']}, {what} {lasted.total_seconds() / 60:.0f} minutes."
        yield Found("sync_slow", last["started_at"], detail, row["key"])


def _of_drafts(sync: str, waiting: Unfinished | None, alerts: "Alerts", as_of: datetime) -> Iterator[Found]:
    if waiting is not None and waiting.since < as_of - timedelta(minutes=alerts.late):
        detail = f"{sync}: drafts wait to be finished: {waiting.why}."
        yield Found("sync_unfinished", waiting.since, detail, sync)


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


_HELD = text("""
select held from (
  select key as held, 0 as place from tidegate.syncs where due_at is not null
  union all select 'usage that was consumed', 1 where exists (
    select from tidegate.meter_forwards where connection is not null and state in ('waiting', 'intended'))) held
order by place, held""")

_SYNCS = text("""
select key, spec, enabled, next_at, due_at from tidegate.syncs where connection = :connection order by key""")

_FAILED = text("""
select count(*) from tidegate.sync_rows
where sync = :sync and state <> 'sent' and state = any(cast(:states as text[]))""")
