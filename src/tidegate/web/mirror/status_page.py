"""The status page: how every connection stands, renewed every few seconds."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text
from starlette.responses import Response

from tidegate.web.pages import Page, Visit
from tidegate.wiring import Hub
from tidegate.workflows.operation import status as standing

LASTING = 3.0  # seconds; the page asks every 5, so that many viewers cost hardly more than one


def pages(reading: "StatusReading") -> tuple[Page, ...]:
    """The page, and its part that htmx puts in place every few seconds."""

    def whole(visit: Visit) -> Response:
        return visit.render("mirror/status.html", **reading.facts())

    def part(visit: Visit) -> Response:
        return visit.render("parts/status.html", **reading.facts())

    return Page("/status", whole), Page("/parts/status", part)


class StatusReading:
    """What the page shows, read at most every three seconds however many look. Safe for many threads."""

    def __init__(self, hub: Hub, clock: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self._clock = clock
        self._reading = threading.Lock()
        self._read_at = -LASTING
        self._status: dict[str, Any] = {}

    def facts(self) -> dict[str, Any]:
        """The template's values: `status` as the API answers it, with each import's progress; `as_of` UTC."""
        with self._reading:
            if not self._status or self._clock() - self._read_at >= LASTING:
                self._status = {"status": _shown(self._hub), "as_of": datetime.now(UTC)}
                self._read_at = self._clock()
            return self._status


def _shown(hub: Hub) -> dict[str, Any]:
    config = hub.settings
    status = standing.status(
        hub.engine, poll_seconds=config.poll_seconds, sweep_hour=config.sweep_hour, home=hub.embedded_home
    )
    by_name = {one["name"]: one for one in status["connections"]}
    with hub.engine.connect() as db:
        for one in status["connections"]:
            for each in one["accounts"] or ():
                each["shown"] = by_name[each["connection"]]
            run = one["run"]
            one["progress"] = progress(db, run["id"]) if run and run["state"] == "running" else None
            for each in one["resources"]:
                each["total"] = each["stored"] + each["deleted"] + each["unreadable"]
    return status


def progress(db: Connection, run: int) -> dict[str, Any] | None:
    """How many resources of an import are read whole, of how many, and which are being read; None before it began."""
    row = db.execute(
        text("""
select count(*) filter (where done) as done, count(*) as total,
  coalesce(array_agg(resource order by resource) filter (where begun and not done), '{}') as reading
from (select resource, bool_and(done) as done, bool_or(pages > 0) as begun
      from tidegate.import_ranges where run = :run group by resource) as each"""),
        {"run": run},
    ).one()
    return {"done": row.done, "total": row.total, "reading": row.reading} if row.total else None
