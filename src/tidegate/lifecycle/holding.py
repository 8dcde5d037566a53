"""Of whom a condition holds, before it is a rule of anything: how many, what they pay, and the first of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.conditions.compile import compiled
from tidegate.conditions.contact_fields import CONTACTS
from tidegate.conditions.nodes import Node
from tidegate.lifecycle.listing import amounts

NAMED = 12
"""Contacts that are named."""


def holding(
    db: Connection, node: Node, as_of: datetime, *, livemode: bool | None, limit: int = NAMED
) -> dict[str, Any]:
    """{contacts, mrr, first: [{contact, name}]} of live, or of test contacts (None: there is no connection that says
    which), who pay most first. `mrr`: [{currency, mrr}], minor units.
    """
    asked = compiled(node)
    statement = text(_HOLDING.format(contacts=CONTACTS, holds=asked.sql))
    rows = db.execute(statement, asked.values | {"as_of": as_of, "limit": limit, "livemode": livemode}).all()
    named = [row for row in rows if row.contact is not None]
    return {
        "contacts": named[0].contacts if named else 0,
        "mrr": amounts(row for row in rows if row.contact is None).get("", []),
        "first": [{"contact": row.contact, "name": row.name} for row in named],
    }


_HOLDING = """
with those as materialized (
  select c.key, c.kind || ':' || c.external_id as contact, c.name, coalesce(l.mrr_total, 0) as mrr
  {contacts} and (cast(:livemode as boolean) is null or c.livemode = :livemode) and {holds})
(select contact, coalesce(name, '') as name, (select count(*) from those) as contacts, '' as key, null as currency,
  null::numeric as mrr
from those order by those.mrr desc, those.key limit :limit)
union all
select null, null, null, '', m.key, sum(m.value::numeric)
from those t join tidegate.contact_facts f on f.contact = t.key cross join lateral jsonb_each_text(f.mrr) as m
group by m.key"""
