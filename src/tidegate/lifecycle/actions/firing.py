"""Fires actions, in the caller's transaction: what is decided, and what is due to destinations, exist together."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from tidegate.conditions.compile import Compiled, value
from tidegate.conditions.contact_fields import CONTACT_FIELDS, CONTACTS
from tidegate.conditions.parse import parse
from tidegate.delivery import suppressed_properties, templates
from tidegate.delivery.hidden import Hidden
from tidegate.delivery.outbox import Addressed, tell_addressed
from tidegate.delivery.shapes import instant
from tidegate.errors import DestinationInvalid
from tidegate.lifecycle.actions import happened, stored, wording
from tidegate.lifecycle.actions.deciding import Decision, decide
from tidegate.lifecycle.actions.goals import at_stake
from tidegate.lifecycle.actions.spec import KINDS, Action, Candidate
from tidegate.lifecycle.actions.stored import Stored
from tidegate.lifecycle.placing import asked
from tidegate.lifecycle.rules import named

BATCH = 1_000
AT_ONCE = 20_000
"""Occurrences that are decided in one transaction."""


@dataclass(slots=True)
class Fired:
    """How many occurrences fired, were held out, were passed over, and could not be told of."""

    fired: int = 0
    held_out: int = 0
    passed: int = 0
    failed: int = 0


def fire(db: Connection, one: Stored, as_of: datetime, at_once: int = AT_ONCE) -> tuple[Fired, bool]:
    """Decides what happened since it looked last, `at_once` at most; returns also whether there may be more. Whoever
    holds `rulebook.lock` calls it, and nobody else.
    """
    done = Fired()
    action = one.action
    if action is None:
        return done, False
    found = happened.news(db, one.key, action.on, since=one.since, seen=one.seen, as_of=as_of, limit=at_once)
    for at in range(0, len(found), BATCH):
        decided = decisions(db, action, one.seed, found[at : at + BATCH], as_of)
        _carry_out(db, action, decided, as_of, done)
    more = len(found) == at_once
    if not more:
        stored.looked(db, one.key, as_of)
    return done, more


def begin(db: Connection, one: Stored, as_of: datetime) -> int:
    """Notes for whom what it waits for has come already: it does not fire for them. Returns how many they are."""
    if one.action is None or KINDS[one.action.on.kind].takes != "days":
        return 0
    return happened.pass_over(db, one.key, one.action.on, as_of)


def decisions(
    db: Connection, action: Action, seed: str, found: Sequence[Candidate], as_of: datetime, *, dry: bool = False
) -> list[Decision]:
    """What becomes of what happened. `dry`: as if nothing of it had been decided before, each at its own time."""
    contacts = sorted({one.contact for one in found})
    told = None
    if action.when is not None:
        node, _ = parse(action.when, CONTACT_FIELDS, named())
        told = asked(db, node, contacts, as_of)
    fired: dict[int, datetime] = {}
    if action.cooldown_days and not dry:
        since = as_of - timedelta(days=action.cooldown_days)
        values = {"action": action.key, "contacts": contacts, "since": since}
        fired = {row.contact: row.at for row in db.execute(_LAST, values)}
    decided = set[tuple[int, str]]() if dry else _of_merged(db, action.key, contacts)
    again = [one for one in found if (one.contact, one.occurrence) in decided]
    new = [one for one in found if (one.contact, one.occurrence) not in decided]
    clock: Callable[[Candidate], datetime] = (lambda one: one.at) if dry else (lambda _: as_of)
    made = decide(action, seed, new, told, fired, _modes(db, action), clock)
    return [*(Decision(one, "passed", "merged", one.reasons) for one in again), *made]


def _of_merged(db: Connection, action: str, contacts: Sequence[int]) -> set[tuple[int, str]]:
    """What was decided already about contacts that are part of these now."""
    rows = db.execute(_OF_MERGED, {"action": action, "contacts": list(contacts)})
    return {(row.contact, row.occurrence) for row in rows}


def _modes(db: Connection, action: Action) -> frozenset[bool]:
    rows = db.execute(_MODES, {"keys": [step.destination for step in action.do]}).scalars().all()
    return frozenset({True, False} if None in rows else {bool(one) for one in rows})


def _carry_out(db: Connection, action: Action, decided: Sequence[Decision], as_of: datetime, done: Fired) -> None:
    news = sorted({one.candidate.contact for one in decided if one.state != "passed"})
    who = _who(db, news, as_of) if news else {}
    # Who was merged or forgotten this very moment is nobody any more.
    decided = [one for one in decided if one.state == "passed" or one.candidate.contact in who]
    messages: dict[tuple[int, str], list[Addressed]] = {}
    hidden = suppressed_properties.hidden(db)
    faults: dict[tuple[int, str], str] = {}
    for one in decided:
        place = (one.candidate.contact, one.candidate.occurrence)
        try:
            if one.state == "fired":
                messages[place] = addressed(action, one, who[one.candidate.contact], hidden)
        except DestinationInvalid as error:
            faults[place] = " ".join(str(error.facts["problem"]).split())
    kept = _keep(db, action, decided, who, as_of, faults)
    tell_addressed(db, [message for place, several in messages.items() if place in kept for message in several])
    for one in decided:
        place = (one.candidate.contact, one.candidate.occurrence)
        if place in kept:
            name = "failed" if place in faults else one.state
            setattr(done, name, getattr(done, name) + 1)


def addressed(action: Action, one: Decision, who: Mapping[str, Any], hidden: Hidden) -> list[Addressed]:
    """The messages of an occurrence, one for each destination, without what is `hidden`. Raises DestinationInvalid
    where a template fails.
    """
    happening = one.candidate
    at = instant(happening.at.astimezone(UTC).replace(microsecond=0))
    said = {"action": action.key, "name": action.name, "kind": action.on.kind, "at": at}
    what = hidden.trigger(action.on.kind, happening.what)
    # The first of the reasons says what set it off.
    reasons, what = hidden.reasons(one.reasons if what is not None else one.reasons[1:]), what or {}
    seen = wording.values(hidden.contact(who["contact"]), hidden.facts(who["facts"]), what, reasons, **said)
    data = {
        "action": action.key,
        "trigger": what | {"kind": action.on.kind, "at": at},
        "occurrence": happening.occurrence,
        "reasons": reasons,
    }
    made: list[Addressed] = []
    for step in action.do:
        texts = {"event": step.event}
        for name, template in (("title", step.title), ("text", step.template)):
            texts[name] = templates.rendered(name, template, seen).strip() if template else ""
        shown = {name: text_ for name, text_ in texts.items() if text_}
        made.append(Addressed(step.destination, data | shown, happening.contact))
    return made


def _who(db: Connection, contacts: Sequence[int], as_of: datetime) -> dict[int, dict[str, Any]]:
    """By contact what templates and goals ask of it: {contact, facts, properties, invoice, worth}."""
    rows = db.execute(text(_FACTS.sql), _FACTS.values | {"contacts": list(contacts), "as_of": as_of}).mappings()
    names = list(CONTACT_FIELDS.known)
    return {
        row["key"]: {
            "contact": {n: row[n] for n in ("kind", "id", "name", "email", "owner", "properties")},
            "facts": {name: row[f"f{place}"] for place, name in enumerate(names)},
            "properties": row["properties"],
            "invoice": row["invoice"],
            "worth": bool(row["worth"]),
        }
        for row in rows
    }


def _keep(
    db: Connection,
    action: Action,
    decided: Sequence[Decision],
    who: Mapping[int, Mapping[str, Any]],
    as_of: datetime,
    faults: Mapping[tuple[int, str], str] | None = None,
) -> set[tuple[int, str]]:
    """Writes decisions; returns (contact, occurrence) of those that nobody had written."""
    columns: dict[str, list[Any]] = {name: [] for name in _WRITTEN}
    for one in decided:
        place = one.candidate
        fault = (faults or {}).get((place.contact, place.occurrence))
        goal, goal_of = (None, None)
        if action.goal is not None and one.state != "passed" and not fault:
            goal, goal_of = at_stake(action.goal, place.what, who[place.contact])
        row = {
            "contact": place.contact, "occurrence": place.occurrence, "at": place.at,
            "state": "failed" if fault else one.state, "why": (fault or one.why)[:500], "what": json.dumps(place.what),
            "reasons": json.dumps(one.reasons), "goal": goal, "goal_of": goal_of and json.dumps(goal_of),
            "goal_by": as_of + timedelta(days=action.goal.within_days) if goal and action.goal else None,
        }  # fmt: skip
        for name in _WRITTEN:
            columns[name].append(row[name])
    rows = db.execute(_KEEP, columns | {"action": action.key, "as_of": as_of})
    return {(row.contact, row.occurrence) for row in rows}


def _facts() -> Compiled:
    into = Compiled()
    fields = ", ".join(f"{value(one, into)} as f{n}" for n, one in enumerate(CONTACT_FIELDS.known.values()))
    into.sql = f"""
select c.key, c.kind, c.external_id as id, c.name, c.email, c.owner, c.properties, l.failing_invoices[1] as invoice,
  coalesce(f.mrr, '{{}}') <> '{{}}' as worth, {fields} {CONTACTS} and c.key = any(cast(:contacts as bigint[]))"""
    return into


_FACTS = _facts()
_WRITTEN = {
    "contact": "bigint", "occurrence": "text", "at": "timestamptz", "state": "text", "why": "text", "what": "jsonb",
    "reasons": "jsonb", "goal": "text", "goal_of": "jsonb", "goal_by": "timestamptz",
}  # fmt: skip

_KEEP = text(f"""
insert into tidegate.action_occurrences (action, decided_at, {", ".join(_WRITTEN)})
select :action, :as_of, {", ".join(_WRITTEN)}
from unnest({", ".join(f"cast(:{name} as {type_}[])" for name, type_ in _WRITTEN.items())})
  with ordinality as decided({", ".join(_WRITTEN)}, place)
order by place on conflict do nothing returning contact, occurrence""")

_LAST = text("""
select coalesce(c.merged_into, o.contact) as contact, max(o.decided_at) as at
from tidegate.action_occurrences o join tidegate.contacts c on c.key = o.contact
where o.action = :action and o.state in ('fired', 'held_out') and o.decided_at > :since
  and coalesce(c.merged_into, o.contact) = any(cast(:contacts as bigint[]))
group by 1""")

_OF_MERGED = text("""
select c.merged_into as contact, o.occurrence
from tidegate.contacts c join tidegate.action_occurrences o on o.contact = c.key and o.action = :action
where c.merged_into = any(cast(:contacts as bigint[]))""")

_MODES = text("select livemode from tidegate.destinations where key = any(cast(:keys as text[]))")
