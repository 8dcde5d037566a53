"""What is to be done with a row: created, updated field by field, left, skipped, held, or refused, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

from tidegate.outbound.fields.catalogue import create_only
from tidegate.outbound.fields.problems import Problem
from tidegate.outbound.fields.rules import UNPRORATED
from tidegate.outbound.plan import compare, items
from tidegate.outbound.plan.applicable import is_over, why_not
from tidegate.outbound.plan.compare import ALONG, ASKED_ONLY, BILLED, flat, listed, nested, same, shown, shows

Json = Mapping[str, Any]
NOTHING: Json = {}
REMOVED = "(removed)"
"""Under which name `Sent.wrote` keeps how this sync removed a row's object when the row left: archive, end, …"""
REVIVED: Mapping[str, tuple[str, bool]] = {
    "products": ("active", True), "prices": ("active", True), "subscriptions": ("cancel_at_period_end", False),
}  # fmt: skip
"""What makes an object again what it was before it was archived, or set to end."""
DELETED = "it was deleted in Stripe"
FORGOTTEN = "the person was forgotten"
ITEMS = ("subscriptions", "items")
Mode = Literal["upsert", "update", "insert"]
Winner = Literal["warehouse", "stripe", "flag"]
Kind = Literal["create", "update", "delete", "nothing", "skip", "held", "conflict", "invalid", "gone",
               "replace", "retire", "finish", "revert"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Terms:
    """Of a sync, what a decision depends on. `settable`: an object can be made under the id that it is matched by;
    `replaces`: what cannot be changed of a price is made anew, and the price archived. `mark`: the field that rows are
    matched by, where the field map does not fill it: it follows the row, and is not held against what Stripe has.
    """

    resource: str
    mode: Mode = "upsert"
    winner: Winner = "warehouse"
    matched_by_id: bool = False
    settable: bool = False
    replaces: bool = False
    mark: str = ""


class Sent(NamedTuple):
    """What was written of a row last, and what Stripe showed of it then, by the names of `compare.flat`."""

    wrote: Json
    showed: Json


class Asked(NamedTuple):
    """A row, filled and checked. `ids`: the live objects that it matches; `live`: the one, as the mirror has it.

    `gone`: the object that this row was before was deleted in Stripe, and no other matches; `back`: how this sync
    removed the object while the row was away; `forgotten`: it is of a person who is to be known no more. `twins`: the
    keys of rows that are, or would be, the same object, where it was not sent yet. `parent`: of an invoice item: its
    invoice. `unreadable`: columns whose values cannot be told, so that nothing can be said of the row.
    """

    key: str
    create: Json = NOTHING
    update: Json = NOTHING
    problems_of_create: Sequence[Problem] = ()
    problems_of_update: Sequence[Problem] = ()
    waits: Sequence[str] = ()
    ids: Sequence[str] = ()
    live: Json | None = None
    sent: Sent | None = None
    gone: bool = False
    back: str = ""
    forgotten: bool = False
    twins: Sequence[str] = ()
    parent: str | None = None
    unreadable: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A field that is to be written; `edited`: somebody changed it in Stripe since it was sent last."""

    field: str
    before: Any
    after: Any
    edited: bool = False


class Decision(NamedTuple):
    """What is to be done with a row. `payload`: what is sent; `kept`: fields that stay as Stripe has them; `wanted`:
    all that the row says, by the names of `compare.flat`; `parent`: of an invoice item its invoice, sent or not.
    """

    key: str
    kind: Kind
    object_id: str | None = None
    payload: Json = NOTHING
    changes: Sequence[Change] = ()
    kept: Sequence[Change] = ()
    why: str = ""
    problems: Sequence[Problem] = ()
    wanted: Json = NOTHING
    parent: str | None = None


def decide(terms: Terms, row: Asked) -> Decision:
    """What is to be done with a row."""
    said = flat(row.update)
    made, wanted = _decide(terms, row, said), _wanted(terms.resource, row.create, said)
    return Decision(  # `_replace` takes as long as all else
        made.key, made.kind, made.object_id, made.payload, made.changes, made.kept, made.why, made.problems, wanted,
        row.parent,
    )  # fmt: skip


def _wanted(resource: str, create: Json, said: Json) -> Json:
    """All that a row says, but for what an object never shows."""
    if create:
        fixed = create_only(resource)
        once = {name: value for name, value in create.items() if name in fixed}  # else it is not known next time
        said = {**once, **said}
    asked_only = ASKED_ONLY[resource]
    return said if asked_only.isdisjoint(said) else {k: v for k, v in said.items() if k not in asked_only}


def _decide(terms: Terms, row: Asked, said: Json) -> Decision:
    if row.forgotten:
        return Decision(row.key, "skip", row.ids[0] if row.ids else None, why=FORGOTTEN)
    if row.unreadable:
        return Decision(row.key, "invalid", problems=row.unreadable)
    if row.twins:
        others = [key for key in row.twins if key != row.key]
        shown = f"{', '.join(others[:5])}{' and others' if len(others) > 5 else ''}"
        return Decision(row.key, "invalid", why=f"it would be the same object in Stripe as row {shown}")
    if len(row.ids) > 1:
        return Decision(row.key, "invalid", why=f"several live objects match: {', '.join(row.ids)}")
    if row.live is not None:
        return _matched(terms, row, said, row.live)
    if row.gone and terms.winner == "flag":
        return Decision(row.key, "conflict", why=DELETED)
    if row.gone and terms.winner == "stripe":
        return Decision(row.key, "skip", why=DELETED)
    if terms.mode == "update":
        return Decision(row.key, "skip", why="nothing in Stripe matches it")
    if terms.matched_by_id and not terms.settable:
        return Decision(row.key, "invalid", why="Stripe has no such id, and gives ids itself")
    if row.problems_of_create:
        return Decision(row.key, "invalid", problems=row.problems_of_create)
    if row.waits:
        return Decision(row.key, "held", why=f"waits for {', '.join(row.waits)}")
    changes = [Change(name, None, value) for name, value in row.create.items()]
    return Decision(row.key, "create", payload=row.create, changes=changes)


def _matched(terms: Terms, row: Asked, said: Json, live: Json) -> Decision:
    id_ = str(live["id"])
    if terms.mode == "insert":
        return Decision(row.key, "skip", id_, why="Stripe has it already")
    if row.problems_of_update:
        return Decision(row.key, "invalid", id_, problems=row.problems_of_update)
    if row.waits:
        return Decision(row.key, "held", id_, why=f"waits for {', '.join(row.waits)}")
    fixed = _fixed(terms, row, live)
    if fixed and terms.replaces:
        return _replacement(row, live)
    if fixed and is_over(terms.resource, live):  # nothing of it can be changed any more, whatever the row says
        return Decision(row.key, "skip", id_, why=why_not(terms.resource, live, frozenset(one.path for one in fixed)))
    if fixed:
        return Decision(row.key, "invalid", id_, problems=fixed)
    found = _changes(terms, row.sent, said, live)
    if row.back:
        found = [*_revived(terms.resource, row, said, live), *found]
    edited = [one for one in found if one.edited]
    if edited and terms.winner == "flag":
        return Decision(row.key, "conflict", id_, changes=found, why=_edited(edited))
    kept = edited if terms.winner == "stripe" else []
    changes = [one for one in found if one not in kept] if kept else found
    if not changes:
        return Decision(row.key, "nothing", id_, kept=kept)
    if wrong := _unprorated(terms.resource, said, changes):
        return Decision(row.key, "invalid", id_, problems=wrong)
    if why := why_not(terms.resource, live, frozenset(one.field.partition(".")[0] for one in changes)):
        return Decision(row.key, "skip", id_, changes=changes, kept=kept, why=why)
    return Decision(row.key, "update", id_, _payload(terms.resource, said, live, changes), changes, kept)


def _replacement(row: Asked, live: Json) -> Decision:
    """A new price in the place of one, whose lookup key it takes over.

    Source: docs.stripe.com/products-prices/manage-prices.
    """
    id_ = str(live["id"])
    if row.problems_of_create:
        return Decision(row.key, "invalid", id_, problems=row.problems_of_create)
    changes = [
        Change(name, shown("prices", name, live), value)
        for name, value in row.create.items()
        if not same(value, shown("prices", name, live))
    ]
    transfers = {"transfer_lookup_key": True} if row.create.get("lookup_key") else {}
    return Decision(row.key, "replace", id_, {**row.create, **transfers}, changes)


def _fixed(terms: Terms, row: Asked, live: Json) -> list[Problem]:
    """Fields that can be given when an object is made and never changed, and that differ now. What the row says as it
    did when it was sent is no difference: Stripe moves some by itself, as it does a subscription's billing anchor.
    """
    if not row.create:
        return []
    names = create_only(terms.resource) - ASKED_ONLY[terms.resource]
    wrote: Json = row.sent.wrote if row.sent else {}
    return [
        Problem(name, f"it cannot be changed any more; Stripe has {shown(terms.resource, name, live)!r}", value)
        for name, value in row.create.items()
        if name in names
        and shows(terms.resource, name, live)
        and not same(value, shown(terms.resource, name, live))
        and not (name in wrote and same(value, wrote[name]))
    ]


def _unprorated(resource: str, said: Json, changes: Sequence[Change]) -> list[Problem]:
    """What Stripe would prorate in its own way, for the row does not say how."""
    if resource != "subscriptions" or said.get("proration_behavior"):
        return []
    billed = [one.field for one in changes if one.field in said and one.field in BILLED]
    if not billed:
        return []
    return [Problem("proration_behavior", UNPRORATED.format(", ".join(billed)))]


def _revived(resource: str, row: Asked, said: Json, live: Json) -> Iterator[Change]:
    """What takes back that this sync archived an object, or set it to end, while its row was away."""
    name, value = REVIVED.get(resource, ("", False))
    if row.back in {"archive", "end"} and name not in said and live.get(name) is (not value):
        yield Change(name, not value, value)


def _changes(terms: Terms, sent: Sent | None, said: Json, live: Json) -> list[Change]:
    resource, asked_only, showing = terms.resource, ASKED_ONLY[terms.resource], compare.showing(terms.resource)
    wrote, showed = (sent.wrote, sent.showed) if sent else (NOTHING, NOTHING)
    found: list[Change] = []
    for name, wanted in said.items():
        if name == terms.mark and (name not in wrote or same(wanted, wrote[name])):
            continue
        has = live.get(name) if (tell := showing[name]) is None else tell(live)
        # Most are the very same, and a call for each field of each row takes longer than all else that is done here.
        if (wanted == has and type(wanted) is type(has)) or name in asked_only:
            continue
        if is_there(resource, name, wanted, has, live):
            continue
        if name not in wrote:
            found.append(Change(name, has, wanted))
            continue
        # What Stripe's answer did not show is held against what the mirror has once it is looked at.
        shown_now = shows(resource, name, live)
        edited = shown_now and name in showed and not same(showed[name], has)
        if edited or not same(wanted, wrote[name]):  # else Stripe writes it otherwise than it was sent
            found.append(Change(name, has if shown_now else wrote[name], wanted, edited))
    return found


def is_there(resource: str, name: str, wanted: Any, has: Any, live: Json) -> bool:
    """Whether an object has what is wanted of a field; `has`: what it shows of it."""
    if (resource, name) == ITEMS:
        return not items.updates(wanted, listed(live.get("items")))
    return same(wanted, has)


def _payload(resource: str, said: Json, live: Json, changes: Sequence[Change]) -> dict[str, Any]:
    """What is sent of a change: the fields that differ, and those that only tell how."""
    sent = {one.field: said.get(one.field, one.after) for one in changes}  # what is taken back, the row says not
    for name, with_ in _along(resource):
        if name in said and not with_.isdisjoint(sent):
            sent[name] = said[name]
    payload = nested(sent)
    if (resource, "items") == ITEMS and "items" in payload:
        payload["items"] = items.updates(payload["items"], listed(live.get("items")))
    return payload


@cache
def _along(resource: str) -> Sequence[tuple[str, frozenset[str]]]:
    return [(name, with_) for (of, name), with_ in ALONG.items() if of == resource]


def showing(resource: str, wanted: Json, live: Json) -> dict[str, Any]:
    """What an object shows of what is wanted of it (`Decision.wanted`): what `Sent.showed` keeps. What it does not show
    at all is left out.
    """
    return {name: shown(resource, name, live) for name in wanted if shows(resource, name, live)}


def _edited(changes: Sequence[Change]) -> str:
    return f"edited in Stripe since it was sent: {', '.join(one.field for one in changes)}"
