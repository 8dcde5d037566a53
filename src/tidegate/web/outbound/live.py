"""What a run sends while it is at it, as server-sent events: each request once its outcome is known, and how far it is.

A stream holds no thread and no connection to the database but for the moments in which it looks.
"""

import time
from collections.abc import AsyncIterator
from functools import partial

import anyio
from sqlalchemy.exc import DBAPIError
from starlette.responses import Response

from tidegate.errors import RunUnknown
from tidegate.web.outbound.runs import found_run, progress_of
from tidegate.web.outbound.streams import BEAT, CLOSING, Places, Stream, event
from tidegate.web.pages import Page, Site, Visit
from tidegate.workflows.outbound.sync_tail import Seen, Tail

EVERY = 1.0
"""Seconds between two looks."""
HEARTBEAT = 10.0
LASTS = 300.0
"""Seconds after which a stream ends: the browser opens the next, and is asked again who it is."""
TOGETHER = 200
"""Requests that one look reads, at most."""


def pages() -> tuple[Page, ...]:
    """The page, with places of its own."""
    places = Places()

    def events(visit: Visit) -> Response:
        """The stream of a run, from where the browser has it: `Last-Event-ID`, else `after` of the address."""
        found = found_run(visit)
        asked = visit.request.headers.get("last-event-id") or visit.request.query_params.get("after", "")
        after = int(asked) if asked.isdecimal() and len(asked) < 19 else 0
        return Stream(_told(visit.site, Tail(int(found["run"]), after), places, own=found["own"]), places)

    return (Page("/syncs/{key:str}/runs/{run:int}/events", events),)


async def _told(site: Site, tail: Tail, places: Places, *, own: bool) -> AsyncIterator[str]:
    since, spoke, shown = time.monotonic(), time.monotonic(), ""
    yield "retry: 2000\n\n"
    while not CLOSING.is_set() and time.monotonic() - since < LASTS:
        try:
            seen, parts, progress = await places.in_thread(partial(_look, site, tail, own))
        except (DBAPIError, RunUnknown):
            return  # the browser comes again
        for part in parts:
            yield event("request", part, tail.place)
        moved, shown = progress != shown, progress
        if moved:
            yield event("progress", progress, tail.place)
        if seen.over:
            yield event("end", str(seen.run["state"]), tail.place)
            return
        if parts or moved:
            spoke = time.monotonic()
        elif time.monotonic() - spoke >= HEARTBEAT:
            spoke = time.monotonic()
            yield BEAT
        if not seen.more:
            await anyio.sleep(EVERY)


def _look(site: Site, tail: Tail, own: bool) -> tuple[Seen, list[str], str]:
    with site.hub.engine.connect() as db:
        seen = tail.look(db, TOGETHER)
    row, progress = (site.templates.get_template(f"outbound/parts/{name}.html") for name in ("request", "progress"))
    parts = [row.render(one=one, sync=seen.run["sync"]) for one in seen.requests]
    run = seen.run | {"own": own, "kept": None if own else True}
    return seen, parts, progress.render(run=run, progress=progress_of(seen.run))
