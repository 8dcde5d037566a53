"""What the groups of a report are called, where the group itself is an id."""

from typing import Any

from sqlalchemy import Connection, text

from tidegate.revenue.reports import Report


def add(db: Connection, report: Report, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, with the `name` of their `group` where it has one: of products, prices, packages and contacts."""
    statement = _NAMES.get(report.group.name)
    if statement is None:
        return rows
    given = {
        "connection": report.ledger.connection,
        "groups": sorted({row["group"] for row in rows}),
    }
    names = {row.id: row.name for row in db.execute(text(statement), given)}
    for row in rows:
        row["name"] = names.get(row["group"], "")
    return rows


_NAMES = {
    "product": """
select id, coalesce(name, '') as name from stripe.products
where connection = :connection and id = any(cast(:groups as text[]))""",
    "price": """
select p.id, coalesce(nullif(p.nickname, ''), o.name, '') as name
from stripe.prices p left join stripe.products o on o.connection = p.connection and o.id = p.product
where p.connection = :connection and p.id = any(cast(:groups as text[]))""",
    "package": "select key as id, name from tidegate.packages where key = any(cast(:groups as text[]))",
    "contact": """
select g.id, coalesce(nullif(t.name, ''), nullif(c.name, ''), c.email, '') as name
from unnest(cast(:groups as text[])) as g(id)
left join tidegate.contacts t on g.id = t.kind || ':' || t.external_id and t.merged_into is null
  and t.livemode = (select livemode from tidegate.connections where name = :connection)
left join stripe.customers c on c.connection = :connection and c.id = g.id""",
}
