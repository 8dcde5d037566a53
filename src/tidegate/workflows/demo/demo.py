"""The demo's dealings with a simulated Stripe: moves its clock, takes its webhooks, holds the mirror against its
truth.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httpx
from sqlalchemy import Engine, text

from tidegate.connections.accounts import Account
from tidegate.errors import CatchUpRunning, FoundWrong, StripeUnreachable
from tidegate.mirror import inbox, refetches
from tidegate.mirror.tables import STRIPE_TABLES
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows.mirror.catch_up import catch_up

DAY = 86_400  # seconds
POLL = 0.05  # seconds


def began(today: float, days: int) -> int:
    """Where the simulated company's clock has to start for so many days to end with the last midnight, UTC; both in
    epoch seconds.
    """
    return int(today) // DAY * DAY - days * DAY


class Simulated:
    """A running sandbox's own endpoints. Raises StripeUnreachable when it does not answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, trust_env=False, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def register(self, endpoint: str, secret: str, *, shuffle: bool = False, duplicate: float = 0.0) -> None:
        """Lets events go to `endpoint`, signed with the secret; `duplicate` is the probability that one comes twice."""
        self._ask(
            "POST", "/__webhooks", {"url": endpoint, "secret": secret, "shuffle": shuffle, "duplicate": duplicate}
        )

    def advance(self, days: int) -> int:
        """Moves the clock by days, one after the other; returns how many events that made."""
        return sum(int(self._ask("POST", "/__clock", {"advance_seconds": DAY})["events"]) for _ in range(days))

    def live_to(self, instant: int) -> int:
        """Moves the clock to an instant (epoch seconds), unless it is there; returns how many events that made."""
        return int(self._ask("POST", "/__clock", {"to": max(instant, self.now())})["events"])

    def now(self) -> int:
        """Where the clock stands, UTC epoch seconds."""
        return int(self._ask("GET", "/__clock")["now"])

    def truth(self) -> dict[str, int]:
        """Live objects per table that a complete mirror must have."""
        return self._ask("GET", "/__truth")["counts"]

    def revenue(self, zone: str) -> dict[str, Any]:
        """What every customer was worth at the end of each month of a time zone."""
        return self._ask("GET", f"/__truth/revenue?{urlencode({'zone': zone})}")

    def deliveries(self) -> dict[str, int]:
        """Webhooks by outcome: delivered, failed, retried, lost, duplicated, and how many are `pending`."""
        return self._ask("GET", "/__stats")["webhooks"]

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            return self._http.request(method, path, json=body).raise_for_status().json()
        except httpx.HTTPError as error:
            raise StripeUnreachable(endpoint=f"{method} {path}", problem=str(error), tries=1) from error


@dataclass(frozen=True, slots=True)
class Counted:
    """One table's live rows in the mirror and objects in the simulated Stripe."""

    table: str
    in_stripe: int
    stored: int

    @property
    def equal(self) -> bool:
        return self.in_stripe == self.stored


def counted(engine: Engine, connection: str, truth: dict[str, int]) -> list[Counted]:
    """Both counts for every mirrored table that the truth names."""
    tables = [table.name for table in STRIPE_TABLES.values() if table.name in truth]
    parts = [
        f"select '{name}' as name, count(*) as n from stripe.{name} where connection = :c and deleted_at is null"
        for name in tables
    ]
    with engine.connect() as db:
        stored = {row.name: row.n for row in db.execute(text(" union all ".join(parts)), {"c": connection})}
    return [Counted(name, truth[name], stored[name]) for name in tables]


def wait_for_deliveries(simulated: Simulated, seconds: float) -> dict[str, int]:
    """Waits until every webhook was delivered or given up; returns them by outcome. Raises FoundWrong after
    `seconds`.
    """
    last: dict[str, int] = {}

    def finished() -> bool:
        nonlocal last
        last = simulated.deliveries()
        return last["pending"] == 0

    wait(finished, seconds, lambda: f"{last['pending']} webhooks were not taken")
    return last


def wait_for_drain(engine: Engine, connection: str, seconds: float) -> dict[str, int]:
    """Waits until the worker has handled the inbox and fetched what it has to look at; returns the inbox's events by
    state.

    Raises FoundWrong after `seconds`.
    """
    left: dict[str, Any] = {}

    def finished() -> bool:
        nonlocal left
        with engine.connect() as db:
            left = inbox.summary(db, connection)
            left["refetches"] = refetches.summary(db, connection)["waiting"]
        return not left["waiting"] and not left["refetches"]

    wait(finished, seconds, lambda: f"{left['waiting']} events and {left['refetches']} objects to fetch still wait")
    with engine.connect() as db:
        rows = db.execute(
            text("select state, count(*) as n from tidegate.inbox where connection = :c group by 1 order by 1"),
            {"c": connection},
        )
        return {row.state: row.n for row in rows}


def caught_up(engine: Engine, account: Account, api: StripeApi, seconds: float) -> None:
    """Reads Stripe's events to their head, as a worker does every few minutes: then it is sure what did not happen.
    Raises FoundWrong after `seconds`, and the errors of StripeApi.
    """

    def finished() -> bool:
        try:
            catch_up(engine, account, api)
        except CatchUpRunning:  # a worker does, and may have begun too early
            return False
        return True

    wait(finished, seconds, lambda: "another process still reads the events")


def wait(finished: Callable[[], bool], seconds: float, problem: Callable[[], str]) -> None:
    """Asks again and again until it is so. Raises FoundWrong, in the words of `problem`, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not finished():
        if time.monotonic() > deadline:
            raise FoundWrong(problem=f"After {seconds:.0f} s {problem()}.")
        time.sleep(POLL)
