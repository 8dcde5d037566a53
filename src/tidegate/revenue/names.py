"""What customers, and the groups of a report, are called where they themselves are ids."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.revenue.reports import Report

CONTACT = "t.kind || ':' || t.external_id"
"""A contact `t` as people refer to it; null: there is none."""
CALLED = "coalesce(nullif(t.name, ''), nullif(c.name, ''), c.email, '')"
"""The name of a contact `t`, else of a Stripe customer `c`, else that one's e-mail address."""


class Who(NamedTuple):
    """Whom a customer stands for: `contact` null: nobody; `known`: whether the mirror has the customer."""

    contact: str | None = None
    name: str = ""
    known: bool = False


def of_customers(db: Connection, connection: str, customers: Iterable[str]) -> dict[str, Who]:
    """Whom these customers (Stripe ids) stand for, and how they are called."""
    given = {"connection": connection, "customers": sorted({*customers})}
    return {row.customer: Who(row.contact, row.name, row.known) for row in db.execute(_CUSTOMERS, given)}


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


_CUSTOMERS = text(f"""
select w.customer, {CONTACT} as contact, {CALLED} as name, c.id is not null as known
from unnest(cast(:customers as text[])) as w(customer)
left join stripe.customers c on c.connection = :connection and c.id = w.customer
left join tidegate.links k on k.connection = :connection and k.customer = w.customer
left join tidegate.contacts t on t.key = k.contact""")

_NAMES = {
    "product": """
select id, coalesce(name, '') as name from stripe.products
where connection = :connection and id = any(cast(:groups as text[]))""",
    "price": """
select p.id, coalesce(nullif(p.nickname, ''), o.name, '') as name
from stripe.prices p left join stripe.products o on o.connection = p.connection and o.id = p.product
where p.connection = :connection and p.id = any(cast(:groups as text[]))""",
    "package": "select key as id, name from tidegate.packages where key = any(cast(:groups as text[]))",
    "contact": f"""
select g.id, {CALLED} as name
from unnest(cast(:groups as text[])) as g(id)
left join tidegate.contacts t on g.id = {CONTACT} and t.merged_into is null
  and t.livemode = (select livemode from tidegate.connections where name = :connection)
left join stripe.customers c on c.connection = :connection and c.id = g.id""",
}
