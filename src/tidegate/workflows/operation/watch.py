"""Looks at the hub itself: opens and resolves system alerts, makes the digests that are due, each once."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine

from tidegate.lifecycle import digests, owners, routes, system_alerts
from tidegate.lifecycle.digest_periods import Every
from tidegate.workflows.lifecycle.lifecycle import now
from tidegate.workflows.operation import standing_problems
from tidegate.workflows.operation.capacity import workers_alive

if TYPE_CHECKING:
    from tidegate.delivery.stored import Stored

UNATTENDED_SECONDS = 10.0
"""How long a process that is no worker delivers to the default route."""


@dataclass(slots=True)
class Watched:
    """What was done: system alerts opened and resolved, digests made."""

    opened: int = 0
    resolved: int = 0
    digests: int = 0

    def as_json(self) -> dict[str, int]:
        """As a JSON object."""
        return asdict(self)


def watch(
    engine: Engine, *, poll_seconds: int = 300, home: Path | None = None, as_of: datetime | None = None
) -> Watched:
    """Brings system alerts up to what stands wrong, and makes digests, each in a transaction with what it tells.

    `home`: where the embedded database is, None for another one; `as_of`: the database's clock where it is not said.
    """
    done = Watched()
    with engine.begin() as db:
        system_alerts.lock(db)
        facts = standing_problems.facts(db, poll_seconds=poll_seconds, home=home)
        kept = system_alerts.keep(db, facts, as_of or now(db))
        done.opened, done.resolved = kept.opened, kept.resolved
    with engine.begin() as db:
        done.digests = digests.make_due(db, as_of or now(db))
    return done


def watch_unattended(
    engine: Engine,
    opened: Callable[[Connection, str], "Stored"],
    *,
    poll_seconds: int = 300,
    home: Path | None = None,
) -> Watched | None:
    """The same where no worker is alive to do it (None: one is), and tells the default route by itself: that there is
    no worker no worker can tell.
    """
    with engine.connect() as db:
        if workers_alive(db):
            return None
    done = watch(engine, poll_seconds=poll_seconds, home=home)
    with engine.connect() as db:
        route = routes.load(db).destination
    if route:
        from tidegate.workflows.delivery.deliver import (
            deliver,  # half a second, which a web process has no use for otherwise
        )

        deliver(engine, opened, seconds=UNATTENDED_SECONDS, only=route)
    return done


def preview_digest(engine: Engine, owner: str, every: Every) -> dict[str, Any]:
    """What a digest would say of the period that runs. `owner` empty: of the default route. Raises OwnerUnknown."""
    with engine.connect() as db:
        if owner:
            owners.require(db, owner)
        return digests.preview(db, owner, every, now(db))
