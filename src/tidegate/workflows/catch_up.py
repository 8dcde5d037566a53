"""Reads Stripe's events since the last time into the inbox, so that no lost webhook is missed, and handles them."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, func

from tidegate.connections import accounts, problems, runs
from tidegate.connections.accounts import Account
from tidegate.connections.tables import connections
from tidegate.errors import CatchUpRunning
from tidegate.mirror import inbox
from tidegate.mirror.event_list import ENDPOINT, Listed, read_events
from tidegate.mirror.inbox import Entry
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows.ingest_events import drain, handle_events

KIND = "catch_up"
LAG = timedelta(seconds=60)
"""How far the stored place stays behind Stripe's clock: the list of events is eventually consistent (setting)."""
KEPT = timedelta(days=30)
"""How long Stripe keeps events (docs.stripe.com/api/events)."""


@dataclass(slots=True)
class CaughtUp:
    """What was read: events seen, those new to the inbox, unreadable ones, the new place, and whether events were lost.

    `until` stays None when reading was stopped before its end. `gap`: the last place is older than Stripe keeps events,
    so an import has to close it.
    """

    seen: int = 0
    new: int = 0
    unreadable: int = 0
    until: datetime | None = None
    gap: bool = False

    def as_json(self) -> dict[str, Any]:
        """The summary as a JSON object."""
        until = self.until.isoformat() if self.until else None
        return {
            "seen": self.seen,
            "new": self.new,
            "unreadable": self.unreadable,
            "until": until,
            "gap": self.gap,
        }


def catch_up(
    engine: Engine,
    account: Account,
    api: StripeApi,
    *,
    attempts: int = 8,
    stop: threading.Event | None = None,
    look: bool = True,
) -> dict[str, Any]:
    """Reads `/v1/events` from the stored place to the head, keeps them in the inbox and drains it.

    A connection that did so never before begins 30 days back, all that Stripe has. A `gap` is also noted as the problem
    `events_lost`. Without `look` the objects that events could not tell whole are left in their queue. With `stop` set
    it ends after the page at hand and begins there again the next time. Raises CatchUpRunning when another process
    catches up on this connection, and the errors of StripeApi.
    """
    with runs.exclusive(engine, account.name, KIND) as alone:
        if not alone:
            raise CatchUpRunning(connection=account.name)
        with problems.watched(engine, account.name, ENDPOINT):
            caught = _read(engine, account.name, api, stop or threading.Event())
    if look:
        drained = drain(engine, account, api, attempts=attempts, stop=stop)
    else:
        drained = handle_events(engine, account.name, attempts=attempts, stop=stop)
    return {"connection": account.name, **caught.as_json(), "inbox": drained.as_json()}


def _read(engine: Engine, name: str, api: StripeApi, stop: threading.Event) -> CaughtUp:
    with engine.connect() as db:
        account = accounts.named(db, name)  # as it stands now that nobody else moves the place
    place = account.events_until.astimezone(UTC) if account.events_until else None
    caught = CaughtUp()
    now: datetime | None = None
    for page in read_events(api, place if account.caught_up_at else None):
        now = now or page.at
        caught.gap = place is not None and place < now - KEPT
        _keep(engine, account, page, caught)
        if stop.is_set():
            return caught
    assert now is not None, "a list has at least one page"
    caught.until = max(now - LAG, place or now - KEPT)
    _remember(engine, name, caught, _lost(place, now - KEPT))
    return caught


def _keep(engine: Engine, account: Account, page: Listed, caught: CaughtUp) -> None:
    owner = (account.account, account.livemode)
    entries = [
        Entry(account.name, event.id, event.type, event.created, "events", body, *owner) for event, body in page.events
    ]
    with engine.begin() as db:
        caught.new += inbox.keep(db, entries)
    caught.seen += len(page.events) + page.unreadable
    caught.unreadable += page.unreadable


def _remember(engine: Engine, name: str, caught: CaughtUp, lost: str) -> None:
    with engine.begin() as db:
        until = func.greatest(connections.c.events_until, caught.until)  # an import may have ended meanwhile
        accounts.note(db, name, events_until=until, caught_up_at=datetime.now(UTC))
        problems.clear_answered(db, name)
        if caught.gap:
            problems.note(db, name, "events_lost", lost)


def _lost(place: datetime | None, oldest: datetime) -> str:
    """What a gap lost, in words."""
    return f"Events from {place:%Y-%m-%d %H:%M} to {oldest:%Y-%m-%d %H:%M} UTC were never read." if place else ""
