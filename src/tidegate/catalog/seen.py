"""Reads what an account sells and how it is subscribed to, for suggestions."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, text

from tidegate.catalog.mappings import LIVE
from tidegate.catalog.proposals import Known, PriceSeen, ProductSeen


def products(db: Connection, connection: str) -> list[ProductSeen]:
    """Every product of a connection that lives or is subscribed to, the most subscribed first."""
    prices: dict[str, list[PriceSeen]] = defaultdict(list)
    for row in db.execute(_PRICES, {"connection": connection}).mappings():
        said = dict(row)
        prices[said.pop("product")].append(PriceSeen(**said))
    given: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in db.execute(_FEATURES, {"connection": connection}):
        given[row.product].append((row.lookup_key, row.name or ""))
    rows = db.execute(_PRODUCTS, {"connection": connection}).mappings()
    return [
        ProductSeen(**row, prices=tuple(prices.get(row["id"], ())), given=tuple(given.get(row["id"], ())))
        for row in rows
    ]


def as_mapped(db: Connection, connection: str, seen: Sequence[ProductSeen]) -> list[ProductSeen]:
    """The same, of which the mappings are those that hold now."""
    products_, prices = (set(db.scalars(one, {"connection": connection})) for one in (_MAPPED_PRODUCTS, _MAPPED_PRICES))
    return [
        replace(
            one,
            mapped=one.id in products_,
            prices=tuple(replace(price, mapped=price.id in prices) for price in one.prices),
        )
        for one in seen
    ]


def as_json(seen: Sequence[ProductSeen]) -> list[dict[str, Any]]:
    """As JSON has them; `from_json` reads it."""
    return [asdict(one) for one in seen]


def from_json(said: Sequence[Mapping[str, Any]]) -> list[ProductSeen]:
    """The products that `as_json` wrote."""
    return [_product(dict(one)) for one in said]


def _product(said: dict[str, Any]) -> ProductSeen:
    prices = tuple(PriceSeen(**price) for price in said.pop("prices"))
    given = tuple((key, name) for key, name in said.pop("given"))
    return ProductSeen(**said, prices=prices, given=given)


def known(db: Connection) -> Known:
    """What the catalog has already."""
    features = {row.key: row.type for row in db.execute(text("select key, type from tidegate.features"))}
    published = text("select distinct package from tidegate.package_versions where published_at is not null")
    return Known(features, frozenset[str](db.scalars(published)))


# Which item of a subscription the others come beside: no metered one, rather one of a single unit, then the dearest.
_ITEMS: Any = f"""
select s.id as subscription, s.customer, l.contact, i.price, i.product, coalesce(i.quantity, 1) > 1 as many,
  min(i.product) over whole is not distinct from max(i.product) over whole as alone,
  row_number() over (partition by s.id order by coalesce(i.usage_type, '') = 'metered', coalesce(i.quantity, 1) > 1,
    i.unit_amount::numeric / coalesce(i.interval_count, 1) / case i.interval
      when 'year' then 12 when 'week' then 12.0 / 52 when 'day' then 12.0 / 365 else 1 end desc nulls last, i.id) = 1
    as leads
from stripe.subscriptions s
join stripe.subscription_items i on i.connection = s.connection and i.subscription = s.id and i.deleted_at is null
left join tidegate.links l on l.connection = s.connection and l.customer = s.customer
where s.connection = :connection and s.deleted_at is null and s.status in {LIVE} and i.price is not null
window whole as (partition by s.id)"""

_COUNTED = """
count(distinct subscription) as subscriptions, count(distinct customer) as customers,
  count(distinct contact) as contacts"""

_PRODUCTS = text(f"""
with items as ({_ITEMS}),
counted as (
  select product, {_COUNTED}, count(distinct subscription) filter (where alone) as alone,
    count(distinct subscription) filter (where leads) as leads, count(distinct subscription) filter (where many) as many
  from items group by product)
select p.id, coalesce(p.name, '') as name, coalesce(p.active, false) as active,
  coalesce(p.unit_label, '') as unit_label, exists (
    select from tidegate.mappings m
    where m.connection = p.connection and m.product = p.id and m.removed_at is null) as mapped,
  coalesce(c.subscriptions, 0) as subscriptions, coalesce(c.customers, 0) as customers,
  coalesce(c.contacts, 0) as contacts, coalesce(c.alone, 0) as alone, coalesce(c.leads, 0) as leads,
  coalesce(c.many, 0) as many
from stripe.products p left join counted c on c.product = p.id
where p.connection = :connection and (p.deleted_at is null or c.product is not null)
order by c.subscriptions desc nulls last, p.created, p.id""")

_PRICES = text(f"""
with items as ({_ITEMS}), counted as (select price, {_COUNTED} from items group by price)
select p.id, p.product, coalesce(p.active, false) as active, coalesce(p.currency, '') as currency,
  coalesce(p.interval, '') as interval, coalesce(p.interval_count, 1) as interval_count, p.unit_amount as amount,
  coalesce(p.nickname, '') as nickname, coalesce(p.lookup_key, '') as lookup_key,
  coalesce(p.usage_type, '') = 'metered' as metered, exists (
    select from tidegate.mappings m
    where m.connection = p.connection and m.price = p.id and m.removed_at is null) or exists (
    select from tidegate.ignored_prices g where g.connection = p.connection and g.price = p.id) as mapped,
  coalesce(c.subscriptions, 0) as subscriptions, coalesce(c.customers, 0) as customers,
  coalesce(c.contacts, 0) as contacts
from stripe.prices p left join counted c on c.price = p.id
where p.connection = :connection and p.product is not null and (p.deleted_at is null or c.price is not null)
order by p.created, p.id""")

_MAPPED_PRODUCTS = text("""
select product from tidegate.mappings where connection = :connection and product is not null and removed_at is null""")

_MAPPED_PRICES = text("""
select price from tidegate.mappings where connection = :connection and price is not null and removed_at is null
union select price from tidegate.ignored_prices where connection = :connection""")

_FEATURES = text("""
select f.product, coalesce(f.lookup_key, e.lookup_key) as lookup_key, e.name
from stripe.product_features f
left join stripe.entitlements_features e on e.connection = f.connection and e.id = f.feature
where f.connection = :connection and f.deleted_at is null and coalesce(f.lookup_key, e.lookup_key) is not null
order by f.product, lookup_key""")
