"""Reads Stripe's list of events, page by page, newest first."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from tidegate.errors import StripeBodyUnreadable
from tidegate.mirror.arrivals import text_of
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.mode import require_mode
from tidegate.stripe_api.shapes.read import Event, Page, Unreadable, read_event, read_page

PATH = "/v1/events"
ENDPOINT = f"GET {PATH}"


class Listed(NamedTuple):
    """One page: the events with their JSON, how many could not be read, and Stripe's time (UTC) before it answered."""

    events: list[tuple[Event, str]]
    unreadable: int
    at: datetime


def read_events(api: StripeApi, since: datetime | None) -> Iterator[Listed]:
    """Every page of events since a time (included, whole seconds); None: all that Stripe has, the last 30 days.

    Raises the errors of StripeApi; StripeModeWrong for an event of the other mode; StripeBodyUnreadable also for a list
    that goes on without moving on.
    """
    passed = {""}
    cursor, more = "", True
    while more:
        params: dict[str, Any] = {"limit": 100}
        if since:
            params["created"] = {"gte": int(since.timestamp())}
        if cursor:
            params["starting_after"] = cursor
        page, answer = api.read(PATH, _decode, params)
        events = [(event, text_of(body)) for body in page.data if isinstance(event := _read(body), Event)]
        for event, _ in events:
            require_mode(api, ENDPOINT, event.id, event.livemode)
        yield Listed(events, len(page.data) - len(events), answer.at)
        more = page.has_more
        cursor = events[-1][0].id if events else ""
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
        return Unreadable(None, "holds the character U+0000")
    return event
