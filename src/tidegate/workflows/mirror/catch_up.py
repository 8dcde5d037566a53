"""Reads Stripe's events since the last time into the inbox, so that no lost webhook is missed, and handles them."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from tidegate.connections import accounts, problems, runs
from tidegate.connections.accounts import Account
from tidegate.errors import CatchUpRunning
from tidegate.mirror import inbox
from tidegate.mirror.event_list import ENDPOINT, Listed, read_events
from tidegate.mirror.inbox import Entry
from tidegate.mirror.unannounced import read_unannounced
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows.mirror.ingest_events import drain, handle_events

KIND = "catch_up"
LAG = timedelta(seconds=60)
"""How far the stored place stays behind Stripe's clock: the list of events is eventually consistent (setting)."""
KEPT = timedelta(days=30)
"""How long Stripe keeps events (docs.stripe.com/api/events)."""
WINDOW = timedelta(days=1)
"""What is more than a page behind is read by windows of this length, oldest first: each moves the place when it is
read, so that a long reading that is interrupted goes on from there.
"""


@dataclass(slots=True)
class CaughtUp:
    """What was read: events seen, those new to the inbox, unreadable ones (kept there for a person to look at), the new
    place, and whether events were lost.

    `until` stays None when reading was stopped before its first window ended. `gap`: the last place (before the first
    reading: the import) is older than Stripe keeps events, so a full import has to close it.
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
    """Reads `/v1/events` from the stored place to the head, keeps them in the inbox and drains it; and what was made
    since that place without an event.

    A connection that did so never before begins 30 days back, all that Stripe has. A `gap` is also noted as the problem
    `events_lost`. Without `look` the objects that events could not tell whole are left in their queue. With `stop` set
    it ends after the page at hand and begins there again the next time. Raises CatchUpRunning when another process
    catches up on this connection, ConnectionDisconnected when its key was erased meanwhile, and the errors of
    StripeApi.
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
        imported = runs.whole_since(db, name)
    place = account.events_until.astimezone(UTC) if account.events_until else None
    caught = CaughtUp()
    head = next(read_events(api, place))
    oldest = head.at - KEPT
    known = place or imported
    caught.gap = known is not None and known < oldest
    if caught.gap:  # before anything moves the place: whoever is interrupted here finds the gap again
        _note_gap(engine, name, _lost(known, oldest))
    _keep(engine, account, head, caught)
    if head.more and stop.is_set():
        return caught
    if head.more:
        caught.seen = caught.unreadable = 0  # the last window shows them again
        since = None if place is None or caught.gap else place
        for begin, end in _windows(since, oldest, head.at):
            for page in read_events(api, begin, end):
                _keep(engine, account, page, caught)
                if stop.is_set():
                    return caught
            _move(engine, name, caught, min(end or head.at, head.at - LAG), place)
    if known and not caught.gap and not read_unannounced(engine, name, api, known, stop):
        return caught
    _move(engine, name, caught, head.at - LAG, place)
    with engine.begin() as db:
        accounts.note(db, name, caught_up_at=datetime.now(UTC))
        problems.clear_answered(db, name)
    return caught


def _windows(
    since: datetime | None, oldest: datetime, now: datetime
) -> Iterator[tuple[datetime | None, datetime | None]]:
    """From `since` (None: whatever Stripe has, about from `oldest` on) to the head, oldest first; the last one is open,
    and so is the first where nothing bounds it.
    """
    begin, end = since, (since or oldest) + WINDOW
    while end < now:
        yield begin, end
        begin, end = end, end + WINDOW
    yield begin, None


def _keep(engine: Engine, account: Account, page: Listed, caught: CaughtUp) -> None:
    owner = (account.account, account.livemode)
    entries = [
        Entry(account.name, event.id, event.type, event.created, "events", body, *owner) for event, body in page.events
    ]
    # What cannot be read is handled like any other event, which parks it: there it is seen, with its body.
    at = int(page.at.timestamp())
    entries += [Entry(account.name, one.id, "", at, "events", one.body, *owner) for one in page.lost]
    with engine.begin() as db:
        accounts.require_connected(db, account.name)
        caught.new += inbox.keep(db, entries)
    caught.seen += len(entries)
    caught.unreadable += len(page.lost)


def _move(engine: Engine, name: str, caught: CaughtUp, until: datetime, place: datetime | None) -> None:
    """Moves the place to where everything was read; never back."""
    caught.until = max(until, place) if place else until
    with engine.begin() as db:
        accounts.note(db, name, events_until=caught.until)
        accounts.promise(db, name, caught.until)


def _note_gap(engine: Engine, name: str, lost: str) -> None:
    with engine.begin() as db:
        problems.note(db, name, "events_lost", lost)


def _lost(place: datetime | None, oldest: datetime) -> str:
    """What a gap lost, in words."""
    return f"Events from {place:%Y-%m-%d %H:%M} to {oldest:%Y-%m-%d %H:%M} UTC were never read." if place else ""
