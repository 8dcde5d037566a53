"""Imports a Stripe account into the mirror, or goes on with an import that was interrupted."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, RowMapping

from tidegate.connections import accounts, problems, runs
from tidegate.connections.accounts import Account
from tidegate.errors import ConnectionDisconnected, ImportRunning, SweepRunning
from tidegate.mirror import ranges, refetches, sightings
from tidegate.mirror.arrivals import Counts
from tidegate.mirror.backfill import Progress, Reader
from tidegate.mirror.plan import Load, Plan
from tidegate.mirror.settle import Settled, ask_for_missing, settle
from tidegate.mirror.storing import Storing
from tidegate.mirror.unlisted import look_for_unlisted, vanished
from tidegate.outbound import dues
from tidegate.security import audit_log
from tidegate.store.trouble import told
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.mode import check_mode
from tidegate.stripe_api.resources import RESOURCES, to_import
from tidegate.stripe_api.resources.discounts import DISCOUNTS
from tidegate.stripe_api.resources.resource import Resource
from tidegate.workflows.doorbell import Doorbell
from tidegate.workflows.mirror.import_summary import Ended, resources_of, summary_of
from tidegate.workflows.mirror.tempo import Tempo

KIND = "import"
SWEEP = "sweep"
SAME_NIGHT = timedelta(hours=20)
"""A sweep that was interrupted longer ago is not gone on with: the next one begins anew. So it is with an import that
came to its end and lacks something: by then what it read is old.
"""
KEPT_SECONDS = 29 * 86_400
"""An import that began longer ago is not gone on with: Stripe keeps events for 30 days only
(docs.stripe.com/api/events), and nothing would tell what has happened to what it read first.
"""
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
    `sweep`: the same as a run of its own kind, which leaves imports and the place in Stripe's events as they are, and
    goes on with a sweep that was interrupted the same night; see `workflows.mirror.sweep`. `actor`: who begins it by
    hand, as the audit log says it; empty: a worker, which `ask` let do it.
    """

    resources: tuple[str, ...] = ()
    full: bool = False
    readers: int = 24
    sweep: bool = False
    actor: str = ""

    @property
    def kind(self) -> str:
        """The kind of its run."""
        return SWEEP if self.sweep else KIND


class _AccountBody(msgspec.Struct):
    created: int | None = None


_decode_account = msgspec.json.Decoder(_AccountBody).decode


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

    State `done`: all was read but what Stripe refuses to list, which is `left_out` as {resource: `permission_missing`
    or `refused`}; `incomplete`: a part failed and is named (`passing`: all of it may go by itself), or nothing may be
    read; `interrupted`: `stop` was set. `problems` has the words, for what is left out, too. With `full` or `sweep` the
    summary says what was `mended`, see `import_summary`. Raises ImportRunning (SweepRunning) when another process
    imports (sweeps) this connection, and what makes all work useless (key invalid, Stripe or the database out of
    reach); what was stored until then stays, and the next import goes on from there.
    """
    stop = stop or threading.Event()
    selected = to_import(options.resources, livemode=account.livemode)
    with runs.exclusive(engine, account.name, options.kind) as alone:
        if not alone:
            raise (SweepRunning if options.sweep else ImportRunning)(connection=account.name)
        with problems.watched(engine, account.name):
            return _Import(engine, account, api, options, selected, progress or (lambda _: None), stop).run()


def ask(engine: Engine, account: Account, actor: str, resources: Sequence[str] = (), *, full: bool = False) -> bool:
    """Lets a worker import the account; false when it is to already, and then does what both ask for. `actor`: who asks
    for it, as the audit log says it. Raises ConnectionDisconnected.
    """
    if account.disconnected_at is not None:
        raise ConnectionDisconnected(name=account.name)
    with engine.begin() as db:
        _note(db, "import.asked", actor, account, resources, full)
        bell = Doorbell(engine)
        return bell.ring("import_account", connection=account.name, db=db, resources=list(resources), full=full)


def _note(db: Connection, action: str, actor: str, account: Account, resources: Sequence[str], full: bool) -> None:
    audit_log.record(db, actor, action, account.name, resources=sorted(resources) or None, full=full or None)


@dataclass(slots=True)
class _Import:
    engine: Engine
    account: Account
    api: StripeApi
    options: ImportOptions
    selected: Sequence[Resource]
    tell: Callable[[Progress], None]
    stop: threading.Event
    full: bool = False
    owner: str = field(default_factory=runs.new_owner)

    def run(self) -> dict[str, Any]:
        began = time.monotonic()
        check_mode(self.api)
        answer = self.api.get("/v1/account")
        body = _decode_account(answer.body)
        run, resumed, started, self.full = self._begin(int(answer.at.timestamp()))
        plan = self._plan(run, body.created or 0, started, answer.seconds)
        tell = self._beating(run, plan)
        storing = Storing(self.engine, self.account.name, self.owner, self.full)
        reader = Reader(self.engine, self.account.name, self.api, run, plan, storing, tell, self.stop)
        settled, gone, error = Settled(), dict[str, int](), ""
        try:
            reader.read_all(plan.readers)
            failed = {load.range.resource.name for load in plan.loads if load.range.error}
            look = self.full and not self.stop.is_set()
            unlisted = self._look_for_unlisted(failed, run, started) if look else {}
            settled = self._fetch_missing(failed)
            with self.engine.connect() as db:
                accounts.require_connected(db, self.account.name)
            gone = {
                one.name: vanished(self.engine, self.account.name, one, ids) for one, ids in unlisted.items() if ids
            }
        except BaseException as problem:
            error = told(problem)
            raise
        finally:
            seconds, stopped = time.monotonic() - began, self.stop.is_set()
            ended = Ended(plan, settled, gone, resumed, seconds, stopped, self.full, error)
            summary = summary_of(self.account.name, ended)
            self._end(run, plan, summary, started)
        return {"run": run, **summary}

    def _begin(self, stripe_now: int) -> tuple[int, bool, int, bool]:
        """The run to work on, whether it was taken up, Stripe's time when it began (epoch seconds), and whether it is
        a full one.
        """
        wanted = {"resources": sorted(self.options.resources)}
        full = self.options.full or self.options.sweep
        with self.engine.begin() as db:
            if self.options.actor:
                _note(db, "import.begun", self.options.actor, self.account, self.options.resources, self.options.full)
            last = runs.last(db, self.account.name, self.options.kind)
            if last and last["options"].get("resources") == wanted["resources"] and self._goes_on(last, stripe_now):
                runs.go_on(db, last["id"], self.owner)
                return last["id"], True, last["options"]["began"], last["options"].get("full", False)
            options = {**wanted, "began": stripe_now, "full": full}
            sightings.forget(db, self.account.name, self.options.kind)  # of a run that nobody went on with
            run = runs.begin(db, self.account.name, self.options.kind, options, self.owner)
            for one in self.selected:
                for variant in range(len(one.variants)):
                    ranges.create(db, run, one, variant)
            return run, False, stripe_now, full

    def _goes_on(self, last: RowMapping, stripe_now: int) -> bool:
        """Whether the last run of this kind is taken up instead of beginning anew."""
        if last["state"] == "done" or self.options.full or last["options"].get("began", 0) < stripe_now - KEPT_SECONDS:
            return False
        recently = datetime.now(UTC) - SAME_NIGHT
        if last["state"] == "incomplete" and not (last["summary"].get("passing") and last["finished_at"] > recently):
            return False
        return not self.options.sweep or last["started_at"] > recently

    def _plan(self, run: int, oldest: int, started: int, latency: float) -> Plan:
        page_seconds = latency + STORING_SECONDS
        readers = min(self.options.readers, math.ceil(PAGES_A_SECOND * page_seconds) + 1)
        rate = self.account.endpoint_rate or math.inf
        enough = readers if math.isinf(rate) else math.ceil(rate * page_seconds * 2) + 1
        with self.engine.connect() as db:
            loads = [Load(one) for one in ranges.load(db, run, RESOURCES)]
        return Plan(oldest, started, readers, min(readers, enough), loads)

    def _look_for_unlisted(self, failed: set[str], run: int, began: int) -> dict[Resource, list[str]]:
        """The ids that no list showed, per resource; what was gone of them is asked for once more if it is named."""
        unlisted: dict[Resource, list[str]] = {}
        for one in self.selected:
            if one.singleton and one.name not in failed:
                with self.engine.begin() as db:
                    sightings.note_whole(db, self.account.name, one.name, began)
            elif one.name not in failed:
                with self.engine.begin() as db:
                    refetches.forget_gone(db, self.account.name, one)
                unlisted[one] = look_for_unlisted(self.engine, self.account.name, one, run, began)
        return unlisted

    def _fetch_missing(self, failed: set[str]) -> Settled:
        """Fetches what is named and missing, then what that names, and so on; nothing of a resource whose list failed:
        what refused the list would refuse every object of it, one by one.
        """
        everything = Settled()
        naming = None
        for _ in range(DEEPEST_REFERENCE):
            if self.stop.is_set():
                break
            asked = ask_for_missing(self.engine, self.account.name, self.selected, without=failed, naming=naming)
            found = settle(self.engine, self.account.name, self.api, stop=self.stop, without=failed)
            for name, counts in found.counts.items():
                everything.counts.setdefault(name, Counts()).add(counts)
            everything.customers |= found.customers
            everything.failed |= found.failed
            if not asked or not any(counts.stored for counts in found.counts.values()):
                break
            naming = {*asked, DISCOUNTS.name}  # whoever fetched them; discounts come with what holds them
        return everything

    def _beating(self, run: int, plan: Plan) -> Callable[[Progress], None]:
        """Passes progress on, and writes it to the run every two seconds."""
        lock, tempo = threading.Lock(), Tempo()
        last = time.monotonic()
        tempo.take(sum(load.range.counts.read for load in plan.loads), last)

        def tell(progress: Progress) -> None:
            nonlocal last
            self.tell(progress)
            with lock:
                if time.monotonic() - last < BEAT_SECONDS:
                    return
                last = time.monotonic()
                resources = resources_of(plan, Settled())
                rate = tempo.take(sum(counts["read"] for counts in resources.values()), last)
            expected = {name: plan.expected(name) for name in resources}
            with self.engine.begin() as db:
                runs.beat(db, run, {"resources": resources, "expected": expected, "rate": round(rate, 1)}, self.owner)

        return tell

    def _end(self, run: int, plan: Plan, summary: dict[str, Any], started: int) -> None:
        refused = {load.range.resource for load in plan.loads if load.range.error}
        readable = {load.range.resource for load in plan.loads if load.range.done} - refused
        with self.engine.begin() as db:
            runs.end(db, run, summary["state"], summary, self.owner, summary["error"])
            if summary["state"] == "done":
                sightings.forget(db, self.account.name, self.options.kind)
            for resource in readable:
                problems.clear(db, self.account.name, ["permission_missing"], f"GET {resource.path}")
            if summary["state"] == "done" and not self.options.sweep:
                dues.after_import(db, self.account.name)
            if summary["state"] == "done" and not self.options.resources:
                accounts.promise(db, self.account.name, datetime.fromtimestamp(started, UTC))
