"""Whose worth or events depend on objects that many share: prices, coupons, tax rates, products."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

SHARED = ("prices", "products", "coupons", "tax_rates")


def customers_naming(db: Connection, connection: str, objects: Mapping[str, Sequence[str]]) -> list[str]:
    """The customers (Stripe ids) whose spans were derived and that name one of these objects (Stripe ids by resource):
    in a span, in a discount, or in what was billed to them. Nobody's were: nobody is.

    A tax rate that is known long after it came into being may stand anywhere: everybody counts as naming it.
    """
    values: dict[str, Any] = {f"of_{name}": list(objects.get(name, ())) for name in SHARED}
    values["connection"] = connection
    if not db.scalar(_DERIVED, values):
        return []
    everybody = bool(values["of_tax_rates"]) and db.scalar(_LATE, values)
    return list(db.scalars(_EVERYBODY if everybody else _NAMING, values))


_DERIVED = text("select exists (select from tidegate.spans where connection = :connection)")

_LATE = text("""
select exists (select from stripe.tax_rates
  where connection = :connection and id = any(cast(:of_tax_rates as text[]))
    and coalesce(created < updated_at - interval '7 days', true))""")

_EVERYBODY = text("select distinct customer from tidegate.spans where connection = :connection order by customer")

# Each kind is looked for by an index, but for tax rates: what names one is no older than the rate.
_NAMING = text("""
with sold as materialized (
  select unnest(cast(:of_prices as text[])) as price
  union select id from stripe.prices
  where connection = :connection and product = any(cast(:of_products as text[]))),
rates as materialized (
  select id, created from stripe.tax_rates
  where connection = :connection and id = any(cast(:of_tax_rates as text[]))),
naming as (
  select s.customer from sold join tidegate.spans s on s.connection = :connection and s.price = sold.price
  union
  select customer from stripe.discounts where connection = :connection and coupon = any(cast(:of_coupons as text[]))
  union
  select id from stripe.customers
  where connection = :connection and coupons <> '{}' and coupons && cast(:of_coupons as text[])
  union
  select customer from stripe.subscriptions
  where connection = :connection and coupons <> '{}' and coupons && cast(:of_coupons as text[])
  union
  select s.customer from stripe.subscription_items i
  join stripe.subscriptions s on s.connection = :connection and s.id = i.subscription
  where i.connection = :connection and i.coupons <> '{}' and i.coupons && cast(:of_coupons as text[])
  union
  select s.customer from rates r join stripe.subscriptions s
    on s.connection = :connection and s.updated_at >= r.created and strpos(cast(s.data as text), r.id) > 0
  union
  select i.customer from rates r
  join stripe.invoices i on i.connection = :connection and i.updated_at >= r.created
  join stripe.invoice_lines l on l.connection = :connection and l.invoice = i.id
    and strpos(cast(l.data as text), r.id) > 0)
select n.customer from naming n
where exists (select from tidegate.spans s where s.connection = :connection and s.customer = n.customer)
order by n.customer""")
