"""Puts back the jobs of workers that died: a killed worker's job stays `doing` until somebody notices."""

import logging

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 20
"""A job that was put back this often kills its workers, and ends as failed."""

STALLED = text("""
select j.id, j.task_name, j.attempts from procrastinate_jobs j
where j.status = 'doing' and not exists (
  select from procrastinate_workers w
  where w.id = j.worker_id and w.last_heartbeat >= now() - make_interval(secs => :seconds))
order by j.id for update of j skip locked""")

PUT_BACK = text(
    "update procrastinate_jobs set status = 'todo', attempts = attempts + 1, scheduled_at = now() where id = :id"
)
END = text("update procrastinate_jobs set status = cast(:status as procrastinate_job_status) where id = :id")


def rescue(engine: Engine, stalled_seconds: float) -> dict[str, list[int]]:
    """Puts back every job whose worker gave no sign of life for `stalled_seconds`; returns job ids by what they became.

    `todo`: it waits for a worker again. `aborted`: such a job waits already. `failed`: see MOST_ATTEMPTS. Workers may
    call this at the same time: rows are locked, so nobody puts back a job that another worker has just taken up.
    """
    outcome: dict[str, list[int]] = {}
    with engine.begin() as db:
        for job in db.execute(STALLED, {"seconds": stalled_seconds}).all():
            status = "failed" if job.attempts >= MOST_ATTEMPTS else _put_back(db, job.id)
            if status != "todo":
                db.execute(END, {"id": job.id, "status": status})
            outcome.setdefault(status, []).append(job.id)
            log.warning("job_of_dead_worker", extra={"job": job.id, "task": job.task_name, "status": status})
    return outcome


def _put_back(db: Connection, job: int) -> str:
    try:
        with db.begin_nested():
            db.execute(PUT_BACK, {"id": job})
    except IntegrityError:  # its queueing lock is held by a job that waits: looking once is enough
        return "aborted"
    return "todo"
