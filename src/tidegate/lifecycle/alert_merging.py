"""Alerts of contacts that become one, and are parted again: they go along, so that nothing is told again."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.conditions.compile import compiled
from tidegate.conditions.contact_fields import CONTACTS
from tidegate.lifecycle.alert_rules import AlertRule
from tidegate.lifecycle.alerts import condition


def move(db: Connection, kept: int, other: int) -> dict[str, list[Any]]:
    """Gives the alerts of `other` (internal keys) to `kept`; where both have one of the same occurrence the one stays
    that nobody has put aside. Returns {moved: their ids, dropped: rows that made room}, for `give_back`.
    """
    pair = {"kept": kept, "other": other}
    dropped = list(db.scalars(_DROP, pair))
    return {"moved": list(db.scalars(_MOVE, pair)), "dropped": dropped}


def give_back(db: Connection, kept: int, other: int, before: Mapping[str, Sequence[Any]]) -> None:
    """Gives back what was moved, as it stands by now; what came since stays where it is (`hand_over`)."""
    db.execute(_GIVE_BACK, {"kept": kept, "other": other, "ids": list(before["moved"])})
    db.execute(_RESTORE, {"rows": json.dumps(before["dropped"])})


def hand_over(db: Connection, rules: Sequence[AlertRule], kept: int, other: int, as_of: datetime) -> None:
    """Gives those of `kept` that came while both were one to `other`, where its facts have them and those of `kept` do
    not. Whoever calls it has brought the facts of both up to what they are.
    """
    for rule in rules:
        made = compiled(condition(rule))
        holds = f"select {CONTACTS} and {made.sql} and a.occurrence = any({rule.occurrences})"
        statement = text(f"""
update tidegate.alerts a set contact = :other
where a.contact = :kept and a.rule = :rule and a.state <> 'resolved'
  and exists ({holds} and c.key = :other) and not exists ({holds} and c.key = :kept) and not exists (
    select from tidegate.alerts o
    where o.contact = :other and o.rule = a.rule and o.occurrence = a.occurrence)""")
        db.execute(statement, made.values | {"kept": kept, "other": other, "rule": rule.key, "as_of": as_of})


_DROP = text("""
with ranked as (
  select id, row_number() over (partition by rule, occurrence order by array_position(
    array['resolved', 'dismissed'], state) desc nulls first, contact <> :kept) as place
  from tidegate.alerts where contact in (:kept, :other))
delete from tidegate.alerts a using ranked r where r.id = a.id and r.place > 1 returning to_jsonb(a)""")

_MOVE = text("update tidegate.alerts set contact = :kept where contact = :other returning id")

_GIVE_BACK = text("""
update tidegate.alerts a set contact = :other
where contact = :kept and id = any(cast(:ids as bigint[])) and not exists (
  select from tidegate.alerts o where o.contact = :other and o.rule = a.rule and o.occurrence = a.occurrence)""")

_RESTORE = text("""
insert into tidegate.alerts overriding system value
select * from jsonb_populate_recordset(null::tidegate.alerts, cast(:rows as jsonb)) on conflict do nothing""")
