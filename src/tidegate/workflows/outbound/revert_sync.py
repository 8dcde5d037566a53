"""Takes back what a run of a sync sent: planned first without a request, then sent and written down like any run."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine

from tidegate.catalog import journal
from tidegate.connections import accounts, runs
from tidegate.connections.accounts import Account
from tidegate.errors import RunNotReverted, RunUnknown, TidegateError
from tidegate.outbound import followups, pausing, planning, reverting, syncs
from tidegate.outbound.planning import Planned
from tidegate.outbound.push.turns import Turns
from tidegate.outbound.specs import Sync
from tidegate.workflows.outbound import sync_settling, sync_stopping
from tidegate.workflows.outbound.run_sync import OpenWriting
from tidegate.workflows.outbound.sync_sending import Sender, Sent
from tidegate.workflows.outbound.sync_turns import KIND, turn

KINDS = ("revert", "conflict", "skip", "nothing")
"""What becomes of a request: taken back; left for somebody, or a later run, changed it since; cannot be undone; needs
nothing.
"""
SAMPLE = 20


@dataclass(slots=True)
class Way:
    """The way back from a run: how many requests of each kind, and the first of each. `whole`: of all that it sent."""

    run: int
    counts: Counter[str] = field(default_factory=Counter[str])
    sample: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    syncs: list[str] = field(default_factory=list[str])
    whole: bool = True

    def take(self, sync: str, planned: Sequence[Planned]) -> None:
        """Counts decisions."""
        for one in planned:
            kind = one.decision.kind
            self.counts[kind] += 1
            shown = self.sample.setdefault(kind, [])
            if kind != "nothing" and len(shown) < SAMPLE:
                shown.append({"sync": sync, **planning.shown(one.decision)})

    def as_json(self) -> dict[str, Any]:
        """As commands answer it: {run, syncs, counts, sample}."""
        counts = {kind: self.counts[kind] for kind in KINDS}
        sample = {kind: self.sample[kind] for kind in KINDS if self.sample.get(kind)}
        return {"run": self.run, "syncs": self.syncs, "counts": counts, "sample": sample}


def whose(db: Connection, run: int) -> tuple[str, str]:
    """The sync of a run, and the connection that it wrote to. Raises RunUnknown and RunNotReverted."""
    chosen, account = _of(db, run)
    return chosen[0].key, account.name


def plan(engine: Engine, run: int, *, despite_edits: bool = False, last: int | None = None) -> Way:
    """What taking a run back would do; with `last`, of the last so many requests that it sent. No request is made.
    Raises RunUnknown and RunNotReverted.
    """
    with engine.connect() as db:
        since = 0 if last is None else reverting.all_but_the_last(db, run, last)
        chosen, account = _of(db, run, since)
    way = Way(run, syncs=[one.key for one in chosen], whole=since == 0)
    for sync in chosen:
        for some in reverting.ways_back(engine, run, sync, account.name, despite_edits=despite_edits, since=since):
            way.take(sync.key, some)
    return way


def revert(
    engine: Engine,
    run: int,
    writing: OpenWriting,
    by: str = "",
    *,
    despite_edits: bool = False,
    stop: threading.Event | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Takes a run back, and returns {run, reverted, state, counts, sample, sent, failed}.

    Its rows are left alone from then on until they change in the model. `by`: who asked for it, which is written down;
    empty: it was written down when it was asked for. Raises RunUnknown, RunNotReverted,
    OutboundPaused, SyncRunning, OutboundBusy, and what ends the work.
    """
    with engine.connect() as db:
        pausing.refuse(db)
        chosen, account = _of(db, run)
    with turn(engine, [one.key for one in chosen], account.name) as turns:
        owner, key = runs.new_owner(), chosen[0].key
        options = {"connection": account.name, "reverts": run, "by": by, "despite_edits": despite_edits}
        with engine.begin() as db:
            number = runs.begin(db, f"sync:{key}", KIND, options, owner)
            if by:
                journal.note(db, by, "sync.reverted", key, run=number, reverts=run, despite_edits=despite_edits)
        reverted = _Reverting(engine, account, number, owner, turns, Way(run), despite_edits, progress)
        state, error = "interrupted", ""
        try:
            state = reverted.run(chosen, writing, stop)
        except BaseException as wrong:
            error = str(wrong) if isinstance(wrong, TidegateError) else type(wrong).__name__
            raise
        finally:
            with engine.begin() as db:
                runs.end(db, number, state, reverted.summary, owner, error)
    answer = reverted.way.as_json() | reverted.summary
    return answer | {"run": number, "reverted": run, "state": state, "connection": account.name}


@dataclass(slots=True)
class _Reverting:
    engine: Engine
    account: Account
    number: int
    owner: str
    turns: Turns
    way: Way
    despite_edits: bool
    progress: Callable[[dict[str, Any]], None] | None
    sent: Sent = field(default_factory=Sent)

    @property
    def summary(self) -> dict[str, Any]:
        """What was done so far."""
        done = {"sent": dict(sorted(self.sent.done.items())), "failed": self.sent.failed}
        return {"sync": self.way.syncs[0] if self.way.syncs else "", "reverts": self.way.run,
                "counts": self.way.as_json()["counts"], **done}  # fmt: skip

    def run(self, chosen: list[Sync], writing: OpenWriting, stop: threading.Event | None) -> str:
        """Sends it; returns the state in which the run ended."""
        self.way.syncs = [one.key for one in chosen]
        with (
            sync_stopping.heard(self.engine, chosen[0].key, self.number, stop) as heard,
            writing(self.account) as api,
            api.heeding(heard),
        ):
            for sync in chosen:
                sync_settling.settle(self.engine, api, self.account, sync, self.number, self.turns, heard)
                sender = Sender(
                    self.engine, api, self.account, sync, self.number, self.turns, sent=self.sent, stop=heard,
                    progress=self._tell,
                )  # fmt: skip
                sender.send(self._ways(sync))
                with self.engine.connect() as db:
                    retiring = followups.retiring(db, sync.key)
                sender.send(followups.in_batches(retiring))
            if heard.is_set():
                return "interrupted"
        left = self.sent.failed or self.way.counts["conflict"] or self.way.counts["skip"]
        return "incomplete" if left else "done"

    def _ways(self, sync: Sync) -> Iterator[list[Planned]]:
        ways = reverting.ways_back(
            self.engine, self.way.run, sync, self.account.name, despite_edits=self.despite_edits, own=self.number
        )
        for some in ways:
            self.way.take(sync.key, some)
            yield [one for one in some if one.decision.kind == "revert"]

    def _tell(self, _: Sent) -> None:
        with self.engine.begin() as db:
            runs.beat(db, self.number, self.summary, self.owner)
        if self.progress is not None:
            self.progress(self.summary)


def _of(db: Connection, run: int, since: int = 0) -> tuple[list[Sync], Account]:
    """The syncs that a run sent something of, after the request `since`, its own first, and their connection."""
    row = runs.find(db, run) if run < 2**63 else None
    if row is None:
        raise RunUnknown(id=run)
    if row["kind"] != KIND:
        raise RunNotReverted(run=run, problem=f"it is no run of a sync, but of kind {row['kind']}.")
    if row["state"] == "running":
        raise RunNotReverted(run=run, problem="it is at work; `tidegate sync cancel` ends it.")
    own = str(row["connection"]).removeprefix("sync:")
    if syncs.is_own(db, own):
        problem = "it described contacts, which is not taken back; write the rows as they were, and run the sync again."
        raise RunNotReverted(run=run, problem=problem)
    named = reverting.syncs_of(db, run, since)
    if not named:
        raise RunNotReverted(run=run, problem="it sent nothing, or its requests are too old to be kept.")
    keys = sorted(named, key=lambda one: (one != own, one))
    chosen = [syncs.sync(db, key) for key in keys]
    return chosen, accounts.named(db, chosen[0].connection)
