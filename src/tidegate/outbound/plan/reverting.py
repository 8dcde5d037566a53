"""The way back from a request that was done: what was made is removed, what was changed gets its values from before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tidegate.outbound.fields.shapes import checked
from tidegate.outbound.metering.events import cancellation
from tidegate.outbound.plan import items
from tidegate.outbound.plan.applicable import why_not
from tidegate.outbound.plan.compare import ASKED_ONLY, flat, id_of, listed, nested, same, shown, shows
from tidegate.outbound.plan.decide import ITEMS, Change, Decision
from tidegate.outbound.plan.deletes import deletion
from tidegate.outbound.push.redaction import MARK

Json = Mapping[str, Any]

REMOVE: Json = {"how": "remove", "at": "now", "void": True}
"""How what was made is removed; a customer is not while it has live subscriptions."""
NO_WAY: Mapping[str, str] = {
    "delete": "it was deleted, and Stripe brings back nothing",
    "cancel": "it was canceled, which is for good",
    "void": "it was voided, which is for good",
    "finalize": "it was finalized; what is open can be voided by hand",
    "send": "it was sent",
}
"""Operations that cannot be undone, and why."""
TOO_LATE = "Stripe takes usage back within a day only; a new row with a value below 0 takes away"
NOT_TAKEN = "Stripe takes no such value back"


@dataclass(frozen=True, slots=True)
class Done:
    """A request that was done. `before`: of the fields that it changed; `response`: redacted; `replaced`: the price
    that a new one took the place of; `later`: a later run that wrote the object again; `wrote`: what is remembered as
    sent last; `fresh`: Stripe got it within the last 23 hours.
    """

    key: str
    operation: str
    object_id: str
    params: Json
    before: Json
    response: Json
    replaced: str | None = None
    later: int | None = None
    forgotten: bool = False
    wrote: Json | None = None
    fresh: bool = False


def way_back(resource: str, done: Done, live: Json | None, *, despite_edits: bool = False) -> Decision:
    """What undoes a request: a decision to `revert`, or `nothing`, `skip` (it cannot be undone) and `conflict`
    (somebody, or a later run, changed it since). `live`: the object as the mirror has it; None: it is gone.

    Fields that were edited since stay, and the others go back; `despite_edits` takes all of them back.
    """
    if resource == "meter_events":
        return _uncounted(done)
    if why := NO_WAY.get(done.operation):
        return Decision(done.key, "skip", done.object_id, why=why)
    if live is None:
        made = done.operation in {"create", "replace"}
        return Decision(done.key, "nothing" if made else "skip", done.object_id, why="it is gone in Stripe")
    if done.forgotten:
        return Decision(done.key, "skip", done.object_id, why="the person was forgotten, and with them what was before")
    if done.later is not None and done.operation != "update" and not despite_edits:
        return Decision(done.key, "conflict", done.object_id, why=f"run {done.later} wrote it since")
    match done.operation:
        case "create":
            return _unmade(resource, done, live)
        case "replace":
            return _put_back(done, live)
        case "archive":
            return _again(done, "active", not live.get("active"), True)
        case "end":
            return _again(done, "cancel_at_period_end", bool(live.get("cancel_at_period_end")), False)
        case _:
            return _restored(resource, done, live, despite_edits)


def _unmade(resource: str, done: Done, live: Json) -> Decision:
    found = deletion(resource, done.key, True, done.object_id, live, REMOVE)
    if found.kind != "delete":
        return Decision(done.key, "skip", done.object_id, why=found.why)
    return Decision(done.key, "revert", done.object_id, found.payload, found.changes)


def _uncounted(done: Done) -> Decision:
    """Stripe takes an event back within 24 hours of getting it (the SDK's MeterEventAdjustmentCreateParams.cancel)."""
    if done.operation == "cancel":
        return Decision(done.key, "skip", done.object_id, why="usage that was taken back can only be told as a new row")
    if done.forgotten:
        return Decision(done.key, "skip", done.object_id, why="the person was forgotten")
    if not done.fresh:
        return Decision(done.key, "skip", done.object_id, why=TOO_LATE)
    changes = [Change("object", done.object_id, None)]
    payload = cancellation(str(done.params["event_name"]), done.object_id)
    return Decision(done.key, "revert", done.object_id, payload, changes, wanted=dict(done.wrote or {}))


def _put_back(done: Done, live: Json) -> Decision:
    """The replaced price takes over again; the new one is archived when that is done (`followups.retiring`)."""
    if done.replaced is None:
        return Decision(done.key, "skip", done.object_id, why="which price it replaced is not known any more")
    key = live.get("lookup_key")
    transfers = {"lookup_key": key, "transfer_lookup_key": True} if key else {}
    changes = [Change("object", done.object_id, done.replaced)]
    return Decision(done.key, "revert", done.replaced, {"active": True, **transfers}, changes)


def _again(done: Done, name: str, differs: bool, value: bool) -> Decision:
    if not differs:
        return Decision(done.key, "nothing", done.object_id)
    wanted = dict(done.wrote or {})
    return Decision(done.key, "revert", done.object_id, {name: value}, [Change(name, not value, value)], wanted=wanted)


def _restored(resource: str, done: Done, live: Json, despite_edits: bool) -> Decision:
    """Each changed field as it was before, where it still is what was sent."""
    sent = flat(done.params)
    changes: list[Change] = []
    for name, before in done.before.items():
        has = shown(resource, name, live) if shows(resource, name, live) else (done.wrote or {}).get(name)
        after = shown(resource, name, done.response) if shows(resource, name, done.response) else None
        after = sent.get(name) if after is None or MARK in str(after) else after
        wanted = _written(resource, name, before, sent.get(name), live)
        if name not in ASKED_ONLY[resource] and not same(before if wanted == "" else wanted, has):
            changes.append(Change(name, has, wanted, edited=not same(after, has)))
    kept = [] if despite_edits else [one for one in changes if one.edited]
    back = [one for one in changes if one not in kept]
    since = f"run {done.later} wrote it since" if done.later else "it was edited since"
    why = f"{since}: {', '.join(one.field for one in kept)}" if kept else ""
    if not back:
        return Decision(done.key, "conflict" if kept else "nothing", done.object_id, changes=kept, why=why)
    if cannot := why_not(resource, live, frozenset(one.field.partition(".")[0] for one in back)):
        return Decision(done.key, "skip", done.object_id, changes=back, why=cannot)
    payload, problems = checked(resource, "update", [_payload(resource, back, live, done)])[0]
    if problems:  # a value from before that Stripe takes back no more holds up no other field
        wrong = {one.path.partition(".")[0] for one in problems}
        fit = [one for one in back if one.field.partition(".")[0] not in wrong]
        if not fit:
            return Decision(done.key, "skip", done.object_id, changes=back, why=NOT_TAKEN, problems=problems)
        back = fit
        payload, _ = checked(resource, "update", [_payload(resource, back, live, done)])[0]
    wanted = {**(done.wrote or {}), **{one.field: one.after for one in back}}
    return Decision(done.key, "revert", done.object_id, payload, back, kept, why, problems, wanted)


def _payload(resource: str, back: Sequence[Change], live: Json, done: Done) -> dict[str, Any]:
    """The fields that go back, and what was sent along to say how."""
    how = {name: value for name, value in done.params.items() if name in ASKED_ONLY[resource] and name != "metadata"}
    payload = how | nested({one.field: one.after for one in back})
    if (resource, "items") == ITEMS and "items" in payload:
        payload["items"] = items.updates(payload["items"], listed(live.get("items")))
    return payload


def _written(resource: str, name: str, before: Any, sent: Any, live: Json) -> Any:
    """A value from before as it is written: what was not there is cleared, and of an object only what was sent of it
    is looked at.
    """
    if before is None or before == [] or before == {}:
        return [] if isinstance(sent, list) and name == "items" else ""
    if isinstance(before, Mapping) and isinstance(sent, Mapping):
        was, said = cast("Json", before), cast("Json", sent)
        return {key: _written(resource, key, was.get(key), value, {}) for key, value in said.items()}
    if isinstance(before, Mapping):
        return id_of(before)
    if isinstance(before, Sequence) and not isinstance(before, str):
        there = {id_of(one) for one in listed(live.get(name))}
        return [_entry(one, there) for one in cast("Sequence[Any]", before)]
    return before


def _entry(one: Any, there: set[Any]) -> Any:
    """An entry of a list: by its id where that is still there, a discount by its code or coupon."""
    if not isinstance(one, Mapping):
        return one
    told = {name: value for name, value in cast("Json", one).items() if value is not None}
    if "discount" in told:
        name = next((name for name in ("promotion_code", "coupon") if name in told), "discount")
        return {name: told[name]}
    if "id" in told and told["id"] not in there:
        del told["id"]
    return told
