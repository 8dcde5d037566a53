"""Of whom a condition holds, before it is a rule of anything: how many, what they pay, and the first of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.conditions.compile import compiled
from tidegate.conditions.contact_fields import CONTACTS
from tidegate.conditions.nodes import Node

NAMED = 12
"""Contacts that are named."""


def holding(db: Connection, node: Node, as_of: datetime, *, limit: int = NAMED) -> dict[str, Any]:
    """{contacts, mrr, first: [{contact, name, mrr}]} of live and test contacts, those that pay most first. MRR is in
    whole units of the base currency.
    """
    asked = compiled(node)
    statement = text(_HOLDING.format(contacts=CONTACTS, holds=asked.sql))
    rows = db.execute(statement, asked.values | {"as_of": as_of, "limit": limit}).mappings().all()
    first = [{name: row[name] for name in ("contact", "name", "mrr")} for row in rows]
    return {
        "contacts": rows[0]["contacts"] if rows else 0,
        "mrr": rows[0]["whole"] if rows else 0.0,
        "first": first,
    }


_HOLDING = """
with those as materialized (
  select c.key, c.kind || ':' || c.external_id as contact, c.name, coalesce(l.mrr_total, 0) as mrr
  {contacts} and {holds})
select contact, coalesce(name, '') as name, mrr::float8, (select count(*) from those) as contacts,
  (select sum(mrr)::float8 from those) as whole
from those order by those.mrr desc, key limit :limit"""
