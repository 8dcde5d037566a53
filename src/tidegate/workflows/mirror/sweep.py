"""Sweeps a connection: reads every list again at night, since some changes of Stripe's objects have no event.

A sweep is the import that `tidegate import --full` does by hand, as a run of a kind of its own (semantics, Catch-up).
"""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from tidegate.connections import runs
from tidegate.connections.accounts import Account
from tidegate.errors import ImportRunning
from tidegate.mirror.backfill import Progress
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows.mirror import import_account as importing
from tidegate.workflows.mirror.import_account import SAME_NIGHT, SWEEP, ImportOptions


def sweep(
    engine: Engine,
    account: Account,
    api: StripeApi,
    *,
    readers: int = 24,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """Reads every list, looks by id at what is stored and in none, and returns the summary of `import_account`.

    Its `mended` says per resource what the mirror did not know. The place in Stripe's events stays where it is, and an
    import that was interrupted stays so. Raises ImportRunning while an import reads the lists anyway, SweepRunning, and
    the errors of `import_account`.
    """
    if runs.is_held(engine, account.name, importing.KIND):
        raise ImportRunning(connection=account.name)
    options = ImportOptions(readers=readers, sweep=True)
    return importing.import_account(engine, account, api, options, progress=progress, stop=stop)


def is_fresh(db: Connection, connection: str, as_of: datetime) -> bool:
    """Whether a sweep of this night came to its end, if only in part."""
    last = runs.last(db, connection, SWEEP)
    return bool(last and last["state"] in {"done", "incomplete"} and last["started_at"] > as_of - SAME_NIGHT)


def standing(db: Connection, connection: str) -> dict[str, Any] | None:
    """The last sweep as status shows it: {run, state, started_at, finished_at, mended, problems, error}; None: never.

    `mended` has the resources of which something was missing, changed or had vanished.
    """
    last = runs.last(db, connection, SWEEP)
    if last is None:
        return None
    summary = last["summary"]
    mended = {
        name: {what: counts[what] for what in ("missing", "changed", "vanished")}
        for name, counts in summary.get("mended", {}).items()
        if counts["missing"] or counts["changed"] or counts["vanished"]
    }
    return {
        "run": last["id"],
        "state": last["state"],
        "started_at": last["started_at"],
        "finished_at": last["finished_at"],
        "mended": mended,
        "problems": summary.get("problems", {}),
        "error": last["error"],
    }
