"""Whether an action reached its goal, beside those that were held out, and what that kept and expanded."""

import json
from typing import Any

from sqlalchemy import Connection, text

from tidegate.lifecycle.actions.goals import SETTLED
from tidegate.lifecycle.actions.stored import Stored
from tidegate.lifecycle.proportions import difference, verdict
from tidegate.revenue.rounding import whole

METHOD = "95 % hybrid score interval of Newcombe (1998), method 10"


def report(db: Connection, one: Stored, as_of: Any) -> dict[str, Any]:
    """{action, goal, fired, held_out, passed, failed, groups, difference, verdict, mrr}.

    `groups`: those acted on and those held out, each {contacts, measured, reached, share, running, moot}: of each
    contact its first occurrence counts, since chance chose the group anew for each one, and only where the time of the
    goal is over, since before that only successes are known. `mrr`: by group and currency, of the measured, minor
    units: {before: when it was decided, kept: what of that was there at the end, expanded: what had come to it}.
    """
    counts = {row.state: row.count for row in db.execute(_COUNTS, {"action": one.key})}
    goal = _goal(one)
    told: dict[str, Any] = {
        "action": one.key,
        "goal": goal,
        **{state: counts.get(state, 0) for state in ("fired", "held_out", "passed", "failed")},
    }
    if not goal:
        return told | {
            "groups": {},
            "difference": None,
            "verdict": "It has no goal, so nothing is measured.",
            "mrr": [],
        }
    values = {"action": one.key, "goal": json.dumps(goal), "as_of": as_of}
    groups: dict[str, dict[str, int]] = {state: dict.fromkeys(_GROUP, 0) for state in GROUPS}
    for row in db.execute(_GROUPS, values):
        groups[row.state] = {name: getattr(row, name) for name in _GROUP}
    shown = {name: dict(group) | {"share": _share(group)} for name, group in groups.items()}
    acted, held = groups["fired"], groups["held_out"]
    four = (acted["reached"], acted["measured"], held["reached"], held["measured"])
    found = difference(*four)
    said = verdict(*four) if one.spec.get("hold_out") or held["contacts"] else _ALONE
    return told | {
        "groups": shown,
        "difference": found and {"value": found.value, "low": found.low, "high": found.high, "method": METHOD},
        "verdict": said,
        "mrr": [_amounts(row) for row in db.execute(_WORTH, values).mappings()],
    }


def _goal(one: Stored) -> Any:
    return one.action.goal.as_json() if one.action is not None and one.action.goal else one.spec.get("goal")


_ALONE = "Nobody was held out, so nobody knows how many would have reached it without the action; hold_out: 0.1 tells."
_GROUP = ("contacts", "measured", "reached", "running", "moot")


def _share(group: dict[str, int]) -> float | None:
    return group["reached"] / group["measured"] if group["measured"] else None


def _amounts(row: Any) -> dict[str, Any]:
    names = ("before", "kept", "expanded")
    return {"group": row["state"], "currency": row["currency"]} | {name: whole(int(row[name])) for name in names}


def recent(
    db: Connection,
    action: str,
    *,
    passed: bool = False,
    state: str = "",
    before: int | None = None,
    limit: int | None = 50,
) -> list[dict[str, Any]]:
    """What was decided, newest first: {id, state, why, contact, name, occurrence, at, decided_at, reasons, trigger,
    goal, goal_by, reached_at, deliveries}. `passed`: also what was passed over; `state`: only what came to this one of
    STATES; `before`: the id of the last one of the page before; `limit` None: all.
    """
    values = {"action": action, "passed": passed, "state": state, "before": before, "limit": limit}
    return [dict(row) for row in db.execute(_RECENT, values).mappings()]


def counted(
    db: Connection, one: Stored, as_of: Any, group: str, number: str, *, before: int | None, limit: int | None
) -> list[dict[str, Any]]:
    """What one of NUMBERS of a group of the report counts: each contact's first occurrence, as `recent` tells it."""
    values = {"action": one.key, "goal": json.dumps(_goal(one)), "as_of": as_of, "group": group}
    values |= {"before": before, "limit": limit}
    return [dict(row) for row in db.execute(_COUNTED[number], values).mappings()]


STATES = ("fired", "held_out", "failed", "passed")
"""What can come of an occurrence."""
GROUPS = ("fired", "held_out")
"""Of which the report tells whether they reached the goal."""

_COUNTS = text("select state, count(*) from tidegate.action_occurrences where action = :action group by state")

# The goal as it is now: what was decided while it was another one is not compared.
_FIRST = """
first as (
  select distinct on (o.contact) o.id, o.contact, o.state, o.goal, o.decided_at, o.goal_by
  from tidegate.action_occurrences o
  where o.action = :action and o.state in ('fired', 'held_out') and o.goal_of -> 'goal' = cast(:goal as jsonb)
  order by o.contact, o.id)"""

_SHOWN = """
select o.id, o.state, o.why, c.kind || ':' || c.external_id as contact, c.name, o.occurrence, o.at, o.decided_at,
  o.reasons, o.what as trigger, o.goal, o.goal_by, o.reached_at, coalesce((
    select jsonb_agg(jsonb_build_object('destination', d.destination, 'state', d.state) order by d.id)
    from tidegate.outbox b join tidegate.deliveries d on d.outbox = b.id
    where o.state = 'fired' and b.contact = o.contact and b.type = 'action.fired' and b.data ->> 'action' = o.action
      and b.data ->> 'occurrence' = o.occurrence), '[]') as deliveries
from tidegate.action_occurrences o join tidegate.contacts c on c.key = o.contact"""

_PAGE = """(cast(:before as bigint) is null or o.id < :before)
order by o.id desc limit cast(:limit as bigint)"""

_OVER = f"goal in ('reached', 'missed') and goal_by + {SETTLED} <= :as_of"

_GROUPS = text(f"""
with {_FIRST}
select state, count(*) as contacts, count(*) filter (where {_OVER}) as measured,
  count(*) filter (where {_OVER} and goal = 'reached') as reached,
  count(*) filter (where goal <> 'moot' and not ({_OVER})) as running, count(*) filter (where goal = 'moot') as moot
from first group by state""")

_WORTH = text(f"""
with {_FIRST},
worth as (
  select f.id, f.state, m.currency,
    coalesce(sum(m.amount) filter (where m.moved_at <= f.decided_at), 0) as before,
    coalesce(sum(m.amount) filter (where m.moved_at <= f.goal_by), 0) as after
  from first f
  join tidegate.contacts w on w.key = f.contact
  join tidegate.links l on l.contact = coalesce(w.merged_into, f.contact)
  join tidegate.ledgers g on g.connection = l.connection and g.adopted_at is not null and g.retired_at is null
  join tidegate.movements m on m.connection = l.connection and m.customer = l.customer and m.edition = g.edition
    and m.superseded_at is null
  where {_OVER}
  group by f.id, f.state, m.currency)
select state, currency, sum(before) as before, sum(least(before, after)) as kept,
  sum(greatest(after - before, 0)) as expanded
from worth group by state, currency having sum(before) <> 0 or sum(after) <> 0 order by state, currency""")

_RECENT = text(f"""
{_SHOWN}
where o.action = :action and (:passed or o.state <> 'passed') and (:state = '' or o.state = :state) and {_PAGE}""")

_COUNTED = {
    number: text(f"""
with {_FIRST}
{_SHOWN}
where o.id in (select id from first where state = :group and {holds}) and {_PAGE}""")
    for number, holds in {"contacts": "true", "measured": _OVER, "reached": f"{_OVER} and goal = 'reached'"}.items()
}
NUMBERS = tuple(_COUNTED)
"""Of a group, that lead to the contacts which they count."""
