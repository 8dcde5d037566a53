"""Background tasks about everything: what is sent, and what starts by itself when its time has come."""

import logging
from datetime import UTC, datetime
from typing import Any

from tidegate.delivery import queue
from tidegate.store.trouble import told
from tidegate.workflows import due, kept_reports
from tidegate.workflows import refresh as refreshing
from tidegate.workflows.delivery import deliver as delivering
from tidegate.workflows.entitlements.usage_task import ring_for_usage
from tidegate.workflows.lifecycle import lifecycle
from tidegate.workflows.operation import retention
from tidegate.workflows.operation import watch as watching
from tidegate.workflows.outbound.sync_task import ring_for_syncs
from tidegate.workflows.revenue import revenue
from tidegate.workflows.task_context import PASSING, SLICE, TaskContext, ring_for_deliveries

log = logging.getLogger(__name__)

TICK = 60
"""Seconds between looks at everything; what is due before the next one is rung for."""


def deliver(context: TaskContext, connection: str = "") -> dict[str, Any]:
    """Sends what is due to destinations, for a while; rings for the rest, and for what is due again soon.

    `connection` is none: destinations belong to all.
    """
    try:
        done = delivering.deliver(context.engine, context.destination, seconds=SLICE, stop=context.stop)
    except PASSING as trouble:
        log.warning("delivery_put_off", extra={"problem": told(trouble)})
        return {"state": "put_off", "error": told(trouble)}
    if done.more or context.stop.is_set():
        context.doorbell.ring("deliver", connection=connection)
        return done.as_json()
    with context.engine.connect() as db:
        wait = queue.next_due(db)
    if wait is not None and wait < TICK:
        context.doorbell.ring("deliver_again", connection=connection, delay=int(wait) + 1)
    return done.as_json()


def tick(context: TaskContext, timestamp: int) -> list[str]:
    """Rings for everything whose time has come, so that a lost ring costs a minute; returns what it rang for.

    `timestamp`: the minute it was due, in epoch seconds. A connection whose key is refused is tried on the full hour.
    """
    full_hour, as_of = timestamp % 3600 < 60, datetime.fromtimestamp(timestamp, UTC)
    with context.engine.connect() as db:
        wanted = [("catch_up", name) for name in due.behind(db, context.poll_seconds, refused=full_hour)]
        wanted += [("drain", name) for name in due.undrained(db)]
        wanted += [("refetch", name) for name in due.unfetched(db)]
        wanted += [("refresh", name) for name in due.unrefreshed(db)]
        wanted += [("probe", name) for name in due.unprobed(db, refused=full_hour)]
        wanted += [("sweep", name) for name in due.unswept(db, as_of, context.sweep_hour)]
        wanted += [("fan_out", name) for name in due.fanning_out(db, refused=full_hour)]
        gaps = due.unanswered(db)
    rung = [f"{task}:{name}" for task, name in wanted if context.doorbell.ring(task, connection=name)]
    for name, full in gaps:
        if context.doorbell.ring("import_account", connection=name, full=full):
            rung.append(f"import_account:{name}")
    rung += ring_for_syncs(context, as_of)
    rung += ring_for_usage(context)
    if told := refreshing.refresh_due(context.engine, stop=context.stop):
        log.info("entitlements_changed_by_themselves", extra={"contacts": told})
    if kept := revenue.keep_due(context.engine, stop=context.stop):
        log.info("revenue_changed_by_itself", extra={"customers": kept})
    if ring_for_deliveries(context):
        rung.append("deliver")
    return rung


def forget_old(context: TaskContext, timestamp: int) -> dict[str, int]:
    """Deletes what retention does not keep; returns how many rows per table. When it was due makes no difference."""
    return retention.forget_old(context.engine, context.retention, stop=context.stop)


def keep_lifecycle(context: TaskContext, timestamp: int) -> dict[str, int] | None:
    """Brings stages, segments, health and alerts up to what changed, and to the time; when it was due makes no
    difference.
    """
    kept = lifecycle.keep_due(context.engine, stop=context.stop)
    if kept is None:
        return None
    ring_for_deliveries(context)
    return kept.as_json()


def keep_reports(context: TaskContext, timestamp: int) -> list[str]:
    """Reads anew, for a while, what pages keep; when it was due makes no difference."""
    return kept_reports.renew(context.engine, seconds=SLICE, stop=context.stop)


def watch(context: TaskContext, timestamp: int) -> dict[str, int]:
    """Opens and resolves system alerts, and makes the digests that are due; when it was due makes no difference."""
    done = watching.watch(context.engine, poll_seconds=context.poll_seconds, home=context.home)
    ring_for_deliveries(context)
    return done.as_json()
