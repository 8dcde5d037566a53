"""Reads what grants are derived from: the subscription items of contacts, and what the catalog says of their prices."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from tidegate.catalog.terms import stored_terms
from tidegate.entitlements.derive import Item, Meaning, Meanings


def items_of(db: Connection, contacts: Sequence[int]) -> list[Item]:
    """Every item of every subscription of the customers that these contacts (internal keys) have.

    Subscriptions that never started are left out.
    """
    rows = db.execute(_ITEMS, {"contacts": list(contacts)})
    return [Item(**row._mapping) for row in rows]  # pyright: ignore[reportPrivateUsage]


def meanings_of(db: Connection, items: Sequence[Item]) -> Meanings:
    """What the catalog says of the prices of these items, with the versions that their subscriptions hold."""
    connections = sorted({item.connection for item in items})
    subscriptions = sorted({item.subscription for item in items})
    scope = {"connections": connections, "subscriptions": subscriptions}
    kept = {(row.connection, row.subscription, row.price): _meaning(row) for row in db.execute(_KEPT, scope)}
    prices: dict[tuple[str, str], Meaning] = {}
    products: dict[tuple[str, str], Meaning] = {}
    for row in db.execute(_IN_FORCE, {"connections": connections}):
        into, key = (prices, row.price) if row.price is not None else (products, row.product)
        into[row.connection, key] = _meaning(row)
    holdings = {(row.connection, row.subscription, row.package): row.version for row in db.execute(_HOLDINGS, scope)}
    published: dict[str, list[tuple[int, Any]]] = {}
    for row in db.execute(_PUBLISHED):
        published.setdefault(row.package, []).append((row.version, row.published_at))
    return Meanings(kept, prices, products, holdings, published)


def _meaning(row: Any) -> Meaning:
    terms = stored_terms(row.terms) if row.terms is not None else None
    return Meaning(row.id, row.package, row.feature, terms, row.per_quantity)


# The first failed attempt of an invoice is no field of it: its failed charges tell; else the first version of the
# invoice that had been attempted; else the time it was finalised, an hour or so before.
_ITEMS = text("""
select s.connection, s.customer, l.contact, s.id as subscription, i.id as item, coalesce(i.price, '') as price,
  i.product, i.quantity, i.interval, i.interval_count,
  coalesce(i.created, s.start_date, s.created, s.updated_at) as created,
  coalesce(s.billing_cycle_anchor, s.start_date, s.created, s.updated_at) as anchor,
  s.status, s.updated_at as at, s.cancel_at, coalesce(s.cancel_at_period_end, false) as cancels_at_period_end,
  s.current_period_end as period_end, late.since as overdue_since, s.pause_behavior as pause,
  s.pause_resumes_at as resumes_at
from tidegate.links l
join stripe.subscriptions s on s.connection = l.connection and s.customer = l.customer and s.deleted_at is null
join stripe.subscription_items i on i.connection = s.connection and i.subscription = s.id and i.deleted_at is null
left join lateral (
  select case when v.collection_method = 'send_invoice' then v.due_date else coalesce(
    (select min(c.created) from stripe.charges c
     where c.connection = v.connection and c.customer = s.customer and c.status = 'failed' and c.deleted_at is null
       and (c.invoice = v.id or c.payment_intent = v.payment_intent or exists (
         select from stripe.invoice_payments p
         where p.connection = v.connection and p.invoice = v.id and p.deleted_at is null
           and (p.charge = c.id or p.payment_intent = c.payment_intent)))),
    (select min(k.at) from tidegate.versions k
     where k.connection = v.connection and k.resource = 'invoices' and k.object_id = v.id
       and coalesce((k.data ->> 'attempt_count')::bigint, 0) > 0),
    case when v.attempt_count > 0 then coalesce(v.finalized_at, v.created) end) end as since
  from stripe.invoices v
  where v.connection = s.connection and v.subscription = s.id and v.status = 'open' and v.deleted_at is null
  order by v.created, v.id limit 1) late on s.status = 'past_due'
where l.contact = any(cast(:contacts as bigint[])) and s.status <> 'incomplete_expired'
order by s.connection, s.id, i.id""")

_KEPT = text("""
select k.connection, k.subscription, k.price, m.id, m.package, m.feature, m.terms, m.per_quantity
from tidegate.kept_mappings k join tidegate.mappings m on m.id = k.mapping
where k.connection = any(cast(:connections as text[])) and k.subscription = any(cast(:subscriptions as text[]))""")

_IN_FORCE = text("""
select connection, price, product, id, package, feature, terms, per_quantity from tidegate.mappings
where removed_at is null and connection = any(cast(:connections as text[]))""")

_HOLDINGS = text("""
select connection, subscription, package, version from tidegate.holdings
where connection = any(cast(:connections as text[])) and subscription = any(cast(:subscriptions as text[]))""")

_PUBLISHED = text("""
select package, version, published_at from tidegate.package_versions
where published_at is not null order by package, version""")
