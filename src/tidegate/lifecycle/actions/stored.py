"""Actions as they are stored: written, switched on and off, removed, listed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Connection, text

from tidegate.catalog import features
from tidegate.delivery import stored as destinations
from tidegate.errors import ActionUnknown
from tidegate.errors.wrong import Wrong
from tidegate.lifecycle import rulebook
from tidegate.lifecycle.actions.reading import idle_of, read
from tidegate.lifecycle.actions.spec import Action, Known
from tidegate.lifecycle.alert_rules import SETTABLE
from tidegate.revenue.billing.event import NAMES
from tidegate.revenue.bridge import KINDS as MOVEMENTS

FILE = "file"


@dataclass(frozen=True, slots=True)
class Stored:
    """An action as it was said. `since`: when it was switched on; `seen`: up to when it looked. `action`: None where it
    names by now what there is not any more (`wrong`): it does nothing until that is mended, and then what it missed.
    `idle`: what it names that can never be, so that it does not set it off.
    """

    key: str
    spec: Mapping[str, Any]
    enabled: bool
    since: datetime
    seen: datetime
    seed: str
    managed_by: str
    action: Action | None
    wrong: list[Wrong]
    idle: list[Wrong]

    @property
    def said(self) -> dict[str, Any]:
        """As an entry of tidegate.yaml."""
        return {"key": self.key, **self.spec} | ({} if self.enabled else {"enabled": False})


def known(db: Connection) -> Known:
    """What an action may name."""
    rules = rulebook.load(db)
    return Known(
        [one.key for one in rules.stages],
        [one.key for one in rules.segments],
        [*SETTABLE],
        [one["key"] for one in features.every(db)],
        MOVEMENTS,
        NAMES,
        {one["key"]: one["kind"] for one in destinations.every(db)},
        [one.key for one in rulebook.alert_rules(db) if not one.enabled],
        list(db.scalars(text("select key from tidegate.packages order by key"))),
    )


def every(db: Connection, *, enabled: bool | None = None) -> list[Stored]:
    """All actions by key, or those that are switched on, or off."""
    rows = db.execute(_EVERY, {"enabled": enabled}).all()
    there = known(db) if rows else Known()
    return [_of(row, there) for row in rows]


def one(db: Connection, key: str) -> Stored:
    """One of them. Raises ActionUnknown."""
    found = every(db)
    for action in found:
        if action.key == key:
            return action
    near = get_close_matches(key, [action.key for action in found], 1)
    raise ActionUnknown(action=key, nearest=f" Is it {near[0]}?" if near else "")


def find(db: Connection, key: str) -> Stored | None:
    """The same, or None."""
    return next((action for action in every(db) if action.key == key), None)


def _of(row: Any, there: Known) -> Stored:
    spec: dict[str, Any] = row.spec
    action, wrong = read({"key": row.key, **spec, "enabled": row.enabled}, there)
    idle = idle_of(action, there) if action else []
    return Stored(row.key, spec, row.enabled, row.since, row.seen_until, row.seed, row.managed_by, action, wrong, idle)


def put(
    db: Connection, key: str, spec: Mapping[str, Any], *, enabled: bool, managed_by: str, since: datetime | None
) -> None:
    """Writes a sound action. `since`: from when on what happens is its business; None: as it was."""
    values = {"key": key, "spec": json.dumps(spec), "enabled": enabled, "managed_by": managed_by, "since": since}
    db.execute(_PUT, values)


def release(db: Connection, key: str) -> None:
    """Lets what the file managed be changed elsewhere."""
    db.execute(text("update tidegate.actions set managed_by = '' where key = :key"), {"key": key})


def remove(db: Connection, key: str) -> None:
    """Removes it; what it did stays known."""
    db.execute(text("delete from tidegate.actions where key = :key"), {"key": key})


def looked(db: Connection, key: str, until: datetime) -> None:
    """Notes up to when it looked."""
    db.execute(text("update tidegate.actions set seen_until = :until where key = :key"), {"key": key, "until": until})


def counts(db: Connection) -> dict[str, dict[str, Any]]:
    """By action {fired, held_out, failed, last_fired_at}."""
    return {row["action"]: dict(row) for row in db.execute(_COUNTS).mappings()}


def naming(db: Connection, destination: str) -> list[str]:
    """Keys of the actions that send to a destination."""
    return list(db.scalars(_NAMING, {"destination": destination}))


def forget(db: Connection, contacts: Any) -> int:
    """Takes from what was decided about these contacts (internal keys) why, and of what failed the answer; returns how
    many rows.
    """
    return db.execute(_FORGET, {"contacts": list(contacts)}).rowcount


_EVERY = text("""
select key, spec, enabled, since, seen_until, seed, managed_by from tidegate.actions
where cast(:enabled as boolean) is null or enabled = :enabled order by key""")

_PUT = text("""
insert into tidegate.actions as a (key, spec, enabled, managed_by, since, seen_until, seed)
values (:key, cast(:spec as jsonb), :enabled, :managed_by, coalesce(:since, now()), coalesce(:since, now()),
  gen_random_uuid()::text)
on conflict (key) do update set spec = excluded.spec, enabled = excluded.enabled, managed_by = excluded.managed_by,
  since = coalesce(:since, a.since), seen_until = coalesce(:since, a.seen_until)""")

_COUNTS = text("""
select action, count(*) filter (where state = 'fired') as fired, count(*) filter (where state = 'held_out') as held_out,
  count(*) filter (where state = 'failed') as failed, max(decided_at) filter (where state = 'fired') as last_fired_at
from tidegate.action_occurrences where state <> 'passed' group by action""")

_NAMING = text("""
select a.key from tidegate.actions a where exists (
  select from jsonb_array_elements(a.spec -> 'do') step where step ->> 'destination' = :destination) order by a.key""")

_IMPERSONAL = """jsonb_strip_nulls(jsonb_build_object('stage', what -> 'stage', 'segment', what -> 'segment',
    'rule', what -> 'rule', 'movement', what -> 'movement', 'event', what -> 'event', 'feature', what -> 'feature'))"""

# Why one failed may quote what its template was about; why one was passed over is a word of ours.
_FORGET = text(f"""
update tidegate.action_occurrences
set reasons = '[]', why = case when state = 'failed' then '' else why end, what = {_IMPERSONAL},
  goal_of = goal_of #- '{{goal,value}}'
where contact = any(cast(:contacts as bigint[])) and (reasons <> '[]' or what <> {_IMPERSONAL}
  or (state = 'failed' and why <> '') or goal_of #> '{{goal,value}}' is not null)""")
