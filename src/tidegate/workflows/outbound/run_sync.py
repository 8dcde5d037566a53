"""Runs a sync: what an earlier run left open is settled, a plan is made, held against its stops, and sent."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from tidegate.catalog import journal as changes
from tidegate.connections import accounts, runs
from tidegate.connections.accounts import Account
from tidegate.errors import PlanStale, SyncStopped, TidegateError, WorkStopped
from tidegate.mirror import lookups
from tidegate.outbound import dues, followups, pausing, planning, rows, syncs
from tidegate.outbound.push import journal
from tidegate.outbound.push.turns import Turns
from tidegate.outbound.resources import OWN
from tidegate.outbound.specs import Sync
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows.outbound import contacts_writing, sync_ending, sync_plan, sync_settling, sync_stopping
from tidegate.workflows.outbound.sync_plan import ALL, Part, Planning, Progress, UrlOf
from tidegate.workflows.outbound.sync_remembering import unsent
from tidegate.workflows.outbound.sync_sending import Sender, Sent
from tidegate.workflows.outbound.sync_turns import KIND, line_of, turn

log = logging.getLogger(__name__)

OpenWriting = Callable[[Account], AbstractContextManager[StripeApi]]
SENDS = ("create", "update", "replace", "delete")
TRIED = 100
"""Requests that a part may make before the sync's first run of all rows."""
KEEPS = ("nothing", "skip", "held", "conflict", "invalid", "gone")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a run is wanted: which rows, the plan that was looked at, and whether it begins despite its stops; `resumed`:
    it goes on with one that did not come to its end.
    """

    part: Part = ALL
    plan: int | None = None
    despite_stops: bool = False
    resumed: bool = False

    def as_json(self) -> dict[str, Any]:
        """As it is kept with a run."""
        return asdict(self)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Wanted":
        """What `as_json` made."""
        part = dict(kept.get("part") or {})
        keys = part.pop("keys", None)
        wanted = {name: kept[name] for name in ("plan", "despite_stops", "resumed") if name in kept}
        return cls(Part(None if keys is None else tuple(keys), **part), **wanted)


def run(
    engine: Engine,
    key: str,
    url_of: UrlOf,
    writing: OpenWriting,
    wanted: Wanted | None = None,
    *,
    by: str = "",
    stop: threading.Event | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
    planning_progress: Progress | None = None,
    passing: tuple[type[BaseException], ...] = (),
) -> dict[str, Any]:
    """Sends what differs, and returns {run, state, resource, connection, counts, sent, failed}; `state` is done,
    incomplete or interrupted.

    `by`: who asked for it, which is written down; empty: a schedule, or it was written down when it was asked for.
    Rows that fail are tried again by the next run. A run of all rows whose process dies is gone on with by any worker;
    so is one that a pause ends, and one that `stop` or an error of `passing` does, where these are given: then the
    caller rings for it. Raises OutboundPaused, SyncRunning, OutboundBusy, SyncStopped and PlanStale before anything is
    sent, and what ends the work; what was sent until then is remembered.
    """
    wanted = wanted or Wanted()
    with engine.connect() as db:
        sync = syncs.sync(db, key)
        account = accounts.named(db, sync.connection)
        pausing.refuse(db)
        if wanted.part.whole and wanted.plan is None and sync_plan.was_begun(db, key):
            wanted = replace(wanted, resumed=True)
    with turn(engine, [key], line_of(sync.resource, account.name)) as turns:
        this = _begin(engine, key, account, wanted, by, passing, turns)
        try:
            sent = this.carry_out(url_of, writing, stop, progress, planning_progress)
        except BaseException as error:
            if not (isinstance(error, WorkStopped) and this.heard.is_set()):
                this.broke_off(error)
                raise
            sent = Sent()  # stopped before anything was sent
        state = this.end(sent, stopped=this.heard.is_set() or bool(stop and stop.is_set()))
    return {"run": this.number, "state": state, "resource": sync.resource, "connection": account.name, **this.summary}


def _begin(
    engine: Engine, key: str, account: Account, wanted: Wanted, by: str, passing: tuple[type[BaseException], ...],
    turns: Turns,
) -> "_Run":  # fmt: skip
    """Writes down that a run begins."""
    owner = runs.new_owner()
    with engine.begin() as db:
        sync = syncs.sync(db, key)  # it may have been removed until now
        options = {"connection": account.name, "line": line_of(sync.resource, account.name), **wanted.as_json()}
        number = runs.begin(db, f"sync:{key}", KIND, options, owner)
        if by:
            note(db, by, key, wanted, run=number)
        since = dues.begin(db, key, number, wanted.as_json()) if wanted.part.whole else None
    return _Run(engine, account, sync, wanted, number, owner, since, passing, turns)


@dataclass(slots=True)
class _Run:
    """A run at work. `since`: since when it is due; `ended_as`: of all rows, how it finished things, and until when
    changes in Stripe were looked at.
    """

    engine: Engine
    account: Account
    sync: Sync
    wanted: Wanted
    number: int
    owner: str
    since: datetime | None
    passing: tuple[type[BaseException], ...]
    turns: Turns
    heard: sync_stopping.Heard = field(default_factory=sync_stopping.Heard)
    summary: dict[str, Any] = field(default_factory=dict[str, Any])
    ended_as: tuple[str, datetime | None] | None = None

    def carry_out(
        self, url_of: UrlOf, writing: OpenWriting, stop: threading.Event | None,
        progress: Callable[[dict[str, Any]], None] | None, planning_progress: Progress | None,
    ) -> Sent:  # fmt: skip
        """Settles what is open, plans and sends."""
        key, part = self.sync.key, self.wanted.part
        self.summary |= {"sync": key, "counts": {}, "sent": {}, "failed": 0}
        if self.sync.resource in OWN:
            return self._write(url_of, stop, progress, planning_progress)
        with (
            sync_stopping.heard(self.engine, key, self.number, stop) as self.heard,
            writing(self.account) as api,
            api.heeding(self.heard),
        ):
            sync_settling.settle(self.engine, api, self.account, self.sync, self.number, self.turns, self.heard)
            heard = self.heard.planning(key, planning_progress)
            with sync_plan.planned(self.engine, key, url_of, part, heard) as made:
                self._planned(made)
                _keep_unsent(self.engine, made, self.number, KEEPS)
                sync_plan.associate(self.engine, made, anew=False)
                sent = self._send(api, made, progress)
                if part.whole and not self.heard.is_set():
                    sync_plan.associate(self.engine, made, anew=True)
        return sent

    def _write(
        self, url_of: UrlOf, stop: threading.Event | None,
        progress: Callable[[dict[str, Any]], None] | None, planning_progress: Progress | None,
    ) -> Sent:  # fmt: skip
        """Plans, and writes what is the hub's own."""
        key, part = self.sync.key, self.wanted.part
        with (
            sync_stopping.heard(self.engine, key, self.number, stop) as self.heard,
            sync_plan.planned(self.engine, key, url_of, part, self.heard.planning(key, planning_progress)) as made,
        ):
            self._planned(made)
            _keep_unsent(self.engine, made, self.number, ("skip", "invalid", "gone"))
            return contacts_writing.write(self.engine, made, self.number, self.heard, self._telling(progress))

    def _planned(self, made: Planning) -> None:
        self.summary |= {"counts": made.plan.counts, "rows": made.plan.rows.rows}
        self.ended_as = (made.sync.finish, made.looked_until) if self.wanted.part.whole else None
        _refuse(self.engine, made, self.wanted)

    def _telling(self, progress: Callable[[dict[str, Any]], None] | None) -> Callable[[Sent], None]:
        def told(sent: Sent) -> None:
            _sum(self.summary, sent)
            with self.engine.begin() as db:
                runs.beat(db, self.number, self.summary, self.owner)
            if progress is not None:
                progress(self.summary)

        return told

    def _send(self, api: StripeApi, made: Planning, progress: Callable[[dict[str, Any]], None] | None) -> Sent:
        told = self._telling(progress)
        sender = Sender(
            self.engine, api, made.account, made.sync, self.number, self.turns, stop=self.heard, progress=told
        )
        try:
            _send_rows(self.engine, api, made, self.number, self.turns, self.heard, sender)
            if self.wanted.part.whole:
                _finish(self.engine, api, made, self.number, self.turns, self.heard, sender, told)
        except WorkStopped:  # of those that waited for their turn; what was sent is to be summed up
            if not self.heard.is_set():
                raise
        return sender.sent

    def broke_off(self, error: BaseException) -> None:
        """Ends it by an error."""
        told = str(error) if isinstance(error, TidegateError) else type(error).__name__
        goes_on = self.heard.paused or (isinstance(error, self.passing) and not self.heard.asked)
        try:
            with self.engine.begin() as db:
                self._end(db, "interrupted", error=told, goes_on=goes_on)
        except DBAPIError:  # the database is away: the run shows as interrupted once its lock is let go of
            log.warning("run_not_ended", extra={"sync": self.sync.key, "run": self.number})

    def end(self, sent: Sent, *, stopped: bool) -> str:
        """Ends it, also where it was stopped; returns how."""
        _sum(self.summary, sent)
        state = "interrupted" if stopped else "incomplete" if _left(self.summary) else "done"
        goes_on = stopped and not self.heard.asked and (self.heard.paused or bool(self.passing))
        with self.engine.begin() as db:
            self._end(db, state, whole=self.ended_as, goes_on=goes_on)
        return state

    def _end(self, db: Connection, state: str, **how: Any) -> None:
        sync_ending.end(
            db, self.sync.key, self.account.name, self.number, state, self.summary, self.owner, since=self.since, **how
        )


def _send_rows(
    engine: Engine, api: StripeApi, made: Planning, number: int, turns: Turns, stop: threading.Event | None,
    sender: Sender,
) -> None:  # fmt: skip
    _retire(engine, sender, made.sync.key)  # what an earlier run left: a row remembers one
    sender.send(planning.decisions(made.staging, SENDS))
    _retire(engine, sender, made.sync.key)
    with engine.connect() as db:
        left = syncs.readable(db, journal.half_finished(db, made.account.name))
    for sync in left.values():
        sync_settling.settle(engine, api, made.account, sync, number, turns, stop, kind="finish")


def _finish(
    engine: Engine, api: StripeApi, made: Planning, number: int, turns: Turns, stop: threading.Event | None,
    sender: Sender, told: Callable[[Sent], None],
) -> None:  # fmt: skip
    shown = [one.decision.object_id for batch in planning.decisions(made.staging, ["finish"]) for one in batch]
    with engine.connect() as db:
        ids = [id_ for id_ in shown if id_]
        finishing = followups.finishing(db, made.account.name, number, made.sync, ids)
        finished = syncs.readable(db, finishing)
    for key, sync in finished.items():
        of_sync = Sender(engine, api, made.account, sync, number, turns, sent=sender.sent, stop=stop, progress=told)
        of_sync.send(followups.in_batches(finishing[key]))


def _retire(engine: Engine, sender: Sender, key: str) -> None:
    with engine.connect() as db:
        retiring = followups.retiring(db, key)
    sender.send(followups.in_batches(retiring))


def _sum(summary: dict[str, Any], sent: Sent) -> None:
    summary["sent"] = dict(sorted(sent.done.items()))
    summary["failed"] = sent.failed


def _left(summary: dict[str, Any]) -> int:
    counts: Counter[str] = Counter(summary["counts"])
    return summary["failed"] + counts["held"] + counts["conflict"] + counts["invalid"]


def _refuse(engine: Engine, made: Planning, wanted: Wanted) -> None:
    """Raises SyncStopped or PlanStale where nothing may be sent."""
    key, plan = made.sync.key, made.plan
    with engine.connect() as db:
        first = syncs.is_first(db, made.sync) and not wanted.resumed
        looked = None if wanted.plan is None else db.scalar(_PLAN, {"id": wanted.plan, "sync": key})
    if wanted.plan is not None and looked is None:
        raise PlanStale(plan=wanted.plan, sync=key, problem="there is no such plan")
    if looked is not None and looked != plan.fingerprint:
        what = "contacts" if made.sync.resource in OWN else "Stripe's objects"
        raise PlanStale(plan=wanted.plan, sync=key, problem=f"rows, {what} or the sync changed since")
    sends = sum(plan.counts[kind] for kind in (*SENDS, "finish"))
    if first and looked is None and sends > (0 if wanted.part.whole else TRIED):
        problem = (
            f"its first run wants a plan that was looked at: `tidegate sync plan {key}`, and then "
            f"`tidegate sync run {key} --plan ID`; or try up to {TRIED} rows with --limit N"
        )
        raise SyncStopped(sync=key, problem=problem)
    emptied = wanted.resumed and not plan.rows.rows  # which nobody knew of who said so
    if plan.stops and (emptied or not wanted.despite_stops):
        does = "writes" if made.sync.resource in OWN else "sends"
        hint = f"`--despite-stops` {does} all the same" if made.plan.rows.rows else "look at its source first"
        raise SyncStopped(sync=key, problem=f"{'; '.join(plan.stops)}; {hint}")


def _keep_unsent(engine: Engine, made: Planning, number: int, kinds: Sequence[str]) -> None:
    """Remembers the rows about which nothing is sent, and why."""
    sync = made.sync
    for batch in planning.decisions(made.staging, kinds):
        wanted = {one.decision.key: one.decision.object_id for one in batch}
        ids = [one.decision.object_id for one in batch if one.decision.object_id]
        with engine.begin() as db:
            known = rows.known(db, sync.key, wanted)
            live = lookups.bodies(db, made.account.name, sync.resource, ids)
            kept = [
                unsent(sync, one, known.get(one.decision.key), live.get(one.decision.object_id or "")) for one in batch
            ]
            rows.keep(db, sync.key, number, kept)


def note(db: Connection, by: str, key: str, wanted: Wanted, **more: Any) -> None:
    """Writes down who lets a sync run, and how; of keys, which may be of people, how many."""
    told = wanted.as_json()
    keys = told["part"].pop("keys")
    rows = {} if keys is None else {"keys": len(keys)}
    changes.note(db, by, "sync.run", key, **more, **rows, **told["part"], plan=told["plan"],
                         despite_stops=told["despite_stops"])  # fmt: skip


_PLAN = text("select fingerprint from tidegate.sync_plans where id = :id and sync = :sync")
