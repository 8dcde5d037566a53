"""Reads Stripe's events since the last time into the inbox, so that no lost webhook is missed, and handles them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Engine

from tidegate.connections import accounts, problems, runs
from tidegate.connections.accounts import Account
from tidegate.errors import ImportRunning, StripeBodyUnreadable
from tidegate.mirror import inbox
from tidegate.mirror.arrivals import text_of
from tidegate.mirror.inbox import Entry
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.shapes.read import Unreadable, read_event, read_page
from tidegate.workflows.ingest_events import drain

KIND = "catch_up"
LAG = timedelta(seconds=60)
"""How far the stored place stays behind Stripe's clock: the list of events is eventually consistent (setting)."""
KEPT = timedelta(days=30)
"""How long Stripe keeps events (docs.stripe.com/api/events)."""


@dataclass(slots=True)
class CaughtUp:
    """What was read: events seen, those new to the inbox, unreadable ones, the new place, and whether events were lost.

    `gap`: the last place is older than Stripe keeps events, so an import has to close it.
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


def catch_up(engine: Engine, account: Account, api: StripeApi, *, attempts: int = 8) -> dict[str, Any]:
    """Reads `/v1/events` from the stored place to the head, keeps them in the inbox and drains it.

    A connection that never imported begins 30 days back, all that Stripe has. Raises ImportRunning when another process
    catches up on this connection, and the errors of StripeApi.
    """
    with runs.exclusive(engine, account.name, KIND) as alone:
        if not alone:
            raise ImportRunning(connection=account.name)
        with problems.watched(engine, account.name):
            caught = _read(engine, account, api)
    drained = drain(engine, account, api, attempts=attempts)
    return {"connection": account.name, **caught.as_json(), "inbox": drained.as_json()}


def _read(engine: Engine, account: Account, api: StripeApi) -> CaughtUp:
    caught = CaughtUp()
    now: datetime | None = None
    since = account.events_until
    cursor = ""
    while True:
        params: dict[str, Any] = {"limit": 100}
        if since:
            params["created"] = {"gte": int(since.timestamp())}
        if cursor:
            params["starting_after"] = cursor
        bodies, answer = api.read("/v1/events", _events, params)
        now = now or answer.at
        if since and since < now - KEPT:
            caught.gap = True
        entries = _entries(account.name, bodies.data, caught)
        with engine.begin() as db:
            caught.new += inbox.keep(db, entries)
        if not bodies.has_more:
            break
        if not entries or entries[-1].event_id == cursor:
            raise StripeBodyUnreadable(
                endpoint="GET /v1/events", problem="more is said to follow, nothing does", tries=1, request_id="-"
            )
        cursor = entries[-1].event_id
    caught.until = max(now - LAG, since or now - KEPT)
    with engine.begin() as db:
        accounts.note(db, account.name, events_until=caught.until, caught_up_at=datetime.now(UTC))
    return caught


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool


def _events(body: bytes) -> _Page:
    page = read_page(body)
    if isinstance(page, Unreadable):
        raise msgspec.DecodeError(page.reason)
    return _Page(page.data, page.has_more)


def _entries(account: str, bodies: list[msgspec.Raw], caught: CaughtUp) -> list[Entry]:
    entries: list[Entry] = []
    for body in bodies:
        event = read_event(bytes(body))
        caught.seen += 1
        if isinstance(event, Unreadable):
            caught.unreadable += 1
        else:
            entries.append(Entry(account, event.id, event.type, event.created, "events", text_of(body)))
    return entries
