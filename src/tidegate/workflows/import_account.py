"""Imports a Stripe account into the mirror, or goes on with an import that was interrupted."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Engine, func

from tidegate.connections import accounts, problems, runs
from tidegate.connections.accounts import Account
from tidegate.connections.tables import connections
from tidegate.errors import ImportRunning
from tidegate.mirror import ranges
from tidegate.mirror.arrivals import Counts
from tidegate.mirror.backfill import Progress, Reader
from tidegate.mirror.plan import Load, Plan
from tidegate.mirror.settle import Settled, ask_for_missing, settle
from tidegate.mirror.unlisted import look_for_unlisted
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources import RESOURCES, to_import
from tidegate.stripe_api.resources.resource import Resource

KIND = "import"
DEEPEST_REFERENCE = 5  # a line names a price, which names a product, …
BEAT_SECONDS = 2.0
PAGES_A_SECOND = 180
"""More than one interpreter can store; readers beyond what feeds it only get in each other's way."""
STORING_SECONDS = 0.03
"""About what a page costs beside waiting for Stripe."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What to import. `resources` empty: all.

    `full`: begin anew even when an import was interrupted, and look by id at what is stored and in no list any more.
    """

    resources: tuple[str, ...] = ()
    full: bool = False
    readers: int = 24


class _AccountBody(msgspec.Struct):
    created: int | None = None


def import_account(
    engine: Engine,
    account: Account,
    api: StripeApi,
    options: ImportOptions,
    *,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """Reads everything into the mirror and returns the summary: state, seconds, counts per resource, problems.

    State `done`: all was read; `incomplete`: a part failed and is named; `interrupted`: `stop` was set. Raises
    ImportRunning when another process imports this connection, and what makes all work useless (key invalid, Stripe
    or the database out of reach); what was stored until then stays, and the next import goes on from there.
    """
    stop = stop or threading.Event()
    selected = to_import(options.resources, livemode=account.livemode)
    with runs.exclusive(engine, account.name, KIND) as alone:
        if not alone:
            raise ImportRunning(connection=account.name)
        with problems.watched(engine, account.name):
            return _Import(engine, account, api, options, selected, progress or (lambda _: None), stop).run()


@dataclass(slots=True)
class _Import:
    engine: Engine
    account: Account
    api: StripeApi
    options: ImportOptions
    selected: Sequence[Resource]
    tell: Callable[[Progress], None]
    stop: threading.Event

    def run(self) -> dict[str, Any]:
        began = time.monotonic()
        answer = self.api.get("/v1/account")
        body = msgspec.json.decode(answer.body, type=_AccountBody)
        run, resumed, started, full = self._begin(int(answer.at.timestamp()))
        plan = self._plan(run, body.created or 0, started, answer.seconds)
        reader = Reader(self.engine, self.account.name, self.api, run, plan, self._beating(run, plan), self.stop)
        settled, error = Settled(), ""
        try:
            reader.read_all(plan.readers)
            failed = {load.range.resource.name for load in plan.loads if load.range.error}
            if full and not self.stop.is_set():
                self._look_for_unlisted(failed, started)
            settled = self._fetch_missing(failed)
        except BaseException as problem:
            error = str(problem) or type(problem).__name__
            raise
        finally:
            summary = self._summary(plan, settled, resumed, time.monotonic() - began, error)
            self._end(run, plan, summary, started)
        return {"run": run, **summary}

    def _begin(self, stripe_now: int) -> tuple[int, bool, int, bool]:
        """The run to work on, whether it was taken up, Stripe's time when it began (epoch seconds), and whether it is
        a full one.
        """
        wanted = {"resources": sorted(self.options.resources)}
        with self.engine.begin() as db:
            last = runs.last(db, self.account.name, KIND)
            unfinished = last is not None and last["state"] != "done"
            if (
                last
                and unfinished
                and not self.options.full
                and last["options"].get("resources") == wanted["resources"]
            ):
                runs.go_on(db, last["id"])
                return last["id"], True, last["options"]["began"], last["options"].get("full", False)
            options = {**wanted, "began": stripe_now, "full": self.options.full}
            run = runs.begin(db, self.account.name, KIND, options)
            for one in self.selected:
                for variant in range(len(one.variants)):
                    ranges.create(db, run, one, variant)
            return run, False, stripe_now, self.options.full

    def _plan(self, run: int, oldest: int, started: int, latency: float) -> Plan:
        page_seconds = latency + STORING_SECONDS
        readers = min(self.options.readers, math.ceil(PAGES_A_SECOND * page_seconds) + 1)
        rate = self.account.endpoint_rate or math.inf
        enough = readers if math.isinf(rate) else math.ceil(rate * page_seconds * 2) + 1
        with self.engine.connect() as db:
            loads = [Load(one) for one in ranges.load(db, run, RESOURCES)]
        return Plan(oldest, started, readers, min(readers, enough), loads)

    def _look_for_unlisted(self, failed: set[str], began: int) -> None:
        for one in self.selected:
            if one.name not in failed and not one.singleton:
                look_for_unlisted(self.engine, self.account.name, one, began)

    def _fetch_missing(self, failed: set[str]) -> Settled:
        """Fetches what is named and missing, then what that names, and so on; nothing of a resource whose list failed:
        what refused the list would refuse every object of it, one by one.
        """
        everything = Settled()
        for _ in range(DEEPEST_REFERENCE):
            if self.stop.is_set():
                break
            asked = ask_for_missing(self.engine, self.account.name, self.selected, without=failed)
            found = settle(self.engine, self.account.name, self.api, stop=self.stop, without=failed)
            for name, counts in found.counts.items():
                everything.counts.setdefault(name, Counts()).add(counts)
            everything.customers |= found.customers
            everything.failed |= found.failed
            stored = sum(counts.stored for counts in found.counts.values())
            if not asked or not stored:
                break
        return everything

    def _beating(self, run: int, plan: Plan) -> Callable[[Progress], None]:
        """Passes progress on, and writes it to the run every two seconds."""
        lock = threading.Lock()
        last = time.monotonic()

        def tell(progress: Progress) -> None:
            nonlocal last
            self.tell(progress)
            with lock:
                if time.monotonic() - last < BEAT_SECONDS:
                    return
                last = time.monotonic()
            with self.engine.begin() as db:
                runs.beat(db, run, {"resources": _resources(plan, Settled())})

        return tell

    def _summary(self, plan: Plan, settled: Settled, resumed: bool, seconds: float, error: str) -> dict[str, Any]:
        problems = {load.range.resource.name: load.range.error for load in plan.loads if load.range.error}
        unread = any(not load.range.done for load in plan.loads)
        state = "incomplete" if problems or unread or settled.failed else "done"
        if error or self.stop.is_set():  # what is named and missing may not have been fetched, though all was read
            state = "interrupted"
        return {
            "connection": self.account.name,
            "state": state,
            "resumed": resumed,
            "seconds": round(seconds, 3),
            "pages": sum(load.range.pages for load in plan.loads),
            "resources": _resources(plan, settled),
            "problems": problems | settled.failed,
            "error": error,
        }

    def _end(self, run: int, plan: Plan, summary: dict[str, Any], started: int) -> None:
        refused = {load.range.resource for load in plan.loads if load.range.error}
        readable = {load.range.resource for load in plan.loads if load.range.done} - refused
        with self.engine.begin() as db:
            runs.end(db, run, summary["state"], summary, summary["error"])
            for resource in readable:
                problems.clear(db, self.account.name, ["permission_missing"], f"GET {resource.path}")
            if summary["state"] == "done" and not self.options.resources:
                at = func.to_timestamp(started)
                accounts.note(
                    db, self.account.name, events_until=func.greatest(func.coalesce(connections.c.events_until, at), at)
                )


def _resources(plan: Plan, settled: Settled) -> dict[str, Any]:
    """Counts per resource, in the registry's order."""
    counts: dict[str, Counts] = {}
    for load in list(plan.loads):
        counts.setdefault(load.range.resource.name, Counts()).add(load.range.counts)
    for name, more in settled.counts.items():
        counts.setdefault(name, Counts()).add(more)
    return {name: counts[name].as_json() for name in RESOURCES if name in counts}
