"""Deletes what is kept only for a while, by batches, each its own transaction (semantics, Operation)."""

import threading

from sqlalchemy import Engine, text

BATCH = 1000

# What to delete, per table: one batch of the oldest rows past their days.
BATCHES = {
    "inbox": """
delete from tidegate.inbox where ctid = any(array(
  select ctid from tidegate.inbox
  where state in ('handled', 'skipped') and received_at < now() - make_interval(days => :days)
  limit :batch))""",
    "jobs": """
delete from tidegate.procrastinate_jobs where id = any(array(
  select j.id from tidegate.procrastinate_jobs j
  where j.status in ('succeeded', 'failed', 'cancelled', 'aborted') and not exists (
    select from tidegate.procrastinate_events e where e.job_id = j.id and e.at >= now() - make_interval(days => :days))
  order by j.id limit :batch))""",
}

DAYS = {"inbox": 30, "jobs": 7}
"""Events that wait or are parked are kept whatever their age; so are jobs that are not finished."""


def forget_old(engine: Engine, *, stop: threading.Event | None = None) -> dict[str, int]:
    """Deletes the rows of each table that are older than `DAYS`; returns how many there were."""
    deleted = dict.fromkeys(DAYS, 0)
    for table, days in DAYS.items():
        while not (stop and stop.is_set()):
            with engine.begin() as db:
                count = db.execute(text(BATCHES[table]), {"days": days, "batch": BATCH}).rowcount
            deleted[table] += count
            if count < BATCH:
                break
    return deleted
