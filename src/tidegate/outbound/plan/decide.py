"""What is to be done with a row: created, updated field by field, left, skipped, held, or refused, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

from tidegate.outbound.fields.catalogue import create_only
from tidegate.outbound.fields.problems import Problem
from tidegate.outbound.plan import items
from tidegate.outbound.plan.applicable import why_not
from tidegate.outbound.plan.compare import ALONG, ASKED_ONLY, flat, listed, nested, same, shown, shows

Json = Mapping[str, Any]
ITEMS = ("subscriptions", "items")
Mode = Literal["upsert", "update", "insert"]
Winner = Literal["warehouse", "stripe", "flag"]
Kind = Literal["create", "update", "delete", "nothing", "skip", "held", "conflict", "invalid", "gone",
               "replace", "retire", "finish", "revert"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Terms:
    """Of a sync, what a decision depends on. `settable`: an object can be made under the id that it is matched by;
    `replaces`: what cannot be changed of a price is made anew, and the price archived.
    """

    resource: str
    mode: Mode = "upsert"
    winner: Winner = "warehouse"
    matched_by_id: bool = False
    settable: bool = False
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """What was written of a row last, and what Stripe showed of it then, by the names of `compare.flat`."""

    wrote: Json
    showed: Json


@dataclass(frozen=True, slots=True)
class Asked:
    """A row, filled and checked. `ids`: the live objects that it matches; `live`: the one, as the mirror has it.

    `gone`: the object that this row was before was deleted in Stripe; `forgotten`: it is of a person who is to be known
    no more. `twins`: the keys of rows that are, or would be, the same object, where it was not sent yet.
    `parent`: of an invoice item: its invoice.
    """

    key: str
    create: Json = field(default_factory=dict[str, Any])
    update: Json = field(default_factory=dict[str, Any])
    problems_of_create: Sequence[Problem] = ()
    problems_of_update: Sequence[Problem] = ()
    waits: Sequence[str] = ()
    ids: Sequence[str] = ()
    live: Json | None = None
    sent: Sent | None = None
    gone: bool = False
    forgotten: bool = False
    twins: Sequence[str] = ()
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A field that is to be written; `edited`: somebody changed it in Stripe since it was sent last."""

    field: str
    before: Any
    after: Any
    edited: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done with a row. `payload`: what is sent; `kept`: fields that stay as Stripe has them; `wanted`:
    all that the row says, by the names of `compare.flat`; `parent`: of an invoice item its invoice, sent or not.
    """

    key: str
    kind: Kind
    object_id: str | None = None
    payload: Json = field(default_factory=dict[str, Any])
    changes: Sequence[Change] = ()
    kept: Sequence[Change] = ()
    why: str = ""
    problems: Sequence[Problem] = ()
    wanted: Json = field(default_factory=dict[str, Any])
    parent: str | None = None


def decide(terms: Terms, row: Asked) -> Decision:
    """What is to be done with a row."""
    said, asked_only = flat(row.update), ASKED_ONLY[terms.resource]
    wanted = {name: value for name, value in said.items() if name not in asked_only}
    return replace(_decide(terms, row, said), wanted=wanted, parent=row.parent)


def _decide(terms: Terms, row: Asked, said: Json) -> Decision:
    if row.forgotten:
        return Decision(row.key, "skip", row.ids[0] if row.ids else None, why="the person was forgotten")
    if row.twins:
        others = [key for key in row.twins if key != row.key]
        shown = f"{', '.join(others[:5])}{' and others' if len(others) > 5 else ''}"
        return Decision(row.key, "invalid", why=f"it would be the same object in Stripe as row {shown}")
    if len(row.ids) > 1:
        return Decision(row.key, "invalid", why=f"several live objects match: {', '.join(row.ids)}")
    if row.live is not None:
        return _matched(terms, row, said, row.live)
    if row.gone and terms.winner != "warehouse":
        return Decision(row.key, "conflict", why="it was deleted in Stripe")
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
    if fixed:
        return Decision(row.key, "invalid", id_, problems=fixed)
    found = list(_changes(terms.resource, row.sent, said, live))
    edited = [one for one in found if one.edited]
    if edited and terms.winner == "flag":
        return Decision(row.key, "conflict", id_, changes=found, why=_edited(edited))
    kept = edited if terms.winner == "stripe" else []
    changes = [one for one in found if one not in kept]
    if not changes:
        return Decision(row.key, "nothing", id_, kept=kept)
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
    """Fields that can be given when an object is made and never changed, and that differ now."""
    if not row.create:
        return []
    names = create_only(terms.resource) - ASKED_ONLY[terms.resource]
    return [
        Problem(name, f"it cannot be changed any more; Stripe has {shown(terms.resource, name, live)!r}", value)
        for name, value in row.create.items()
        if name in names and shows(terms.resource, name, live) and not same(value, shown(terms.resource, name, live))
    ]


def _changes(resource: str, sent: Sent | None, said: Json, live: Json) -> Iterator[Change]:
    asked_only = ASKED_ONLY[resource]
    for name, wanted in said.items():
        has = shown(resource, name, live)
        if name in asked_only or _is_there(resource, name, wanted, has, live):
            continue
        if sent is None or name not in sent.wrote:
            yield Change(name, has, wanted)
            continue
        edited = not same(sent.showed.get(name), has)
        if edited or not same(wanted, sent.wrote[name]):  # else Stripe writes it otherwise than it was sent
            yield Change(name, has if shows(resource, name, live) else sent.wrote[name], wanted, edited)


def _is_there(resource: str, name: str, wanted: Any, has: Any, live: Json) -> bool:
    if (resource, name) == ITEMS:
        return not items.updates(wanted, listed(live.get("items")))
    return same(wanted, has)


def _payload(resource: str, said: Json, live: Json, changes: Sequence[Change]) -> dict[str, Any]:
    """What is sent of a change: the fields that differ, and those that only tell how."""
    names = {one.field for one in changes}
    names |= {name for name, with_ in _along(resource) if names & with_}
    payload = nested({name: value for name, value in said.items() if name in names})
    if (resource, "items") == ITEMS and "items" in payload:
        payload["items"] = items.updates(payload["items"], listed(live.get("items")))
    return payload


@cache
def _along(resource: str) -> Sequence[tuple[str, frozenset[str]]]:
    return [(name, with_) for (of, name), with_ in ALONG.items() if of == resource]


def showing(resource: str, wanted: Json, live: Json) -> dict[str, Any]:
    """What an object shows of what is wanted of it (`Decision.wanted`): what `Sent.showed` keeps."""
    return {name: shown(resource, name, live) for name in wanted}


def _edited(changes: Sequence[Change]) -> str:
    return f"edited in Stripe since it was sent: {', '.join(one.field for one in changes)}"
