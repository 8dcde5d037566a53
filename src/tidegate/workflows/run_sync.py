"""Runs a sync: what an earlier run left open is settled, a plan is made, held against its stops, and sent."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from tidegate.catalog import journal as changes
from tidegate.connections import accounts, runs
from tidegate.connections.accounts import Account
from tidegate.errors import PlanStale, SyncRunning, SyncStopped, TidegateError, WorkStopped
from tidegate.mirror import lookups
from tidegate.outbound import dues, followups, pausing, planning, rows, syncs
from tidegate.outbound.push import journal
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows import sync_ending, sync_plan, sync_settling, sync_stopping
from tidegate.workflows.sync_plan import ALL, Part, Planning, Progress, UrlOf
from tidegate.workflows.sync_remembering import unsent
from tidegate.workflows.sync_sending import Sender, Sent

log = logging.getLogger(__name__)

KIND = "sync"
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
    """Sends what differs, and returns {run, state, counts, sent, failed}; `state` is done, incomplete or interrupted.

    `by`: who asked for it, which is written down; empty: a schedule, or it was written down when it was asked for.
    Rows that fail are tried again by the next run. A run of all rows whose process dies is gone on with by any worker;
    so is one that a pause ends, and one that `stop` or an error of `passing` does, where these are given: then the
    caller rings for it. Raises
    OutboundPaused, SyncRunning, SyncStopped and PlanStale before anything is sent, and what ends the work; what was
    sent until then is remembered.
    """
    wanted = wanted or Wanted()
    with engine.connect() as db:
        sync = syncs.sync(db, key)
        account = accounts.named(db, sync.connection)
        pausing.refuse(db)
        if wanted.part.whole and wanted.plan is None and sync_plan.was_begun(db, key):
            wanted = replace(wanted, resumed=True)
    with runs.exclusive(engine, f"sync:{key}", KIND) as alone:
        if not alone:
            raise SyncRunning(sync=key, process=process_of(engine, key))
        owner = runs.new_owner()
        with engine.begin() as db:
            sync = syncs.sync(db, key)  # it may have been removed until now
            number = runs.begin(db, f"sync:{key}", KIND, {"connection": account.name, **wanted.as_json()}, owner)
            if by:
                note(db, by, key, wanted, run=number)
            since = dues.begin(db, key, number, wanted.as_json()) if wanted.part.whole else None
        end = partial(sync_ending.end, sync=key, connection=account.name, run=number, owner=owner, since=since)
        whole, heard = None, sync_stopping.Heard()
        summary: dict[str, Any] = {"sync": key, "counts": {}, "sent": {}, "failed": 0}
        try:
            with (
                sync_stopping.heard(engine, key, number, stop) as heard,
                writing(account) as api,
                api.heeding(heard),
            ):
                sync_settling.settle(engine, api, account, sync, number, heard)
                with sync_plan.planned(
                    engine, key, url_of, wanted.part, heard.planning(key, planning_progress)
                ) as made:
                    summary |= {"counts": made.plan.counts, "rows": made.plan.rows.rows}
                    whole = (made.sync.finish, made.looked_until) if wanted.part.whole else None
                    _refuse(engine, made, wanted)
                    _keep_unsent(engine, made, number)
                    sync_plan.associate(engine, made, anew=False)
                    sent = _send(engine, api, made, number, heard, progress, summary, owner, wanted.part)
                    if wanted.part.whole and not heard.is_set():
                        sync_plan.associate(engine, made, anew=True)
        except BaseException as error:
            if not (isinstance(error, WorkStopped) and heard.is_set()):
                told = str(error) if isinstance(error, TidegateError) else type(error).__name__
                try:
                    goes_on = heard.paused or (isinstance(error, passing) and not heard.asked)
                    with engine.begin() as db:
                        end(db, state="interrupted", summary=summary, error=told, goes_on=goes_on)
                except DBAPIError:  # the database is away: the run shows as interrupted once its lock is let go of
                    log.warning("run_not_ended", extra={"sync": key, "run": number})
                raise
            sent = Sent()  # stopped before anything was sent
        _sum(summary, sent)
        stopped = heard.is_set() or bool(stop and stop.is_set())
        state = "interrupted" if stopped else "incomplete" if _left(summary) else "done"
        with engine.begin() as db:
            goes_on = stopped and not heard.asked and (heard.paused or bool(passing))
            end(db, state=state, summary=summary, whole=whole, goes_on=goes_on)
    return {"run": number, "state": state, "connection": account.name, **summary}


def _send(
    engine: Engine,
    api: StripeApi,
    made: Planning,
    number: int,
    stop: threading.Event | None,
    progress: Callable[[dict[str, Any]], None] | None,
    summary: dict[str, Any],
    owner: str,
    part: Part,
) -> Sent:
    def told(sent: Sent) -> None:
        _sum(summary, sent)
        with engine.begin() as db:
            runs.beat(db, number, summary, owner)
        if progress is not None:
            progress(summary)

    sender = Sender(engine, api, made.account, made.sync, number, stop=stop, progress=told)
    try:
        _send_rows(engine, api, made, number, stop, sender)
        if part.whole:
            _finish(engine, api, made, number, stop, sender, told)
    except WorkStopped:  # of those that waited for their turn; what was sent is to be summed up
        if stop is None or not stop.is_set():
            raise
    return sender.sent


def _send_rows(
    engine: Engine, api: StripeApi, made: Planning, number: int, stop: threading.Event | None, sender: Sender
) -> None:
    _retire(engine, sender, made.sync.key)  # what an earlier run left: a row remembers one
    sender.send(planning.decisions(made.staging, SENDS))
    _retire(engine, sender, made.sync.key)
    with engine.connect() as db:
        left = syncs.readable(db, journal.half_finished(db, made.account.name))
    for sync in left.values():
        sync_settling.settle(engine, api, made.account, sync, number, stop, kind="finish")


def _finish(
    engine: Engine,
    api: StripeApi,
    made: Planning,
    number: int,
    stop: threading.Event | None,
    sender: Sender,
    told: Callable[[Sent], None],
) -> None:
    shown = [one.decision.object_id for batch in planning.decisions(made.staging, ["finish"]) for one in batch]
    with engine.connect() as db:
        ids = [id_ for id_ in shown if id_]
        finishing = followups.finishing(db, made.account.name, number, made.sync, ids)
        finished = syncs.readable(db, finishing)
    for key, sync in finished.items():
        of_sync = Sender(engine, api, made.account, sync, number, sent=sender.sent, stop=stop, progress=told)
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
        raise PlanStale(plan=wanted.plan, sync=key, problem="rows, Stripe's objects or the sync changed since")
    sends = sum(plan.counts[kind] for kind in (*SENDS, "finish"))
    if first and looked is None and sends > (0 if wanted.part.whole else TRIED):
        problem = (
            f"its first run wants a plan that was looked at: `tidegate sync plan {key}`, and then "
            f"`tidegate sync run {key} --plan ID`; or try up to {TRIED} rows with --limit N"
        )
        raise SyncStopped(sync=key, problem=problem)
    emptied = wanted.resumed and not plan.rows.rows  # which nobody knew of who said so
    if plan.stops and (emptied or not wanted.despite_stops):
        hint = "`--despite-stops` sends all the same" if made.plan.rows.rows else "look at its source first"
        raise SyncStopped(sync=key, problem=f"{'; '.join(plan.stops)}; {hint}")


def _keep_unsent(engine: Engine, made: Planning, number: int) -> None:
    """Remembers the rows about which nothing is sent, and why."""
    sync = made.sync
    for batch in planning.decisions(made.staging, KEEPS):
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


def process_of(engine: Engine, key: str) -> str:
    """Which process runs a sync, or ran it last."""
    with engine.connect() as db:
        last = runs.last(db, f"sync:{key}", KIND)
    return last["process"] if last else "another process"


_PLAN = text("select fingerprint from tidegate.sync_plans where id = :id and sync = :sync")
