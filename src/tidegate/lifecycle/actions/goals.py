"""Whether what actions did reached its goal: the same question for those that were held out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.lifecycle.actions.spec import Goal

SETTLED = "interval '1 day'"
"""After the last day of a goal so long is waited for what Stripe tells late."""


def at_stake(goal: Goal, what: Mapping[str, Any], who: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """How a goal begins, open or moot, and what it is held against. `what` happened; `who`: {properties, invoice,
    worth}. It is moot where it holds before anything is done, or there is nothing to be kept or recovered.
    """
    of: dict[str, Any] = {"goal": goal.as_json()}
    match goal.reach:
        case "payment_recovered":
            invoice = what.get("invoice") or who["invoice"]
            return ("open" if invoice else "moot"), of | {"invoice": invoice}
        case "not_churned" | "renewed":
            return ("open" if who["worth"] else "moot"), of
        case "property_set":
            return ("moot" if _has(who["properties"], goal) else "open"), of
        case _:
            return "open", of


def _has(properties: Any, goal: Goal) -> bool:
    at: Any = properties
    for part in goal.property.split("."):
        at = at.get(part) if isinstance(at, Mapping) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return at is not None and (goal.value is None or bool(at == goal.value))  # pyright: ignore[reportUnknownArgumentType]


def settle(db: Connection, as_of: datetime) -> int:
    """Writes down the goals that were reached by now, and those that were missed because their time is over; returns
    how many. What stays (not churned) is known at the end only.
    """
    values = {"as_of": as_of}
    reached = sum(db.execute(statement, values).rowcount for statement in _REACHED)
    return reached + db.execute(_MISSED, values).rowcount


_OPEN = """
update tidegate.action_occurrences o set goal = 'reached', reached_at = found.at
from (
  select o.id, min({at}) as at
  from tidegate.action_occurrences o
  left join tidegate.contacts w on w.key = o.contact
  {evidence}
  where o.goal = 'open' and o.goal_of #>> '{{goal,reach}}' = '{reach}' and {holds}
  group by o.id) found
where o.id = found.id"""

_CUSTOMERS = "join tidegate.links l on l.contact = coalesce(w.merged_into, o.contact)"
_MOVEMENTS = f"""{_CUSTOMERS}
  join tidegate.ledgers g on g.connection = l.connection and g.adopted_at is not null and g.retired_at is null
  join tidegate.movements m on m.connection = l.connection and m.customer = l.customer and m.edition = g.edition
    and m.superseded_at is null"""
_OVER = f"o.goal_by + {SETTLED} <= :as_of"

# Billed anew, of a subscription that had been billed before; a first bill is no renewal.
_RENEWED = text(
    _OPEN.format(
        reach="renewed",
        at="e.at",
        evidence=f"""{_CUSTOMERS}
  join tidegate.billing_events e on e.connection = l.connection and e.customer = l.customer
    and e.name = 'Subscription Billed' and e.reverses is null and e.at > o.decided_at and e.at <= o.goal_by""",
        holds="""(e.data ->> 'recurring')::numeric > 0 and exists (
    select from tidegate.billing_events b
    where b.connection = e.connection and b.customer = e.customer and b.subscription = e.subscription
      and b.name = 'Subscription Billed' and b.reverses is null and b.at <= o.decided_at
      and (b.data ->> 'recurring')::numeric > 0)""",
    )
)

_EXPANDED = text(
    _OPEN.format(
        reach="expanded",
        at="m.moved_at",
        evidence=_MOVEMENTS,
        holds="m.kind = 'expansion' and m.moved_at > o.decided_at and m.moved_at <= o.goal_by",
    )
)

_RECOVERED = text(
    _OPEN.format(
        reach="payment_recovered",
        at="v.paid_at",
        evidence=f"""{_CUSTOMERS}
  join stripe.invoices v on v.connection = l.connection and v.customer = l.customer
    and v.id = o.goal_of ->> 'invoice' and v.status = 'paid' and v.deleted_at is null""",
        holds="v.paid_at > o.decided_at and v.paid_at <= o.goal_by",
    )
)

_SET = text(
    _OPEN.format(
        reach="property_set",
        at="cast(:as_of as timestamptz)",
        evidence="join tidegate.contacts k on k.key = coalesce(w.merged_into, o.contact)",
        holds="""least(k.updated_at, :as_of) <= o.goal_by
    and coalesce(k.properties #> string_to_array(o.goal_of #>> '{goal,property}', '.'), 'null') <> 'null'
    and (o.goal_of #> '{goal,value}' is null
      or k.properties #> string_to_array(o.goal_of #>> '{goal,property}', '.') = o.goal_of #> '{goal,value}')""",
    )
)

# Worth something when the time is over, and never nothing in between.
_NOT_CHURNED = text(f"""
update tidegate.action_occurrences o set goal = 'reached', reached_at = o.goal_by
from (
  select o.id
  from tidegate.action_occurrences o
  left join tidegate.contacts w on w.key = o.contact
  {_MOVEMENTS}
  where o.goal = 'open' and o.goal_of #>> '{{goal,reach}}' = 'not_churned' and {_OVER} and m.moved_at <= o.goal_by
  group by o.id
  having sum(m.amount) > 0 and not bool_or(m.kind = 'churn' and m.moved_at > o.decided_at)) found
where o.id = found.id""")

_REACHED = (_RENEWED, _EXPANDED, _RECOVERED, _SET, _NOT_CHURNED)

_MISSED = text(f"update tidegate.action_occurrences o set goal = 'missed' where o.goal = 'open' and {_OVER}")
