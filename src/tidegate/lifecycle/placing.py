"""Puts every contact into its stage and segments: one statement finds whose are others now; each has its reason."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, text

from tidegate.conditions.compile import Compiled, compiled
from tidegate.conditions.contact_fields import CONTACTS
from tidegate.conditions.explain import explained, questions, reasons
from tidegate.conditions.nodes import Node
from tidegate.delivery.outbox import EventType, Told, tell
from tidegate.lifecycle import newcomers
from tidegate.lifecycle.rules import Rule, read
from tidegate.store.planning import BY_INDEX, planned

Because = Literal["facts", "rules", "begin"]
"""Why somebody moves: the contact changed, the rules did, or it is placed for the first time without being new
(`newcomers`), or by an import.
"""
NOBODY: Mapping[int, Because] = {}
BATCH = 2_000
"""Contacts whose reasons are asked for at once."""
CHUNK = 50_000
"""Contacts that are held in memory while all are placed."""


@dataclass(frozen=True, slots=True)
class Move:
    """A contact (internal key) whose stage ("": none yet) or segments are others than those that are kept."""

    contact: int
    before: str
    stage: str
    segments_before: frozenset[str]
    segments: frozenset[str]

    @property
    def entered(self) -> list[tuple[str, str]]:
        """What it comes into: (stage or segment, key)."""
        new = [("segment", key) for key in sorted(self.segments - self.segments_before)]
        return [*([("stage", self.stage)] if self.stage != self.before else []), *new]

    @property
    def left(self) -> list[tuple[str, str]]:
        """What it was in."""
        old = [("segment", key) for key in sorted(self.segments_before - self.segments)]
        return [*([("stage", self.before)] if self.before and self.stage != self.before else []), *old]


@dataclass(frozen=True, slots=True)
class Rules:
    """Stages, in their order, and segments, both sound (`rules.wrong_stages`, `rules.wrong_segments`)."""

    stages: Sequence[Rule]
    segments: Sequence[Rule]


@dataclass(slots=True)
class _Placed:
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    stage: str = ""
    segments: str = ""


def _placed(rules: Rules) -> _Placed:
    into = _Placed()
    branches: list[str] = []
    default = ""
    for place, rule in enumerate(rules.stages):
        into.values[f"stage{place}"] = rule.key
        if rule.when is None:
            default = f"cast(:stage{place} as text)"
        else:
            branches.append(f"when {_holds(rule, f's{place}_', into)} then cast(:stage{place} as text)")
    into.stage = f"case {' '.join(branches)} else {default} end" if branches else default
    belongs: list[str] = []
    for place, rule in enumerate(sorted(rules.segments)):
        into.values[f"segment{place}"] = rule.key
        belongs.append(f"case when {_holds(rule, f'g{place}_', into)} then cast(:segment{place} as text) end")
    into.segments = f"array_remove(cast(array[{', '.join(belongs)}] as text[]), null)"
    return into


def _holds(rule: Rule, prefix: str, into: _Placed) -> str:
    made = compiled(read(rule)[0], prefix)
    into.values |= made.values
    return made.sql


def moves(
    db: Connection,
    rules: Rules,
    as_of: datetime,
    contacts: Sequence[int] | None = None,
    *,
    after: int = 0,
    limit: int | None = None,
) -> list[Move]:
    """Who belongs elsewhere than where it is kept: of these contacts (internal keys), or of all; in the order of the
    keys, `limit` of them at most, those that come `after` a key.
    """
    among = "and c.key > :after" + ("" if contacts is None else " and c.key = any(cast(:contacts as bigint[]))")
    placed = _placed(rules)
    found = db.execute(
        text(f"""
select * from (
  select c.key as contact, coalesce(l.stage, '') as before, {placed.stage} as stage,
    coalesce(l.segments, '{{}}') as segments_before, {placed.segments} as segments {CONTACTS} {among}) n
where before <> stage or segments_before <> segments order by contact limit cast(:limit as bigint)"""),
        placed.values
        | {"as_of": as_of, "contacts": None if contacts is None else list(contacts), "after": after, "limit": limit},
    )
    return [
        Move(row.contact, row.before, row.stage, frozenset(row.segments_before), frozenset(row.segments))
        for row in found
    ]


def begun(db: Connection) -> bool:
    """Whether anybody was placed yet."""
    return bool(db.scalar(text("select exists (select from tidegate.contact_lifecycle where stage is not null)")))


def place(
    db: Connection, rules: Rules, as_of: datetime, untold: Mapping[int, Because] = NOBODY
) -> tuple[int, set[int]]:
    """Brings everybody to where it belongs, because of the facts; returns how many moved, and whom of them (internal
    keys) nobody is told of: those whom an import or other rules of what they are worth move (`untold`: by what), and
    who came with a past.
    """
    moved, silent = 0, {*untold}
    for found in by_chunks(db, rules, as_of):
        late = {one.contact for one in found if not one.before and one.contact not in untold}
        late -= newcomers.among(db, late, as_of)
        silent |= late
        carry_out(db, rules, found, as_of, "facts", {**dict.fromkeys(late, "begin"), **untold})
        moved += len(found)
    return moved, silent


def by_chunks(db: Connection, rules: Rules, as_of: datetime) -> Iterator[list[Move]]:
    """All `moves`, so many at a time as memory is to hold. Each chunk may be carried out before the next is asked
    for.
    """
    after = 0
    while found := moves(db, rules, as_of, after=after, limit=CHUNK):
        after, whole = found[-1].contact, len(found) == CHUNK
        yield found
        if not whole:
            break


def carry_out(
    db: Connection,
    rules: Rules,
    found: Sequence[Move],
    as_of: datetime,
    because: Because,
    untold: Mapping[int, Because] = NOBODY,
) -> None:
    """Writes the moves: stage and segments, what was before into history, and why; told to the outbox where facts and
    not rules moved somebody who had a place before. `untold`: those (internal keys) whom something else moves, by what.
    """
    with planned(db, BY_INDEX):
        for at in range(0, len(found), BATCH):
            _carry_out(db, rules, found[at : at + BATCH], as_of, because, untold)


def _carry_out(
    db: Connection, rules: Rules, some: Sequence[Move], as_of: datetime, because: Because, untold: Mapping[int, Because]
) -> None:
    why = _reasons(db, rules, some, as_of)
    entered = [(one, kind, key) for one in some for kind, key in one.entered]
    left = [(one, kind, key) for one in some for kind, key in one.left]
    left_because = [_cause(one, because, untold) for one, _, _ in left]
    db.execute(_LEAVE, _columns(left) | {"because": left_because, "as_of": as_of})
    reasons_of = [json.dumps(why[one.contact, kind, key]) for one, kind, key in entered]
    causes = [_cause(one, because, untold) for one, _, _ in entered]
    db.execute(_ENTER, _columns(entered) | {"reasons": reasons_of, "because": causes, "as_of": as_of})
    stands: dict[str, list[Any]] = {
        "contacts": [one.contact for one in some],
        "stages": [one.stage for one in some],
        "segments": [json.dumps(sorted(one.segments)) for one in some],
    }
    db.execute(_STAND, stands)
    if because == "facts":
        tell(db, [told for one in some if _cause(one, because, untold) == "facts" for told in _told(one, why)])


def _cause(one: Move, because: Because, untold: Mapping[int, Because]) -> Because:
    if because == "facts" and one.contact not in untold:
        return "facts"
    if not one.before:
        return "begin"
    return untold[one.contact] if because == "facts" else because


def _columns(moved: Sequence[tuple[Move, str, str]]) -> dict[str, list[Any]]:
    return {
        "contacts": [one.contact for one, _, _ in moved],
        "kinds": [kind for _, kind, _ in moved],
        "keys": [key for _, _, key in moved],
    }


def _told(one: Move, why: Mapping[tuple[int, str, str], list[str]]) -> list[Told]:
    told: list[Told] = []
    if one.stage != one.before:
        reason = why[one.contact, "stage", one.stage]
        told.append(Told("stage.changed", {"before": one.before, "now": one.stage, "reasons": reason}, one.contact))
    for kind, key in one.left:
        if kind == "segment":
            told.append(Told("segment.left", {"segment": key}, one.contact))
    for kind, key in one.entered:
        if kind == "segment":
            event: EventType = "segment.entered"
            told.append(Told(event, {"segment": key, "reasons": why[one.contact, kind, key]}, one.contact))
    return told


def _reasons(
    db: Connection, rules: Rules, found: Sequence[Move], as_of: datetime
) -> dict[tuple[int, str, str], list[str]]:
    """Why each comes to where it comes: the tests that made it hold; for the default stage that no other does."""
    why: dict[tuple[int, str, str], list[str]] = {}
    known = {("stage", rule.key): rule for rule in rules.stages} | {("segment", one.key): one for one in rules.segments}
    for kind, key in sorted({place for one in found for place in one.entered}):
        theirs = [one.contact for one in found if (kind, key) in one.entered]
        rule = known[kind, key]
        if rule.when is None:
            why |= {(contact, kind, key): ["no other stage holds"] for contact in theirs}
            continue
        told = asked(db, read(rule)[0], theirs, as_of)
        why |= {(contact, kind, key): reasons(told[contact]) for contact in theirs}
    return why


def asked(db: Connection, node: Node, contacts: Sequence[int], as_of: datetime) -> dict[int, dict[str, Any]]:
    """A condition as a tree for each of these contacts (internal keys): `conditions.explain.explained`."""
    asking: Compiled = questions(node)
    rows = db.execute(
        text(f"select c.key as contact, {asking.sql} {CONTACTS} and c.key = any(cast(:contacts as bigint[]))"),
        asking.values | {"as_of": as_of, "contacts": list(contacts)},
    ).mappings()
    return {row["contact"]: explained(node, dict(row)) for row in rows}


def forget(db: Connection, contacts: Sequence[int]) -> int:
    """Takes contacts (internal keys) that were forgotten out of stages and segments, of which nobody is told; returns
    how many places they leave.
    """
    values = {"contacts": list(contacts)}
    db.execute(_UNPLACE, values)
    return db.execute(_LEAVE_ALL, values).rowcount


_UNPLACE = text("""
update tidegate.contact_lifecycle set stage = null, segments = '{}', updated_at = clock_timestamp()
where contact = any(cast(:contacts as bigint[])) and (stage is not null or segments <> '{}')""")

_LEAVE_ALL = text("""
update tidegate.memberships set left_at = clock_timestamp(), left_because = 'begin'
where contact = any(cast(:contacts as bigint[])) and left_at is null""")

_LEAVE = text("""
update tidegate.memberships m set left_at = :as_of, left_because = left_.because
from unnest(cast(:contacts as bigint[]), cast(:kinds as text[]), cast(:keys as text[]), cast(:because as text[]))
  as left_(contact, kind, key, because)
where m.contact = left_.contact and m.kind = left_.kind and m.key = left_.key and m.left_at is null""")

_ENTER = text("""
insert into tidegate.memberships (contact, kind, key, entered_at, reasons, because)
select contact, kind, key, :as_of, reasons, because
from unnest(cast(:contacts as bigint[]), cast(:kinds as text[]), cast(:keys as text[]), cast(:reasons as jsonb[]),
  cast(:because as text[])) as entered(contact, kind, key, reasons, because)
order by contact, kind, key""")

_STAND = text("""
insert into tidegate.contact_lifecycle (contact, stage, segments)
select contact, stage, array(select jsonb_array_elements_text(segments))
from unnest(cast(:contacts as bigint[]), cast(:stages as text[]), cast(:segments as jsonb[]))
  as stands(contact, stage, segments)
order by contact
on conflict (contact) do update set stage = excluded.stage, segments = excluded.segments,
  updated_at = clock_timestamp()""")
