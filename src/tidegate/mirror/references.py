"""Finds what events name and the mirror lacks, or holds as it was before, and queues a look at it."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, text

from tidegate.mirror import refetches
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.resources.resource import Column, Resource

CATALOG = frozenset({"products", "prices", "coupons"})
"""Read by id where anything names them: lists hide inline ones."""


def ask_for_named(
    db: Connection, account: str, resource: Resource, ids: Sequence[str], without: Collection[str] = ()
) -> None:
    """Queues prices, products and the like that these objects or their children name and the mirror lacks, but
    nothing of the resources `without`; and what has changed along with them without an event of its own.

    Lists hide inline ones and Stripe may tell nothing else of them (semantics, Mirror, Completeness).
    """
    holders = [(resource, "id"), *((child, child.parent) for child in _children(resource))]
    for holder, key in holders:
        for column in holder.columns:
            target = RESOURCES.get(column.refers_to)
            if target is not None and target.name in CATALOG - set(without) and target.retrievable:
                missing = _missing(db, account, holder, key, column, target, ids)
                refetches.ask(db, account, target, [refetches.Ask(id_, "referenced") for id_ in missing])
    for query, silent in ALONG_WITH.get(resource.name, ()):
        _ask_for_found(db, account, RESOURCES[silent], query, ids)
    if resource.name == "invoices":
        _ask_for_found(db, account, RESOURCES["invoice_payments"], ATTEMPTED, ids, refetches.OF_PARENT)


def unknown(db: Connection, account: str, holder: Resource, column: Column, *, live: bool = False) -> Sequence[str]:
    """The ids in a column that refers to another resource of which the mirror has no row, not even a tombstone.

    `live`: those only that a holder names which is not deleted.
    """
    named = f"unnest(t.{column.name})" if column.type == "text[]" else f"t.{column.name}"
    among = "and t.deleted_at is null" if live else ""
    among += f" and t.{column.name} <> '{{}}'" if column.type == "text[]" else ""
    return db.scalars(
        text(f"""
select distinct n.id
from (select {named} as id from stripe.{holder.table} t where t.connection = :connection {among}) n
where n.id is not null and not exists (
  select from stripe.{RESOURCES[column.refers_to].table} o where o.connection = :connection and o.id = n.id)
order by n.id"""),
        {"connection": account},
    ).all()


def _children(resource: Resource) -> list[Resource]:
    return [RESOURCES[nested.resource] for nested in resource.nested]


def _missing(
    db: Connection, account: str, holder: Resource, key: str, column: Column, target: Resource, ids: Sequence[str]
) -> Sequence[str]:
    named = f"unnest(t.{column.name})" if column.type == "text[]" else f"t.{column.name}"
    return db.scalars(
        text(f"""
select distinct n.id
from (select {named} as id from stripe.{holder.table} t where t.connection = :connection and t.{key} = any(:ids)) n
where n.id is not null and not exists (
  select from stripe.{target.table} o where o.connection = :connection and o.id = n.id)"""),
        {"connection": account, "ids": list(ids)},
    ).all()


def ask_for_billed(db: Connection, account: str, items: Sequence[str]) -> None:
    """Queues those invoice items that an invoice in the mirror took up, when that was heard of before the item."""
    _ask_for_found(db, account, RESOURCES["invoiceitems"], BILLED_BEFORE, items)


# Stripe has no event for an item's being taken up by an invoice (docs.stripe.com/api/events/types).
BILLED_ON = """
select distinct i.id from stripe.invoice_lines l
join stripe.invoiceitems i on i.connection = l.connection and i.id = l.invoice_item
where l.connection = :connection and l.invoice = any(:ids) and i.invoice is distinct from l.invoice
  and l.deleted_at is null and i.deleted_at is null"""
BILLED_BEFORE = """
select distinct i.id from stripe.invoiceitems i
join stripe.invoices v on v.connection = i.connection and v.customer = i.customer
join stripe.invoice_lines l on l.connection = v.connection and l.invoice = v.id and l.invoice_item = i.id
where i.connection = :connection and i.id = any(:ids) and i.invoice is distinct from v.id
  and l.deleted_at is null and i.deleted_at is null"""

# Nor one for an invoice payment's being canceled, as it is when its invoice ends without it: void, or paid otherwise.
ENDED_WITH = """
select distinct p.id from stripe.invoices v
join stripe.invoice_payments p on p.connection = v.connection and p.invoice = v.id
where v.connection = :connection and v.id = any(:ids) and v.status in ('void', 'uncollectible', 'paid')
  and p.status = 'open' and v.deleted_at is null and p.deleted_at is null"""

# Nor one for its being made: until it is paid, only its list tells which payment intent an invoice is tried with. What
# was read after the attempt shows it.
ATTEMPTED = """
select distinct v.object_id from tidegate.versions v
where v.connection = :connection and v.resource = 'invoices' and v.object_id = any(:ids)
  and v.previous ? 'attempt_count' and v.data ->> 'status' <> 'paid'
  and v.at >= coalesce((select l.as_of from tidegate.listings l
    where l.connection = :connection and l.resource = 'invoice_payments'), '-infinity')
  and not exists (select from stripe.invoice_payments p where p.connection = v.connection and p.invoice = v.object_id
    and p.certainty > 0 and p.updated_at > v.at)"""

ALONG_WITH = {"invoices": ((BILLED_ON, "invoiceitems"), (ENDED_WITH, "invoice_payments"))}
"""By resource: the queries for what may have changed along with it, and the resource that they find."""


def _ask_for_found(
    db: Connection, account: str, target: Resource, query: str, ids: Sequence[str], reason: str = "referenced"
) -> None:
    found = db.scalars(text(query), {"connection": account, "ids": list(ids)}).all()
    refetches.ask(db, account, target, [refetches.Ask(id_, reason) for id_ in found])
