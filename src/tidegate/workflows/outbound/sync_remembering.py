"""What is remembered of a sync's rows: after a request of theirs, and where nothing is sent."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tidegate.mirror import lookups
from tidegate.outbound.plan.compare import flat, id_of
from tidegate.outbound.plan.decide import FORGOTTEN, REMOVED, Decision, is_there, showing
from tidegate.outbound.planning import Planned
from tidegate.outbound.push.outcomes import Outcome, body_of, id_told
from tidegate.outbound.push.requests import Request
from tidegate.outbound.resources import INSERT_ONLY, OWN
from tidegate.outbound.rows import Row
from tidegate.outbound.specs import Sync
from tidegate.stripe_api.calls import Answer
from tidegate.workflows.outbound.sync_looking import MAKES

STATES = {"nothing": "sent", "skip": "skipped", "held": "held", "conflict": "conflict", "invalid": "invalid",
          "gone": "gone"}  # fmt: skip
"""What becomes of a row about which nothing is sent."""

REVERTED = "what a run sent of it was taken back; it is sent again when it changes in the model"

TAKEN_BACK = "its usage was taken back; usage is told once, so what it says now is for a new row to say"
FOUND = "no answer came, and the object that was found has another {}; it is looked at again"


@dataclass(frozen=True, slots=True)
class Sending:
    """A request on its way: its row's decision, what is remembered of the row, and the mark of its object in the mirror
    (None: it has none there).
    """

    id: int
    planned: Planned
    request: Request
    row: Row | None
    mark: lookups.Mark | None = None


def after(sync: Sync, sending: Sending, outcome: Outcome, answer: Answer | None, *, found: bool = False) -> Row | None:
    """What is remembered of a row after its request; None: it is forgotten, for its object was deleted. `found`: the
    object of a request to make one was found by looking, and may be otherwise than it was to be made.
    """
    decision, before = sending.planned.decision, sending.row
    if outcome.state == "done" and decision.kind == "delete":
        return _removed(sending, answer)
    generation = sending.request.generation + (outcome.state != "unknown")
    if decision.kind == "revert":
        if outcome.state == "done" and answer is not None:
            return taken_back(sync, sending, answer)
        return before and replace(before, generation=generation)
    if outcome.state != "done" or answer is None:
        kept = before or Row(decision.key, sending.planned.hash, "failed")
        return replace(
            kept, hash=sending.planned.hash, state="failed", generation=generation, why=outcome.error,
            parent=decision.parent or kept.parent,
        )  # fmt: skip
    body = body_of(answer.body)
    if before is not None and decision.kind == "retire":
        return replace(before, retires=None, generation=generation)
    if before is not None and decision.kind == "finish":
        showed = showing(sync.resource, before.wrote, body)
        return replace(before, showed=showed, seen_at=answer.at, generation=generation)
    wrote, showed = _base(sync, decision, before, body)
    other = _otherwise(sync, wrote, showed, body) if found else frozenset[str]()
    return Row(
        decision.key,
        sending.planned.hash,
        "failed" if other else "sent",
        id_told(body),
        _is_ours(sync, sending, id_told(body)),
        generation,
        seen_at=answer.at,
        parent=_parent(sync, body),
        retires=decision.object_id if decision.kind == "replace" else before.retires if before else None,
        wrote={name: value for name, value in wrote.items() if name not in other},
        showed={name: value for name, value in showed.items() if name not in other},
        why=FOUND.format(", ".join(sorted(other))) if other else "",
    )


def _otherwise(
    sync: Sync, wrote: Mapping[str, Any], showed: Mapping[str, Any], body: Mapping[str, Any]
) -> frozenset[str]:
    """The fields that an object shows otherwise than its row has them: they are decided about anew."""
    there = (name for name in wrote if name in showed)
    return frozenset(one for one in there if not is_there(sync.resource, one, wrote[one], showed[one], body))


def _is_ours(sync: Sync, sending: Sending, id_: Any) -> bool:
    """Whether an object may be deleted once its row leaves: this sync made it, or took it over as one of its own."""
    before = sending.row
    was = before is not None and before.ours and before.object_id == id_
    return sending.request.operation in MAKES or sync.mode == "upsert" or was


def _removed(sending: Sending, answer: Answer | None) -> Row | None:
    """What is remembered of a row whose object is still there, archived or ended: how, for when the row comes back."""
    before, operation = sending.row, sending.request.operation
    if before is None or answer is None or operation == "delete":
        return None
    return replace(
        before, state="gone", ours=False, generation=sending.request.generation + 1, seen_at=answer.at, problems=[],
        wrote=before.wrote | {REMOVED: operation}, why=f"it left the model: {operation}",
    )  # fmt: skip


def taken_back(sync: Sync, sending: Sending, answer: Answer) -> Row:
    """What is remembered of a row whose request of an earlier run was undone: it is left alone until it says otherwise
    in the warehouse.
    """
    decision = sending.planned.decision
    known = sending.row or Row(decision.key, sending.planned.hash, "reverted")
    kept = replace(known, state="reverted", generation=sending.request.generation + 1, why=REVERTED, problems=[])
    if sync.resource in INSERT_ONLY:  # its identifier was used: what the row says next is for another row to say
        return replace(kept, why=TAKEN_BACK)
    if sending.request.operation != "update":
        return replace(kept, object_id=None, wrote={}, showed={}, seen_at=None, parent=None)
    showed = showing(sync.resource, decision.wanted, body_of(answer.body))
    replaced = known.object_id if known.object_id not in {None, decision.object_id} else known.retires
    return replace(
        kept, object_id=decision.object_id, ours=True, wrote=dict(decision.wanted), showed=showed,
        seen_at=answer.at, retires=replaced,
    )  # fmt: skip


def unsent(sync: Sync, planned: Planned, before: Row | None, live: lookups.Object | None) -> Row:
    """What is remembered of a row about which nothing is sent. One that is as wanted is adopted, unless the sync only
    inserts.
    """
    decision = planned.decision
    known = before or Row(decision.key, planned.hash, "held")
    state = STATES[decision.kind]
    if state == "sent" and live is not None:
        wrote, showed = _base(sync, decision, before, live.body)
        return replace(
            known, hash=planned.hash, state=state, object_id=decision.object_id,
            ours=sync.mode == "upsert" or (known.ours and known.object_id == decision.object_id),
            wrote=wrote, showed=showed, seen_at=live.at,
            parent=_parent(sync, live.body), why="", problems=[],
        )  # fmt: skip
    problems = [one.as_json() for one in decision.problems]
    seen_at = live.at if live is not None else known.seen_at
    lets_go = decision.kind == "gone" and decision.object_id is None
    forgotten = known.why == FORGOTTEN  # which stays known where the row leaves, too
    says = decision.object_id if sync.resource in OWN and not forgotten else None  # which contact, whether there is one
    return replace(
        known, hash=planned.hash, state=state, ours=known.ours and not lets_go, seen_at=seen_at,
        object_id=says or known.object_id,
        why=FORGOTTEN if forgotten else decision.why, problems=problems, parent=decision.parent or known.parent,
    )  # fmt: skip


def _base(
    sync: Sync, decision: Decision, before: Row | None, body: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What counts as written last, and as shown of it then: of a field that was not sent, and that Stripe has
    otherwise or does not show now, what was before, so that one that Stripe won stays edited.
    """
    wrote, showed = dict(decision.wanted), showing(sync.resource, decision.wanted, body)
    if before is None:
        return wrote, showed
    sent = flat(decision.payload)
    for name in wrote.keys() & before.wrote.keys() - sent.keys():
        if name not in showed or not is_there(sync.resource, name, wrote[name], showed[name], body):
            wrote[name] = before.wrote[name]
            if name in before.showed:
                showed[name] = before.showed[name]
    return wrote, showed


def _parent(sync: Sync, body: Mapping[str, Any]) -> str | None:
    return id_of(body.get("invoice")) if sync.resource == "invoiceitems" else None
