"""Whose worth or events depend on objects that many share: prices, coupons, tax rates, products."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

SHARED = ("prices", "products", "coupons", "tax_rates")


def customers_naming(db: Connection, connection: str, objects: Mapping[str, Sequence[str]]) -> list[str]:
    """The customers (Stripe ids) whose spans were derived and that name one of these objects (Stripe ids by resource):
    in a span, in a discount, or in what was billed to them. Nobody's were: nobody is.

    Of tax rates only those count that were missing when the spans were derived, and they are missing no more: what one
    says of amounts never changes (Stripe's API updates no `percentage` and no `inclusive`).
    """
    values: dict[str, Any] = {f"of_{name}": list(objects.get(name, ())) for name in SHARED}
    values["connection"] = connection
    if not db.scalar(_DERIVED, values):
        return []
    return list(db.scalars(_NAMING, values))


def note_missing(db: Connection, connection: str, rates: Iterable[tuple[str, str]]) -> None:
    """Notes that spans were derived without tax rates: pairs of a rate and a customer that names it (Stripe ids)."""
    rows = sorted(rates)
    if rows:
        named, customers = map(list, zip(*rows, strict=True))
        db.execute(_NOTE_MISSING, {"connection": connection, "rates": named, "customers": customers})


_DERIVED = text("select exists (select from tidegate.spans where connection = :connection)")

_NOTE_MISSING = text("""
insert into tidegate.missing_tax_rates (connection, rate, customer)
select :connection, * from unnest(cast(:rates as text[]), cast(:customers as text[])) on conflict do nothing""")

# Each kind is looked for by an index.
_NAMING = text("""
with sold as materialized (
  select unnest(cast(:of_prices as text[])) as price
  union select id from stripe.prices
  where connection = :connection and product = any(cast(:of_products as text[]))),
lacked as (
  delete from tidegate.missing_tax_rates
  where connection = :connection and rate = any(cast(:of_tax_rates as text[])) returning customer),
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
  select customer from lacked)
select n.customer from naming n
where exists (select from tidegate.spans s where s.connection = :connection and s.customer = n.customer)
order by n.customer""")
