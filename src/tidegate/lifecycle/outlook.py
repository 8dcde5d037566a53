"""What to look at first: who is at risk, what renews soon, and how many alerts stand open."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from tidegate.conditions.compile import Compiled
from tidegate.lifecycle import own_worth, rulebook
from tidegate.revenue.rounding import whole

AT_RISK = "at_risk"
"""The segment, or else the stage, of whom is at risk."""


def at_risk(db: Connection, livemode: bool) -> dict[str, Any] | None:
    """Contacts in the segment (or stage) `at_risk`: {among ("segment" or "stage"), contacts, mrr}; `mrr` by currency in
    minor units. None where your rules have neither.
    """
    rules = rulebook.load(db)
    if any(one.key == AT_RISK for one in rules.segments):
        among, within = "segment", ":key = any(l.segments)"
    elif any(one.key == AT_RISK for one in rules.stages):
        among, within = "stage", "l.stage = :key"
    else:
        return None
    into = Compiled()
    statement = text(_SUMMED.format(those=_AT_RISK.format(mrr=own_worth.mrr(db, into), within=within)))
    return {"among": among, **_told(db.execute(statement, into.values | {"livemode": livemode, "key": AT_RISK}))}


def renewing(db: Connection, livemode: bool, since: datetime, until: datetime, limit: int) -> dict[str, Any]:
    """Contacts of which something renews from `since` to before `until`: {contacts, mrr, next: [{contact, name,
    renews_at, mrr}]}, `next` the first so many. A subscription that ends before it would renew does not; another one of
    the same contact does. `mrr` as `at_risk` has it, of `next` in millionths of a minor unit.
    """
    into = Compiled()
    those = _RENEWING.format(mrr=own_worth.mrr(db, into), at=own_worth.renews_at(db, into))
    given = into.values | {"livemode": livemode, "since": since, "until": until, "limit": limit}
    following = [
        dict(row) for row in db.execute(text(f"{those} order by renews_at, c.key limit :limit"), given).mappings()
    ]
    return {**_told(db.execute(text(_SUMMED.format(those=those)), given)), "next": following}


def open_alerts(db: Connection, livemode: bool) -> list[dict[str, Any]]:
    """How many alerts of live, or of test, contacts are open by rule, the most frequent first: {rule, alerts}."""
    return [dict(row) for row in db.execute(_ALERTS, {"livemode": livemode}).mappings()]


def _told(rows: Iterable[Row[Any]]) -> dict[str, Any]:
    total, *amounts = rows
    mrr: Mapping[str, int] = {row.currency: whole(int(row.mrr)) for row in amounts}
    return {"contacts": total.contacts, "mrr": mrr}


_AT_RISK = """
select {mrr} as mrr
from tidegate.contacts c left join tidegate.contact_facts f on f.contact = c.key
join tidegate.contact_lifecycle l on l.contact = c.key
where c.livemode = :livemode and c.merged_into is null and c.forgotten_at is null and {within}"""

_RENEWING = """
select c.kind || ':' || c.external_id as contact, coalesce(nullif(c.name, ''), c.external_id) as name,
  {at} as renews_at, {mrr} as mrr
from tidegate.contacts c left join tidegate.contact_facts f on f.contact = c.key
where c.livemode = :livemode and c.merged_into is null and c.forgotten_at is null and {at} >= :since
  and {at} < :until"""

_SUMMED = """
with those as materialized ({those})
select null as currency, count(*) as contacts, 0 as mrr from those
union all
select m.key, count(*), sum(m.value::numeric) from those t cross join lateral jsonb_each_text(t.mrr) m
group by m.key order by currency nulls first"""

_ALERTS = text("""
select a.rule, count(*) as alerts from tidegate.alerts a
join tidegate.contacts c on c.key = a.contact and c.livemode = :livemode
where a.state = 'open' group by a.rule order by 2 desc, 1""")
