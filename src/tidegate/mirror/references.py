"""Finds what events name and the mirror lacks, or holds as it was before, and queues a look at it."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, text

from tidegate.mirror import refetches
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.resources.resource import Column, Resource

GONE = """
select from tidegate.gone g where g.connection = :connection and g.resource = :target and g.object_id = n.id"""
"""Of what is named (`n.id`, a `:target`): what Stripe was asked for and does not have."""

CATALOG = frozenset({"products", "prices", "coupons"})
"""Read by id where anything names them: lists hide inline ones."""


def ask_for_named(
    db: Connection, account: str, resource: Resource, ids: Sequence[str], without: Collection[str] = ()
) -> None:
    """Queues prices, products and the like that these objects or their children name and the mirror lacks, but
    nothing of the resources `without`.

    Lists hide inline ones and Stripe may tell nothing else of them (semantics, Mirror, Completeness).
    """
    holders = [(resource, "id"), *((child, child.parent) for child in _children(resource))]
    for holder, key in holders:
        for column in holder.columns:
            target = RESOURCES.get(column.refers_to)
            if target is not None and target.name in CATALOG - set(without) and target.retrievable:
                missing = _missing(db, account, holder, key, column, target, ids)
                refetches.ask(db, account, target, [refetches.Ask(id_, "referenced") for id_ in missing])
    if resource.name == "invoices":
        _ask_for_items(db, account, BILLED_ON, ids)


def unknown(db: Connection, account: str, holder: Resource, column: Column, *, live: bool = False) -> Sequence[str]:
    """The ids in a column that refers to another resource of which the mirror has no row, not even a tombstone, and
    which are not known to be gone from Stripe.

    `live`: those only that a holder names which is not deleted, known to be gone or not.
    """
    named = f"unnest(t.{column.name})" if column.type == "text[]" else f"t.{column.name}"
    among = "and t.deleted_at is null" if live else ""
    known = "" if live else f"and not exists ({GONE})"
    return db.scalars(
        text(f"""
select distinct n.id
from (select {named} as id from stripe.{holder.table} t where t.connection = :connection {among}) n
where n.id is not null and not exists (
  select from stripe.{RESOURCES[column.refers_to].table} o where o.connection = :connection and o.id = n.id) {known}
order by n.id"""),
        {"connection": account} | ({} if live else {"target": column.refers_to}),
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
  select from stripe.{target.table} o where o.connection = :connection and o.id = n.id)
and not exists ({GONE})"""),
        {"connection": account, "ids": list(ids), "target": target.name},
    ).all()


def note_gone(db: Connection, account: str, resource: str, object_id: str) -> None:
    """Remembers that Stripe has no object of that id, of which the mirror has nothing to bury."""
    db.execute(
        text("""
insert into tidegate.gone (connection, resource, object_id) values (:connection, :resource, :id)
on conflict do nothing"""),
        {"connection": account, "resource": resource, "id": object_id},
    )


def forget_gone(db: Connection, account: str) -> None:
    """Lets what was gone from Stripe be looked for once more."""
    db.execute(text("delete from tidegate.gone where connection = :connection"), {"connection": account})


def ask_for_billed(db: Connection, account: str, items: Sequence[str]) -> None:
    """Queues those invoice items that an invoice in the mirror took up, when that was heard of before the item."""
    _ask_for_items(db, account, BILLED_BEFORE, items)


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


def _ask_for_items(db: Connection, account: str, query: str, ids: Sequence[str]) -> None:
    found = db.scalars(text(query), {"connection": account, "ids": list(ids)}).all()
    refetches.ask(db, account, RESOURCES["invoiceitems"], [refetches.Ask(id_, "referenced") for id_ in found])
