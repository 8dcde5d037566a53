"""Ends a sync's run: its state, what is due after it, and what the outbox tells of it, in one transaction."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from tidegate.connections import runs
from tidegate.delivery.outbox import Told, tell
from tidegate.outbound import dues, syncs

ENDED = ("done", "incomplete")
"""States of runs that came to their end."""


def end(
    db: Connection,
    sync: str,
    connection: str,
    run: int,
    state: str,
    summary: dict[str, Any],
    owner: str,
    *,
    error: str = "",
    since: datetime | None = None,
    whole: tuple[str, datetime | None] | None = None,
    goes_on: bool = False,
) -> None:
    """Ends a run in the caller's transaction. `error`: what ended it before its end.

    `since`: what of the sync was due then is done, unless the run `goes_on` soon: then nothing is told either.
    `whole`: of a run of all rows, how it finished things, and Stripe's time until which changes were looked at.
    """
    runs.end(db, run, state, summary, owner, error)
    if goes_on:
        return
    if since is not None:
        dues.settle(db, sync, since)
    data = {"sync": sync, "run": run, "state": state, **{name: summary.get(name) for name in ("sent", "failed")}}
    if state in ENDED:
        dues.after_sync(db, sync)
        if whole is not None:
            syncs.ended(db, sync, *whole)
        tell(db, [Told("sync.finished", data, connection=connection)])
    else:
        tell(db, [Told("sync.failed", data | {"error": error or "it was stopped"}, connection=connection)])
