"""Which contacts convert, from a trial or from free: by what they are, by how they used the product at first, and by
the actions that fired for them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, text

from tidegate.lifecycle.lift import FEW, SCARCE, Group, compared

USAGE_DAYS = 14
"""Days from the beginning in which usage and actions count."""
WITHIN_DAYS = 90
"""Days from the beginning in which a conversion counts as one of it."""
MOST_VALUES = 20
"""Values of a property that are shown, those of most contacts."""
ACTIVE = (1, 3, 7)
"""Days with any usage: on so many at least."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Of whom: those that began a trial, or came free, from `since` to before `until`, of live or of test contacts."""

    of: Literal["trial", "free"]
    livemode: bool
    since: datetime
    until: datetime
    as_of: datetime
    usage_days: int = USAGE_DAYS
    within_days: int = WITHIN_DAYS


def drivers(db: Connection, asked: Asked) -> dict[str, Any]:
    """{contacts, converted, running, rate, drivers, warning}: of the cohort those for whom it is decided, how many of
    them converted, who may still (`running`, counted nowhere), and each group against the others (`lift.compared`).

    From a trial: its first, of somebody who had not paid before; it is decided when it has ended. Free: known for the
    first time without a trial and without paying; it is decided after `within_days`. Paying within those days is a
    conversion, and decides both.
    Properties are as they are now. Usage is that of the first `usage_days`, and before the conversion: whoever pays
    uses more, and that is no driver. Actions count likewise, once for each contact for whom one fired; where it has a
    hold-out it stands against that as well, which is the better comparison. `warning`: what the figures cannot bear;
    empty: nothing.
    """
    given = {
        "livemode": asked.livemode,
        "since": asked.since,
        "until": asked.until,
        "as_of": asked.as_of,
        "usage": asked.usage_days,
        "within": asked.within_days,
    }
    cohort = _TRIALS if asked.of == "trial" else _FREE
    counts = db.execute(text(f"with {cohort} {_COUNTS}"), given).one()
    decided, converted = counts.decided, counts.converted
    given |= {"many": MOST_VALUES, "active": list(ACTIVE)}
    rows = db.execute(text(f"with {cohort} {_GROUPS}"), given) if decided else ()
    groups = [
        Group(
            row.by, row.name, row.value, row.contacts, row.converted,
            None if row.held_out is None else (row.held_out, row.held_out_converted),
        )
        for row in rows
    ]  # fmt: skip
    return {
        "contacts": decided,
        "converted": converted,
        "running": counts.running,
        "rate": round(converted / decided, 6) if decided else None,
        "drivers": compared(groups, decided, converted),
        "warning": _warning(decided, converted),
    }


def _warning(decided: int, converted: int) -> str:
    if not decided:
        return "Nobody in that time of whom it is decided."
    if decided < 2 * FEW or min(converted, decided - converted) < SCARCE:
        return (
            f"{decided:,} contacts, of whom {converted:,} converted, are too few: what differs may do so by chance. "
            f"Take {2 * FEW} or more, with {SCARCE} at least on either side."
        )
    return "A driver is no cause: of many comparisons some stand out by chance."


_THEIRS = """
theirs as not materialized (
  select k.contact, s.* from tidegate.spans s
  join tidegate.connections n on n.name = s.connection and n.livemode = :livemode
  join tidegate.links k on k.connection = s.connection and k.customer = s.customer
  where not exists (
    select from tidegate.exclusions e where e.connection = s.connection and e.customer = s.customer)),
paid as materialized (
  select contact, min(starts_at) as since from theirs where mrr > 0 and trial = 0 group by contact),
tried as materialized (
  select contact, min(starts_at) as began, bool_or(ends_at is null) as running from theirs where trial > 0
  group by contact)"""

_TRIALS = f"""{_THEIRS},
cohort as materialized (
  select t.contact, t.began, case when p.since < t.began + make_interval(days => :within) then p.since end
    as converted_at, not t.running or coalesce(p.since < t.began + make_interval(days => :within), false) as decided
  from tried t join tidegate.contacts c on c.key = t.contact and c.merged_into is null and c.forgotten_at is null
  left join paid p on p.contact = t.contact
  where t.began >= :since and t.began < :until and coalesce(p.since >= t.began, true))"""

_FREE = f"""{_THEIRS},
known as (
  select c.key as contact, least(c.created_at, (
    select min(s.created) from tidegate.links k
    join stripe.customers s on s.connection = k.connection and s.id = k.customer where k.contact = c.key)) as began
  from tidegate.contacts c
  where c.livemode = :livemode and c.merged_into is null and c.forgotten_at is null),
cohort as materialized (
  select k.contact, k.began, case when p.since < k.began + make_interval(days => :within) then p.since end
    as converted_at, coalesce(p.since < k.began + make_interval(days => :within), false)
      or k.began + make_interval(days => :within) <= :as_of as decided
  from known k left join paid p on p.contact = k.contact
  where k.began >= :since and k.began < :until and coalesce(p.since > k.began + interval '1 hour', true)
    and not exists (select from tried t where t.contact = k.contact))"""

_COUNTS = """
select count(*) filter (where decided) as decided, count(*) filter (where decided and converted_at is not null)
  as converted, count(*) filter (where not decided) as running
from cohort"""

# A number is looked at by the median of those that have it; a text by its most frequent values.
_GROUPS = r""",
those as materialized (
  select contact, began, converted_at is not null as converted,
    least(began + make_interval(days => :usage), converted_at) as until
  from cohort where decided),
said as materialized (
  select t.contact, t.converted, p.key as name, p.value, jsonb_typeof(p.value) as kind
  from those t join tidegate.contacts c on c.key = t.contact cross join lateral jsonb_each(c.properties) p
  where jsonb_typeof(p.value) in ('string', 'boolean', 'number')
  union all
  select t.contact, t.converted, a.name, to_jsonb(a.value), 'string'
  from those t join tidegate.contacts c on c.key = t.contact
  left join tidegate.contact_lifecycle l on l.contact = t.contact
  cross join lateral (values ('kind', c.kind), ('country', l.country)) a(name, value)
  where a.value is not null),
middles as (
  select name, percentile_disc(0.5) within group (order by (value #>> '{}')::numeric) as middle
  from said where kind = 'number' group by name having count(distinct value) > 1),
valued as (
  select s.name, s.converted, s.value #>> '{}' as value from said s where s.kind <> 'number'
  union all
  select s.name, s.converted, case when (s.value #>> '{}')::numeric > m.middle then 'above ' else 'up to ' end
    || m.middle from said s join middles m on m.name = s.name and s.kind = 'number'),
properties as (
  select name, value, count(*) as contacts, count(*) filter (where converted) as converted,
    row_number() over (partition by name order by count(*) desc, value) as place
  from valued group by name, value),
used as materialized (
  select t.contact, t.converted, d.feature, sum(d.amount) as amount, count(distinct (d.at at time zone 'UTC')::date)
    as days, array_agg(distinct (d.at at time zone 'UTC')::date) as dates
  from those t join tidegate.usage_debits d on d.contact = t.contact and d.at >= t.began and d.at < t.until
    and d.operation in ('consume', 'set', 'reserve') and d.state <> 'released' and d.amount > 0
  group by t.contact, t.converted, d.feature),
typical as (
  select feature, percentile_disc(0.5) within group (order by amount) as middle from used group by feature
  having count(distinct amount) > 1),
active as (
  select contact, converted, count(distinct day) as days from used cross join lateral unnest(dates) day
  group by contact, converted),
acted as materialized (
  select o.action, o.state, count(distinct t.contact) as contacts,
    count(distinct t.contact) filter (where t.converted) as converted
  from those t join tidegate.action_occurrences o on o.contact = t.contact and o.at >= t.began and o.at < t.until
    and o.state in ('fired', 'held_out')
  group by o.action, o.state)
select 'property' as by, name, value, contacts, converted, null\:\:bigint as held_out,
  null\:\:bigint as held_out_converted
from properties where place <= :many
union all
select 'usage', feature, 'used', count(*), count(*) filter (where converted), null, null from used group by feature
union all
select 'usage', u.feature, 'above ' || y.middle, count(*), count(*) filter (where u.converted), null, null
from used u join typical y on y.feature = u.feature and u.amount > y.middle group by u.feature, y.middle
union all
select 'usage', 'active days', n || ' or more', count(*), count(*) filter (where a.converted), null, null
from active a join unnest(cast(:active as int[])) n on a.days >= n group by n
union all
select 'action', action, 'fired', contacts, converted, null, null from acted where state = 'fired'
union all
select 'action', f.action, 'fired', f.contacts, f.converted, h.contacts, h.converted
from acted f join acted h on h.action = f.action and h.state = 'held_out' where f.state = 'fired'"""
