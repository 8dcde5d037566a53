"""What runs when, in one place: each with how often, when it ran last, and when it runs next if a worker is there."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.connections.accounts import Account
from tidegate.lifecycle import digests
from tidegate.workflows import due
from tidegate.workflows.lifecycle.lifecycle import EVERY, now
from tidegate.workflows.mirror import sweep as sweeping

MINUTE = timedelta(minutes=1)


class Schedule(NamedTuple):
    """`of`: a connection, a sync, who is sent a digest; empty: all. `last_at` None: not yet; `next_at` None: it does
    not run by the clock.
    """

    what: str
    of: str
    when: str
    last_at: datetime | None
    next_at: datetime | None


def listing(db: Connection, accounts: Sequence[Account], *, poll_seconds: int, sweep_hour: int) -> list[dict[str, Any]]:
    """The schedules as {what, of, when, last_at, next_at}. What was missed runs once, as soon as a worker is there."""
    as_of = now(db)
    connected = [one for one in accounts if one.disconnected_at is None]
    found: list[Schedule] = []
    for account in connected:
        found += _of_account(db, account, as_of, poll_seconds, sweep_hour)
    for row in db.execute(_SYNCS, {"connections": [one.name for one in connected]}):
        upcoming = min((at for at in (row.due_at, row.next_at) if at is not None), default=None)
        when = row.schedule or "by hand"
        found.append(Schedule("sync", row.key, when if row.enabled else f"{when}, disabled", row.last_at, upcoming))
    return [one._asdict() for one in [*found, *_of_all(db, as_of)]]


def _of_account(
    db: Connection, account: Account, as_of: datetime, poll_seconds: int, sweep_hour: int
) -> Iterator[Schedule]:
    name, caught_up = account.name, account.caught_up_at
    yield Schedule("webhooks", name, "always", account.last_webhook_at, None)
    again = caught_up + timedelta(seconds=poll_seconds) if caught_up else as_of
    yield Schedule("catch-up", name, f"every {_span(poll_seconds)}", caught_up, max(as_of, again))
    last = sweeping.standing(db, name)
    upcoming = due.next_sweep(db, name, as_of, sweep_hour)
    yield Schedule("sweep", name, f"nightly at {sweep_hour}:00", last["started_at"] if last else None, upcoming)
    probed = db.scalar(_PROBED, {"connection": name})
    yield Schedule("permissions", name, "daily", probed, max(as_of, probed + timedelta(days=1)) if probed else as_of)
    if account.fan_out_at is not None:
        yield Schedule("accounts of the platform", name, "daily", None, account.fan_out_at)


def _of_all(db: Connection, as_of: datetime) -> Iterator[Schedule]:
    state = db.execute(_STATE).one_or_none()
    kept, watched = (state.kept_at, state.watched_at) if state else (None, None)
    again = max(as_of, kept + timedelta(seconds=EVERY)) if kept else as_of
    yield Schedule("lifecycle", "", f"every {_span(EVERY)}, and when something changed", kept, again)
    yield Schedule("system alerts", "", "every minute", watched, max(as_of, watched + MINUTE) if watched else as_of)
    for one in digests.recipients(db):
        yield Schedule("digest", one.named, one.said, digests.last_of(db, one.key), one.next_after(as_of))
    cleaned = db.scalar(_CLEANED)
    hour = as_of.replace(minute=23, second=0, microsecond=0)
    yield Schedule("retention", "", "hourly", cleaned, hour if hour > as_of else hour + timedelta(hours=1))


def _span(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"


_SYNCS = text("""
select s.key, coalesce(s.spec ->> 'schedule', '') as schedule, s.enabled, s.next_at, s.due_at, (
  select max(r.started_at) from tidegate.runs r where r.connection = 'sync:' || s.key and r.kind = 'sync') as last_at
from tidegate.syncs s where s.connection = any(cast(:connections as text[])) order by s.key""")

_PROBED = text("select min(checked_at) from tidegate.permissions where connection = :connection")

_STATE = text("select kept_at, watched_at from tidegate.lifecycle_state")

_CLEANED = text("""
select max(e.at) from tidegate.procrastinate_jobs j join tidegate.procrastinate_events e on e.job_id = j.id
where j.task_name = 'forget_old' and e.type = 'succeeded'""")
