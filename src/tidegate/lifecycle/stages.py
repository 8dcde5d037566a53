"""Puts every contact into its stage: one statement finds whose is another now, with history and the reason for each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, text

from tidegate.conditions.compile import Compiled, compiled
from tidegate.conditions.contact_fields import CONTACTS
from tidegate.conditions.explain import explained, questions, reasons
from tidegate.conditions.nodes import Node
from tidegate.lifecycle.rules import Rule, read

Because = Literal["facts", "rules", "begin"]
BATCH = 2_000
"""Contacts whose reasons are asked for at once."""


@dataclass(frozen=True, slots=True)
class Move:
    """A contact (internal key) that comes from one stage ("": none yet) to another."""

    contact: int
    before: str
    stage: str


@dataclass(slots=True)
class Staged:
    """The stages as one expression, and their conditions."""

    rules: Sequence[Rule]
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    expression: Compiled = field(default_factory=Compiled)


def staged(rules: Sequence[Rule]) -> Staged:
    """The stages, in their order, as one SQL expression that is never null. They are sound (`rules.wrong_stages`)."""
    into = Staged(rules, {rule.key: read(rule)[0] for rule in rules})
    branches: list[str] = []
    for place, rule in enumerate(rules):
        into.expression.values[f"key{place}"] = rule.key
        if rule.when is None:
            continue
        made = compiled(into.nodes[rule.key], f"s{place}_")
        into.expression.values |= made.values
        branches.append(f"when {made.sql} then cast(:key{place} as text)")
    default = next(place for place, rule in enumerate(rules) if rule.when is None)
    into.expression.sql = (
        f"case {' '.join(branches)} else cast(:key{default} as text) end"
        if branches
        else f"cast(:key{default} as text)"
    )
    return into


def moves(db: Connection, stages: Staged, as_of: datetime, contacts: Sequence[int] | None = None) -> list[Move]:
    """Who is in another stage than the one that is kept: of these contacts (internal keys), or of all."""
    among = "" if contacts is None else "and c.key = any(cast(:contacts as bigint[]))"
    found = db.execute(
        text(f"""
select contact, before, stage from (
  select c.key as contact, coalesce(l.stage, '') as before, {stages.expression.sql} as stage {CONTACTS} {among}) n
where before <> stage order by contact"""),
        stages.expression.values | {"as_of": as_of, "contacts": None if contacts is None else list(contacts)},
    )
    return [Move(row.contact, row.before, row.stage) for row in found]


def carry_out(db: Connection, stages: Staged, found: Sequence[Move], as_of: datetime, because: Because) -> None:
    """Writes the moves: the stage, what was before into history, and why."""
    for at in range(0, len(found), BATCH):
        some = found[at : at + BATCH]
        why = _reasons(db, stages, some, as_of)
        values = {
            "contacts": [one.contact for one in some],
            "stages": [one.stage for one in some],
            "reasons": [json.dumps(why[one.contact]) for one in some],
            "as_of": as_of,
            "because": because,
        }
        for statement in (_LEAVE, _ENTER, _STAND):
            db.execute(statement, values)


def _reasons(db: Connection, stages: Staged, found: Sequence[Move], as_of: datetime) -> dict[int, list[str]]:
    """Why each is where it comes to: the tests that made its stage hold; for the default that no other does."""
    why: dict[int, list[str]] = {}
    for stage in {one.stage for one in found}:
        theirs = [one.contact for one in found if one.stage == stage]
        rule = next(rule for rule in stages.rules if rule.key == stage)
        if rule.when is None:
            why |= {contact: ["no other stage holds"] for contact in theirs}
            continue
        why |= {contact: reasons(told) for contact, told in asked(db, stages.nodes[stage], theirs, as_of).items()}
    return why


def asked(db: Connection, node: Node, contacts: Sequence[int], as_of: datetime) -> dict[int, dict[str, Any]]:
    """A condition as a tree for each of these contacts (internal keys): `conditions.explain.explained`."""
    asking = questions(node)
    rows = db.execute(
        text(f"select c.key as contact, {asking.sql} {CONTACTS} and c.key = any(cast(:contacts as bigint[]))"),
        asking.values | {"as_of": as_of, "contacts": list(contacts)},
    ).mappings()
    return {row["contact"]: explained(node, dict(row)) for row in rows}


_LEAVE = text("""
update tidegate.memberships set left_at = :as_of
where contact = any(cast(:contacts as bigint[])) and kind = 'stage' and left_at is null""")

_ENTER = text("""
insert into tidegate.memberships (contact, kind, key, entered_at, reasons, because)
select contact, 'stage', stage, :as_of, reasons, :because
from unnest(cast(:contacts as bigint[]), cast(:stages as text[]), cast(:reasons as jsonb[]))
  as moved(contact, stage, reasons)
order by contact""")

_STAND = text("""
insert into tidegate.contact_lifecycle (contact, stage)
select * from unnest(cast(:contacts as bigint[]), cast(:stages as text[])) as moved(contact, stage) order by contact
on conflict (contact) do update set stage = excluded.stage, updated_at = clock_timestamp()""")
