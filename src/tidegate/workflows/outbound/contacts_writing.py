"""Writes the rows of a sync of contacts: the hub's own, so a batch and what is remembered of it are one transaction."""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from sqlalchemy import Connection, Engine

from tidegate.conditions.fields import PROPERTIES
from tidegate.contacts import changes, linking, matched_by, recording
from tidegate.contacts.match import Kind
from tidegate.contacts.records import Record
from tidegate.outbound import planning, rows
from tidegate.outbound.plan.decide import Decision
from tidegate.outbound.planning import Planned
from tidegate.outbound.rows import Row
from tidegate.workflows.contacts.contacts_edit import follow_up, rematch
from tidegate.workflows.outbound.sync_keeping import refuse_if_taken_over
from tidegate.workflows.outbound.sync_plan import Planning
from tidegate.workflows.outbound.sync_sending import Sent

WRITES = ("create", "update", "nothing")
BECAME = "it became the same contact as another row's while the run was at work; the next one looks at it again"
BATCH = 500
"""Contacts of one transaction, in which others wait for `linking.lock`."""


def write(engine: Engine, made: Planning, number: int, stop: threading.Event, progress: Callable[[Sent], None]) -> Sent:
    """Writes what a plan decided about contacts, and remembers each row. Killed in between, what was written is
    remembered, and the next run writes the rest. Raises SyncTakenOver.
    """
    sent = Sent()
    by = f"sync:{made.sync.key}"
    for batch in planning.decisions(made.staging, WRITES, BATCH):
        if stop.is_set():
            break
        with engine.begin() as db:
            refuse_if_taken_over(db, made.sync.key, number)
            writing = [one.decision for one in batch if one.decision.kind != "nothing"]
            left = _write(db, made.account.livemode, writing, by) if writing else set[str]()
            done = Counter(one.kind for one in writing if one.key not in left)
            if done:
                changes.note(db, "import", by, what={"sync": made.sync.key, "run": number, **done})
            known = rows.of(db, made.sync.key, [one.decision.key for one in batch])
            kept = [_remembered(one, known.get(one.decision.key), left) for one in batch]
            rows.keep(db, made.sync.key, number, kept)
        sent.done.update(done)
        sent.failed += len(left)
        progress(sent)
    return sent


def _write(db: Connection, livemode: bool, decisions: Sequence[Decision], by: str) -> set[str]:
    """Writes contacts. Returns the keys of rows that are left for the next run to look at: two became one contact since
    the plan.
    """
    linking.lock(db, patient=True)
    every = [(one, _record(one.payload)) for one in decisions]
    known = recording.known(db, livemode, [record for _, record in every])
    taken, left = set[int](), set[str]()
    for (one, _), key in zip(every, known, strict=True):
        if key is not None and key in taken:
            left.add(one.key)
        elif key is not None:
            taken.add(key)
    wanted = [(one, record) for one, record in every if one.key not in left]
    records = [record for _, record in wanted]
    done = recording.record(db, livemode, records, connection=None, by=by, made_by="sync")
    gone = {
        key: names
        for key, (one, _) in zip(done.keys, wanted, strict=True)
        if (names := [change.field.removeprefix(PROPERTIES) for change in one.changes if change.after is None])
    }
    recording.take_away(db, gone)
    done.contacts |= gone.keys()
    follow_up(db, done)
    if done.created:  # customers may name them
        rematch(db, livemode, matched_by.of_records(records))
    return left


def _record(payload: Mapping[str, Any]) -> Record:
    properties = {
        name.removeprefix(PROPERTIES): value
        for name, value in payload.items()
        if name.startswith(PROPERTIES) and value is not None
    }
    kind = cast("Kind", payload["kind"])
    return Record(kind, payload["id"], payload.get("name"), owner=payload.get("owner"), properties=properties)


def _remembered(planned: Planned, before: Row | None, left: Collection[str]) -> Row:
    decision = planned.decision
    known = before or Row(decision.key, planned.hash, "sent")
    if decision.key in left:
        return replace(known, hash=planned.hash, state="failed", why=BECAME, problems=[])
    return replace(
        known, hash=planned.hash, state="sent", object_id=decision.object_id, ours=True,
        wrote=dict(decision.wanted), showed={}, seen_at=None, why="", problems=[],
    )  # fmt: skip
