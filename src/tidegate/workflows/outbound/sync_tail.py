"""Follows a run in whatever process it is: its requests as their outcomes come, until it ends."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from tidegate.outbound.push import history
from tidegate.outbound.push.history import Which
from tidegate.workflows.outbound import sync_history

PAGE = 1_000


@dataclass(slots=True)
class Tail:
    """What was told of a run so far. `after`: the id up to which all requests were looked at; `waiting`: of these,
    those whose outcome nobody knew yet.
    """

    run: int
    after: int = 0
    waiting: dict[int, None] = field(default_factory=dict[int, None])

    def look(self, db: Connection, page: int = PAGE) -> "Seen":
        """What came since the last look, at most so many new requests. Raises RunUnknown."""
        found = sync_history.of(db, str(self.run))
        ended = found["state"] != "running"
        fresh = history.listing(db, Which(self.run), page, self.after)
        settled = [one for id_ in self.waiting if (one := history.one(db, id_)) and one["state"] != "intended"]
        self.after = fresh[-1]["id"] if fresh else self.after
        told: list[dict[str, Any]] = []
        for one in (*settled, *fresh):
            if one["state"] == "intended" and not ended:
                self.waiting[one["id"]] = None
                continue
            self.waiting.pop(one["id"], None)
            told.append(one)
        return Seen(found, told, ended and not fresh, len(fresh) == page)

    @property
    def place(self) -> int:
        """From where on another look misses nothing: what is told twice then has the same id."""
        return min(self.waiting) - 1 if self.waiting else self.after


@dataclass(frozen=True, slots=True)
class Seen:
    """A look at a run: how it stands, the requests that were settled, whether that was all, and whether more is there
    already.
    """

    run: dict[str, Any]
    requests: list[dict[str, Any]]
    over: bool
    more: bool
