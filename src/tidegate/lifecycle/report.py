"""Figures of the lifecycle: moves between stages, time in each, MRR by stage, who is at risk for which reason."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.conditions.compile import compiled
from tidegate.conditions.contact_fields import CONTACT_FIELDS, CONTACTS
from tidegate.conditions.nodes import AnyOf, Node
from tidegate.conditions.parse import parse
from tidegate.lifecycle.rules import AT_RISK_BY, Rule
from tidegate.revenue.rounding import fitted, whole

Amounts = dict[str, int]
"""Millionths of a minor unit, by currency."""
NOBODY = ""
"""In place of a stage: customers that are no contact, or a forgotten one, or one that nobody has placed yet."""


def stages(db: Connection, livemode: bool, rules: Sequence[Rule], since: datetime, until: datetime) -> dict[str, Any]:
    """{stages, without_contact, mrr, moves}: how things stand now, and what moved from `since` to before `until`.

    A stage is {key, name, contacts, mrr, entered, left, stays, median_days, p90_days}. MRR is in minor units by
    currency; the stages and what customers have that are no contact or a forgotten one (`without_contact`) sum
    exactly to the whole, which is that of `tidegate mrr`. Of who was there before the hub first looked nobody knows
    since when: its first stay counts neither as `entered` nor, once it ended in the period, in `stays`. Moves that
    other rules caused count nowhere. `moves`: {from, to, contacts, share}, of those that left `from`.
    """
    given = {"livemode": livemode, "since": since, "until": until}
    there = contacts(db, livemode)
    spent = stays(db, livemode, since, until)
    moved = moves(db, livemode, since, until)
    came = {row.key: row.entered for row in db.execute(_CAME, given)}
    left_of: dict[str, int] = {}
    for one in moved:
        left_of[one["from"]] = left_of.get(one["from"], 0) + one["contacts"]
    worth, total = _worth(db, livemode, {rule.key for rule in rules})
    found: list[dict[str, Any]] = []
    for rule in rules:
        stay = spent.get(rule.key)
        found.append(
            {
                "key": rule.key,
                "name": rule.name,
                "contacts": there.get(rule.key, 0),
                "mrr": worth.get(rule.key, []),
                "entered": came.get(rule.key, 0),
                "left": left_of.get(rule.key, 0),
                "stays": stay.stays if stay else 0,
                "median_days": stay.median_days if stay else None,
                "p90_days": stay.p90_days if stay else None,
            }
        )
    return {
        "stages": found,
        "without_contact": worth.get(NOBODY, []),
        "mrr": total,
        "moves": [one | {"share": round(one["contacts"] / left_of[one["from"]], 6)} for one in moved],
    }


def contacts(db: Connection, livemode: bool | None) -> dict[str, int]:
    """How many contacts are in each stage now. `livemode` None: live and test ones."""
    return {row.key: row.contacts for row in db.execute(_COUNTED, {"livemode": livemode})}


def stays(
    db: Connection, livemode: bool | None, since: datetime | None = None, until: datetime | None = None
) -> dict[str, Any]:
    """By stage how long those had been there that left it from `since` to before `until` (None: ever), and whose
    beginning is known: {stays, median_days, p90_days}. `livemode` None: of live and test contacts.
    """
    return {row.key: row for row in db.execute(_SPENT, _over(livemode, since, until))}


def moves(
    db: Connection, livemode: bool | None, since: datetime | None = None, until: datetime | None = None
) -> list[dict[str, Any]]:
    """How many contacts went from one stage to another in that time: {from, to, contacts}, the most first."""
    return [dict(row) for row in db.execute(_MOVES, _over(livemode, since, until)).mappings()]


def _over(livemode: bool | None, since: datetime | None, until: datetime | None) -> dict[str, Any]:
    return {"livemode": livemode, "since": since or "-infinity", "until": until or "infinity"}


def _worth(
    db: Connection, livemode: bool, known: Set[str]
) -> tuple[dict[str, list[dict[str, Any]]], list[dict[str, Any]]]:
    """MRR by stage and of all together, each [{currency, mrr}] in minor units, of which the parts sum to the whole.
    What is in no stage of these keys is nobody's.
    """
    exact: dict[str, Amounts] = {}
    for row in db.execute(_WORTH, {"livemode": livemode, "known": sorted(known)}):
        exact.setdefault(row.currency, {})[row.stage] = int(row.mrr)
    by_stage: dict[str, list[dict[str, Any]]] = {}
    total: list[dict[str, Any]] = []
    for currency, parts in sorted(exact.items()):
        sum_ = whole(sum(parts.values()))
        total.append({"currency": currency, "mrr": sum_})
        for stage, amount in fitted(dict(parts), sum_).items():
            by_stage.setdefault(stage, []).append({"currency": currency, "mrr": amount})
    return by_stage, total


def at_risk(db: Connection, livemode: bool, as_of: datetime) -> dict[str, Any]:
    """Who is at risk now: {contacts, mrr, reasons: [{reason, contacts, mrr}]}, the largest first. MRR is in minor units
    by currency. A contact with several reasons stands at each, and once in the whole.
    """
    nodes = reasons()
    told = {name: _counted(db, livemode, node, as_of) for name, node in nodes.items()}
    held = sorted((-one["contacts"], name) for name, one in told.items() if one["contacts"])
    every = _counted(db, livemode, AnyOf(tuple(nodes.values())), as_of)
    return every | {"reasons": [{"reason": name} | told[name] for _, name in held]}


def reasons() -> Mapping[str, Node]:
    """By why somebody is at risk the condition that says so."""
    found: dict[str, Node] = {}
    for name, said in AT_RISK_BY.items():
        node, wrong = parse(said, CONTACT_FIELDS)
        assert not wrong, wrong
        found[name] = node
    return found


def _counted(db: Connection, livemode: bool, node: Node, as_of: datetime) -> dict[str, Any]:
    made = compiled(node)
    rows = db.execute(
        text(f"""
with those as materialized (
  select c.key as contact, f.mrr {CONTACTS} and c.livemode = :livemode and {made.sql})
select null as currency, count(*) as contacts, 0 as mrr from those
union all
select m.key, count(*), sum(m.value::numeric) from those t cross join lateral jsonb_each_text(t.mrr) m
group by m.key order by currency nulls first"""),
        made.values | {"as_of": as_of, "livemode": livemode},
    ).all()
    amounts = [{"currency": row.currency, "mrr": whole(int(row.mrr))} for row in rows[1:]]
    return {"contacts": rows[0].contacts, "mrr": amounts}


_COUNTED = text("""
select l.stage as key, count(*) as contacts
from tidegate.contact_lifecycle l join tidegate.contacts c on c.key = l.contact
where (cast(:livemode as boolean) is null or c.livemode = :livemode) and c.merged_into is null
  and c.forgotten_at is null and l.stage is not null
group by l.stage""")

_WORTH = text("""
select coalesce(
    case when c.forgotten_at is null and l.stage = any(cast(:known as text[])) then l.stage end, '') as stage,
  s.currency, sum(s.mrr) as mrr
from tidegate.spans s
join tidegate.connections n on n.name = s.connection and n.livemode = :livemode
left join tidegate.links k on k.connection = s.connection and k.customer = s.customer
left join tidegate.contacts c on c.key = k.contact
left join tidegate.contact_lifecycle l on l.contact = k.contact
where s.ends_at is null and s.mrr <> 0 and not exists (
  select from tidegate.exclusions e where e.connection = s.connection and e.customer = s.customer)
group by 1, 2""")

# Who came with a past was there before: its first stay begins when the hub first looked.
_KNOWN = """({0}.because <> 'begin' or {0}.entered_at - interval '1 day' <= (
    select coalesce(min(s.created), c.created_at)
    from tidegate.links k join stripe.customers s on s.connection = k.connection and s.id = k.customer
    where k.contact = {0}.contact))"""

ARRIVED = f"""and {{0}}.kind = 'stage' and {{0}}.entered_at >= :since and {{0}}.entered_at < :until
  and {{0}}.because in ('facts', 'begin') and {_KNOWN}"""
"""SQL: whether a membership of this name is an arrival from `:since` to before `:until`."""

_CAME = text(f"""
select m.key, count(*) as entered
from tidegate.memberships m join tidegate.contacts c on c.key = m.contact and c.livemode = :livemode
where true {ARRIVED.format("m")}
group by m.key""")

MOVED = """
from tidegate.memberships b
join tidegate.memberships a on a.contact = b.contact and a.kind = 'stage' and a.entered_at = b.left_at
  and a.id <> b.id and a.because = 'facts'
join tidegate.contacts c on c.key = b.contact and (cast(:livemode as boolean) is null or c.livemode = :livemode)
where b.kind = 'stage' and b.left_at >= cast(:since as timestamptz) and b.left_at < cast(:until as timestamptz)"""
"""SQL: the moves of contacts `c` from `:since` to before `:until`, out of the membership `b` into `a`."""

_MOVES = text(f"""
select b.key as "from", a.key as "to", count(*) as contacts {MOVED} group by 1, 2 order by 3 desc, 1, 2""")

_SPENT = text(f"""
select b.key, count(*) as stays,
  round((percentile_cont(0.5) within group (order by d.days))::numeric, 1)::float8 as median_days,
  round((percentile_cont(0.9) within group (order by d.days))::numeric, 1)::float8 as p90_days
from (
  select b.* {MOVED} and {_KNOWN.format("b")}) b
cross join lateral (select extract(epoch from b.left_at - b.entered_at) / 86400 as days) d
group by b.key""")
