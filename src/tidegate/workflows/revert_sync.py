"""Takes back what a run of a sync sent: planned first without a request, then sent and written down like any run."""

import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine

from tidegate.connections import accounts, runs
from tidegate.connections.accounts import Account
from tidegate.errors import RunNotReverted, RunUnknown, SyncRunning, TidegateError
from tidegate.outbound import followups, pausing, planning, reverting, syncs
from tidegate.outbound.planning import Planned
from tidegate.outbound.specs import Sync
from tidegate.workflows import sync_settling
from tidegate.workflows.run_sync import KIND, OpenWriting, process_of
from tidegate.workflows.sync_sending import Sender, Sent

KINDS = ("revert", "conflict", "skip", "nothing")
"""What becomes of a request: taken back; left for somebody, or a later run, changed it since; cannot be undone; needs
nothing.
"""
SAMPLE = 20


@dataclass(slots=True)
class Way:
    """The way back from a run: how many requests of each kind, and the first of each."""

    run: int
    counts: Counter[str] = field(default_factory=Counter[str])
    sample: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    syncs: list[str] = field(default_factory=list[str])

    def take(self, sync: str, planned: Planned) -> None:
        """Counts a decision."""
        kind = planned.decision.kind
        self.counts[kind] += 1
        shown = self.sample.setdefault(kind, [])
        if kind != "nothing" and len(shown) < SAMPLE:
            shown.append({"sync": sync, **planning.shown(planned.decision)})

    def as_json(self) -> dict[str, Any]:
        """As commands answer it: {run, syncs, counts, sample}."""
        counts = {kind: self.counts[kind] for kind in KINDS}
        sample = {kind: self.sample[kind] for kind in KINDS if self.sample.get(kind)}
        return {"run": self.run, "syncs": self.syncs, "counts": counts, "sample": sample}


def plan(engine: Engine, run: int, *, despite_edits: bool = False) -> Way:
    """What taking a run back would do. No request. Raises RunUnknown and RunNotReverted."""
    with engine.connect() as db:
        chosen, account = _of(db, run)
        way = Way(run, syncs=[one.key for one in chosen])
        for sync, planned in _ways(db, run, chosen, account, despite_edits=despite_edits):
            way.take(sync.key, planned)
    return way


def revert(
    engine: Engine,
    run: int,
    writing: OpenWriting,
    by: str,
    *,
    despite_edits: bool = False,
    stop: threading.Event | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Takes a run back, and returns {run, reverted, state, counts, sent, failed}.

    Its rows are left alone from then on until they change in the model. Raises RunUnknown, RunNotReverted,
    OutboundPaused, SyncRunning, and what ends the work.
    """
    with engine.connect() as db:
        pausing.refuse(db)
        chosen, account = _of(db, run)
    with _alone(engine, chosen):
        owner, key = runs.new_owner(), chosen[0].key
        options = {"connection": account.name, "reverts": run, "by": by, "despite_edits": despite_edits}
        with engine.begin() as db:
            number = runs.begin(db, f"sync:{key}", KIND, options, owner)
        summary: dict[str, Any] = {"sync": key, "reverts": run, "counts": {}, "sent": {}, "failed": 0}

        def told(sent: Sent) -> None:
            summary.update(sent=dict(sorted(sent.done.items())), failed=sent.failed)
            with engine.begin() as db:
                runs.beat(db, number, summary, owner)
            if progress is not None:
                progress(summary)

        state, error = "interrupted", ""
        try:
            way = _send(engine, writing, chosen, account, number, run, despite_edits, stop, told)
            summary["counts"] = way.as_json()["counts"]
            left = summary["failed"] or way.counts["conflict"] or way.counts["skip"]
            state = "interrupted" if stop and stop.is_set() else "incomplete" if left else "done"
        except BaseException as wrong:
            error = str(wrong) if isinstance(wrong, TidegateError) else type(wrong).__name__
            raise
        finally:
            with engine.begin() as db:
                runs.end(db, number, state, summary, owner, error)
    return {"run": number, "reverted": run, "state": state, "connection": account.name, **summary}


def _send(
    engine: Engine, writing: OpenWriting, chosen: list[Sync], account: Account, number: int, run: int,
    despite_edits: bool, stop: threading.Event | None, told: Callable[[Sent], None],
) -> Way:  # fmt: skip
    way, sent = Way(run), Sent()
    with writing(account) as api, api.heeding(stop or threading.Event()):
        for sync in chosen:
            sync_settling.settle(engine, api, account, sync, number)
            sender = Sender(engine, api, account, sync, number, sent=sent, stop=stop, progress=told)
            with engine.connect() as db:
                planned = [one for _, one in _ways(db, run, [sync], account, despite_edits=despite_edits)]
            for one in planned:
                way.take(sync.key, one)
            sender.send(followups.in_batches([one for one in planned if one.decision.kind == "revert"]))
            with engine.connect() as db:
                retiring = followups.retiring(db, sync.key)
            sender.send(followups.in_batches(retiring))
    told(sent)
    return way


def _ways(
    db: Connection, run: int, chosen: list[Sync], account: Account, *, despite_edits: bool
) -> Iterator[tuple[Sync, Planned]]:
    for sync in chosen:
        for some in reverting.ways_back(db, run, sync.key, account.name, sync.resource, despite_edits=despite_edits):
            yield from ((sync, one) for one in some)


def _of(db: Connection, run: int) -> tuple[list[Sync], Account]:
    """The syncs that a run sent something of, its own first, and their connection."""
    row = runs.find(db, run) if run < 2**63 else None
    if row is None:
        raise RunUnknown(id=run)
    if row["kind"] != KIND:
        raise RunNotReverted(run=run, problem=f"it is no run of a sync, but of kind {row['kind']}.")
    if row["state"] == "running":
        raise RunNotReverted(run=run, problem="it is at work; `tidegate sync cancel` ends it.")
    own = str(row["connection"]).removeprefix("sync:")
    named = reverting.syncs_of(db, run)
    if not named:
        raise RunNotReverted(run=run, problem="it sent nothing, or its requests are too old to be kept.")
    keys = sorted(named, key=lambda one: (one != own, one))
    chosen = [syncs.sync(db, key) for key in keys]
    return chosen, accounts.named(db, chosen[0].connection)


@contextmanager
def _alone(engine: Engine, chosen: list[Sync]) -> Generator[None]:
    with ExitStack() as held:
        for sync in chosen:
            if not held.enter_context(runs.exclusive(engine, f"sync:{sync.key}", KIND)):
                raise SyncRunning(sync=sync.key, process=process_of(engine, sync.key))
        yield
