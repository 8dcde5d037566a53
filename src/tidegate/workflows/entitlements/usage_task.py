"""The background task that tells Stripe's meters what was consumed, and what rings for it."""

import logging
from typing import Any

from sqlalchemy import Engine

from tidegate.connections import runs
from tidegate.connections.accounts import Account
from tidegate.entitlements import forwards
from tidegate.errors import TidegateError, UsageError, WorkStopped
from tidegate.outbound import pausing
from tidegate.store.trouble import told
from tidegate.workflows.entitlements import forward_usage as forwarding
from tidegate.workflows.outbound.run_sync import OpenWriting
from tidegate.workflows.task_context import PASSING, TaskContext, connected

log = logging.getLogger(__name__)

KIND = "usage"
SLICE = 20.0
"""Seconds after which others have its place."""
FOREVER = float("inf")
WAIT = 120.0
"""Seconds for which all waits after trouble that is nobody's debit."""


def forward_usage(context: TaskContext, connection: str) -> dict[str, Any]:
    """Tells what is due of a connection, for a while; rings for the rest. Trouble of the whole connection is said with
    what waits, which `status` shows, and is tried again.
    """
    account = connected(context, connection)
    if account is None:
        return {"connection": connection, "state": "disconnected"}
    with context.engine.connect() as db:
        if pausing.paused(db):
            return {"connection": connection, "state": "paused"}
    with runs.exclusive(context.engine, connection, KIND) as alone:
        if not alone:
            return {"connection": connection, "state": "busy"}
        try:
            with context.open_writing(account) as api, api.heeding(context.stop):
                sent = forwarding.forward(context.engine, account, api, seconds=SLICE, stop=context.stop)
        except WorkStopped:
            raise
        except (TidegateError, *PASSING) as trouble:
            log.warning("usage_put_off", extra={"connection": connection, "problem": told(trouble)})
            with context.engine.begin() as db:
                waiting = forwards.put_off(db, connection, told(trouble), WAIT)
            return {"connection": connection, "state": "put_off", "waiting": waiting, "error": told(trouble)}
    if sent.more:
        context.doorbell.ring("forward_usage", connection=connection)
    return {"connection": connection, "state": "done", **sent.counts}


def send_now(engine: Engine, account: Account, writing: OpenWriting) -> dict[str, Any]:
    """Tells everything that is due of a connection, in this process: {counts, waiting}; `counts` by state.

    Raises OutboundPaused, UsageError where a worker is at it, and what ends the work.
    """
    with engine.connect() as db:
        pausing.refuse(db)
    forwarding.assign(engine)
    with runs.exclusive(engine, account.name, KIND) as alone:
        if not alone:
            raise UsageError(problem=f"A worker tells the usage of {account.name} to Stripe just now.")
        with writing(account) as api:
            sent = forwarding.forward(engine, account, api, seconds=FOREVER)
    with engine.connect() as db:
        waiting = forwards.summary(db, account.name)["waiting"]
    return {"counts": dict(sorted(sent.counts.items())), "waiting": waiting}


def ring_for_usage(context: TaskContext) -> list[str]:
    """Finds who pays for what waits, and rings for the connections with something to tell; returns what it rang for."""
    forwarding.assign(context.engine)
    with context.engine.connect() as db:
        names = forwards.due(db)
    return [f"forward_usage:{name}" for name in names if context.doorbell.ring("forward_usage", connection=name)]
