"""Reads Stripe's list of events, page by page, newest first."""

from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from tidegate.errors import StripeBodyUnreadable, StripeCursorGone
from tidegate.mirror.arrivals import text_of
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.mode import require_mode
from tidegate.stripe_api.shapes import loose
from tidegate.stripe_api.shapes.read import Event, Page, Unreadable, read_event, read_page

PATH = "/v1/events"
ENDPOINT = f"GET {PATH}"
RESTARTS = 3
"""How often a list is begun anew because the event it was to go on from has just passed its 30 days."""


class LostEvent(NamedTuple):
    """An event that cannot be read: its id as far as it told one, and its JSON."""

    id: str
    body: str


class Listed(NamedTuple):
    """One page: the events with their JSON, what could not be read, Stripe's time (UTC) before it answered, and whether
    older ones follow.
    """

    events: list[tuple[Event, str]]
    lost: list[LostEvent]
    at: datetime
    more: bool


def read_events(api: StripeApi, since: datetime | None, before: datetime | None = None) -> Iterator[Listed]:
    """Every page of events from a time (included) to another (excluded), in whole seconds; None: no bound.

    Stripe has the last 30 days. Raises the errors of StripeApi; StripeModeWrong for an event of the other mode;
    StripeBodyUnreadable also for a list that goes on without moving on.
    """
    bounds = {name: int(time.timestamp()) for name, time in (("gte", since), ("lt", before)) if time is not None}
    for restart in range(RESTARTS + 1):
        try:
            yield from _pages(api, bounds)
        except StripeCursorGone:
            if restart == RESTARTS:
                raise
        else:
            return


def _pages(api: StripeApi, bounds: dict[str, int]) -> Iterator[Listed]:
    passed = {""}
    cursor, more = "", True
    while more:
        params: dict[str, Any] = {"limit": 100}
        if bounds:
            params["created"] = bounds
        if cursor:
            params["starting_after"] = cursor
        page, answer = api.read(PATH, _decode, params)
        read = [_read(body) for body in page.data]
        told = list(zip(read, page.data, strict=True))
        events = [(event, text_of(body)) for event, body in told if isinstance(event, Event)]
        for event, _ in events:
            require_mode(api, ENDPOINT, event.id, event.livemode)
        lost = [_lost(event, text_of(body)) for event, body in told if isinstance(event, Unreadable)]
        more = page.has_more
        yield Listed(events, lost, answer.at, more)
        cursor = _id(read[-1], page.data[-1]) if read else ""
        if more and cursor in passed:
            raise StripeBodyUnreadable(
                endpoint=ENDPOINT,
                problem="the list says that more follows but does not move on",
                tries=1,
                request_id=answer.request_id,
            )
        passed.add(cursor)


def _decode(body: bytes) -> Page:
    page = read_page(body)
    if isinstance(page, Unreadable):
        raise msgspec.DecodeError(page.reason)
    return page


def _read(body: msgspec.Raw) -> Event | Unreadable:
    event = read_event(bytes(body))
    if isinstance(event, Event) and "\0" in event.id + event.type:
        return Unreadable(event.id, "holds the character U+0000")
    return event


def _lost(event: Unreadable, body: str) -> LostEvent:
    told = event.id if event.id and "\0" not in event.id else ""
    return LostEvent(told or f"unreadable_{sha256(body.encode()).hexdigest()[:16]}", body)


def _id(event: Event | Unreadable, body: msgspec.Raw) -> str:
    """The event's id, readable or not: the list goes on from it."""
    return event.id if isinstance(event, Event) else event.id or loose.told_id(body) or ""
