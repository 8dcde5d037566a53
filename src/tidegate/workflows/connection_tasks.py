"""Background tasks about one connection: its import, inbox, catch-up, audits, and what is derived of its customers."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tidegate.connections import accounts, runs
from tidegate.errors import ConnectionDisconnected, ImportRunning
from tidegate.mirror import changed, inbox
from tidegate.store.trouble import told
from tidegate.workflows import refresh as refreshing
from tidegate.workflows.mirror import audit as auditing
from tidegate.workflows.mirror import catch_up as catching_up
from tidegate.workflows.mirror import fan_out as fanning_out
from tidegate.workflows.mirror import import_account as importing
from tidegate.workflows.mirror import ingest_events
from tidegate.workflows.mirror import probe as probing
from tidegate.workflows.mirror import refetch as refetching
from tidegate.workflows.mirror import sweep as sweeping
from tidegate.workflows.mirror.import_account import ImportOptions
from tidegate.workflows.task_context import (
    LONGEST_WAIT,
    PASSING,
    SLICE,
    TaskContext,
    connected,
    ring_for_deliveries,
    ring_for_looks,
    ring_for_refresh,
    stripe,
)

log = logging.getLogger(__name__)

MOST_TRIES = 20
"""How often a part of an import that fails is tried again by itself, over about two and a half hours."""
FLOOD = 30
"""Events handled in one go from which on more are likely to follow: the refresh behind them waits `LULL` seconds, so
that it takes many customers at once, and one that changes again only once.
"""
LULL = 5
CROWD = 150
"""Events that wait from which on a refresh leaves the processor to them, wholly for up to `PATIENCE` seconds."""
PATIENCE = 60


def import_account(
    context: TaskContext, connection: str, resources: Sequence[str] = (), full: bool = False, attempt: int = 0
) -> dict[str, Any]:
    """Imports a connection, or goes on with its import. `attempt` counts the failures so far.

    Interrupted by a stop, it is rung for at once; kept off by another import or by trouble that passes (`PASSING`), or
    incomplete for such trouble, after a while.
    """
    account = connected(context, connection)
    if account is None:
        return {"connection": connection, "state": "disconnected"}

    def again(delay: int, *, full: bool = False, attempt: int = attempt) -> None:
        context.doorbell.ring(
            "import_again", connection=connection, delay=delay, resources=list(resources), full=full, attempt=attempt
        )

    options = ImportOptions(resources=tuple(resources), full=full, readers=context.readers)
    before = _last_import(context, connection)
    wait = min(LONGEST_WAIT, 15 * 2**attempt)
    try:
        with stripe(context, account) as api:
            summary = importing.import_account(context.engine, account, api, options, stop=context.stop)
    except ImportRunning:
        again(60, full=full)
        return {"connection": connection, "state": "busy"}
    except ConnectionDisconnected:
        return {"connection": connection, "state": "disconnected"}
    except PASSING as trouble:
        log.warning("import_put_off", extra={"connection": connection, "seconds": wait, "problem": told(trouble)})
        begun = _last_import(context, connection) != before
        again(wait, full=full and not begun, attempt=attempt + 1)  # what was begun is gone on with, and knows
        return {"connection": connection, "state": "put_off", "error": told(trouble)}
    if summary["state"] == "incomplete" and summary["passing"] and attempt < MOST_TRIES:
        log.warning("import_incomplete", extra={"connection": connection, "seconds": wait})
        again(wait, attempt=attempt + 1)
    ring_for_refresh(context, connection)
    if summary["state"] == "interrupted" and context.stop.is_set():
        again(0)
    return {"connection": connection, "run": summary["run"], "state": summary["state"]}


def drain(context: TaskContext, connection: str) -> dict[str, Any]:
    """Handles what is due in a connection's inbox, for a while; rings for the rest, and for the objects to look at.

    What fails is due again later; what the database could not take is rung for.
    """
    account = connected(context, connection)
    if account is None:
        return {"connection": connection, "state": "disconnected"}
    drained = ingest_events.handle_events(
        context.engine, connection, attempts=context.attempts, seconds=SLICE, stop=context.stop
    )
    if drained.put_off:
        context.doorbell.ring("drain", connection=connection, delay=ingest_events.PUT_OFF_SECONDS)
    elif drained.more or context.stop.is_set():
        context.doorbell.ring("drain", connection=connection)
    if drained.accounts_changed:
        context.doorbell.ring("fan_out", connection=connection)
    ring_for_looks(context, connection)
    ring_for_refresh(context, connection, delay=LULL if drained.handled >= FLOOD else 0)
    return {
        "connection": connection,
        "handled": drained.handled,
        "failed": len(drained.failed),
        "put_off": len(drained.put_off),
    }


def refetch(context: TaskContext, connection: str) -> dict[str, Any]:
    """Fetches the objects of a connection that are due, for a while; rings for the rest, behind the other connections.

    Beside the inbox, so that events are applied however many objects wait.
    """
    account = connected(context, connection)
    if account is None:
        return {"connection": connection, "state": "disconnected"}
    with stripe(context, account) as api:
        looked = refetching.refetch(context.engine, connection, api, seconds=SLICE, stop=context.stop)
    ring_for_refresh(context, connection)
    if not looked.error:  # else the objects wait for the minute's tick, and Stripe is left alone until then
        ring_for_looks(context, connection)
    return {"connection": connection, **looked.as_json()}


def refresh(context: TaskContext, connection: str) -> dict[str, Any]:
    """Recomputes what is derived of a connection's changed customers, for a while; rings for the rest.

    Also of one that was disconnected: its data are kept, and what is derived of them as well. While many events wait it
    lets them go first, and takes whom they change once instead of again and again.
    """
    with context.engine.connect() as db:
        account = next((one for one in accounts.every(db) if one.name == connection), None)
    if account is None:
        return {"connection": connection, "state": "purged"}

    def events_first() -> bool:
        with context.engine.connect() as db:
            return inbox.floods(db, connection, CROWD) and changed.patience_left(db, connection, PATIENCE)

    if events_first():
        ring_for_refresh(context, connection, delay=LULL)
        return {"connection": connection, "state": "put_off"}
    with context.engine.connect() as db:
        crowded = inbox.floods(db, connection, CROWD)
    done = refreshing.refresh_changed(
        context.engine, account, seconds=1.0 if crowded else SLICE, stop=context.stop, giving_way=events_first
    )
    if done.more or context.stop.is_set():
        ring_for_refresh(context, connection, delay=LULL if crowded else 0)
    ring_for_deliveries(context)
    return {"connection": connection, **done.as_json()}


def catch_up(context: TaskContext, connection: str) -> dict[str, Any]:
    """Reads Stripe's events since the last time; nothing to do where another process does.

    Events that Stripe no longer had are made good by a full import; should its ring be lost, the tick rings again.
    """
    account = connected(context, connection)
    if account is None:
        return {"connection": connection, "state": "disconnected"}
    try:
        with stripe(context, account) as api:
            caught = catching_up.catch_up(
                context.engine, account, api, attempts=context.attempts, stop=context.stop, look=False
            )
    except ImportRunning:
        return {"connection": connection, "state": "busy"}
    except ConnectionDisconnected:
        return {"connection": connection, "state": "disconnected"}
    if caught["gap"]:
        context.doorbell.ring("import_account", connection=connection, full=True)
    ring_for_looks(context, connection)
    ring_for_refresh(context, connection)
    if context.stop.is_set():
        context.doorbell.ring("catch_up", connection=connection)
    return caught


def sweep(context: TaskContext, connection: str) -> dict[str, Any]:
    """Reads every list of a connection again, or goes on with a sweep that was interrupted this night.

    Nothing to do where one has ended this night, or while an import reads the lists anyway. Interrupted by a stop, it
    is rung for at once; trouble that passes (`PASSING`) leaves it to `tick`.
    """
    account = connected(context, connection)
    if account is None:
        return {"connection": connection, "state": "disconnected"}
    with context.engine.connect() as db:
        if sweeping.is_fresh(db, connection, datetime.now(UTC)):
            return {"connection": connection, "state": "swept"}
    try:
        with stripe(context, account) as api:
            summary = sweeping.sweep(context.engine, account, api, readers=context.readers, stop=context.stop)
    except ImportRunning:
        return {"connection": connection, "state": "busy"}
    except ConnectionDisconnected:
        return {"connection": connection, "state": "disconnected"}
    except PASSING as trouble:
        log.warning("sweep_put_off", extra={"connection": connection, "problem": told(trouble)})
        return {"connection": connection, "state": "put_off", "error": told(trouble)}
    ring_for_refresh(context, connection)
    if summary["state"] == "interrupted" and context.stop.is_set():
        context.doorbell.ring("sweep", connection=connection)
    return {"connection": connection, "run": summary["run"], "state": summary["state"]}


def audit(context: TaskContext, connection: str) -> dict[str, Any]:
    """Compares a connection's mirror with Stripe. Trouble that passes (`PASSING`) ends it: its run says interrupted,
    and whoever wants it asks again.
    """
    account = connected(context, connection)
    if account is None:
        return {"connection": connection, "state": "disconnected"}
    try:
        with stripe(context, account) as api:
            result = auditing.audit(context.engine, account, api)
    except PASSING as trouble:
        log.warning("audit_interrupted", extra={"connection": connection, "problem": told(trouble)})
        return {"connection": connection, "state": "interrupted", "error": told(trouble)}
    return {"connection": connection, "run": result["run"], "clean": result["clean"]}


def probe(context: TaskContext, connection: str) -> dict[str, Any]:
    """Looks at what a connection's key may read."""
    account = connected(context, connection)
    if account is None:
        return {"connection": connection, "state": "disconnected"}
    with stripe(context, account) as api:
        found = probing.probe(context.engine, account, api)
    return {"connection": connection, "refused": [one.endpoint for one in found if one.allowed is False]}


def fan_out(context: TaskContext, connection: str) -> dict[str, Any]:
    """Looks for new and vanished accounts of a platform."""
    account = connected(context, connection)
    if account is None or account.fan_out_at is None:
        return {"connection": connection, "state": "no platform"}
    with stripe(context, account) as api:
        return fanning_out.fan_out(context.engine, account, api).as_json()


def _last_import(context: TaskContext, connection: str) -> int | None:
    """The id of the connection's last import."""
    with context.engine.connect() as db:
        last = runs.last(db, connection, importing.KIND)
    return last["id"] if last else None
