"""Mappings: what a Stripe price or product means; set, replaced, removed, kept for whoever holds them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from tidegate.catalog import features, packages
from tidegate.catalog.terms import read_terms
from tidegate.errors import CatalogInvalid, CatalogUnknown, ManagedByFile
from tidegate.mirror.list_values import list_values
from tidegate.money import half_away
from tidegate.store.driver import rows

MEANING = ("package", "feature", "terms", "per_quantity")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A mapping to set: from a price or a product, to a package or to a feature on terms of its own.

    `per_quantity` None: true for add-ons and features, false for base packages.
    """

    connection: str
    price: str | None = None
    product: str | None = None
    package: str | None = None
    feature: str | None = None
    terms: Any = None
    per_quantity: bool | None = None
    managed_by: str = ""
    by: str = ""

    @property
    def source(self) -> str:
        """What is mapped, in words."""
        return f"the price {self.price}" if self.price else f"the product {self.product}"


def set_(db: Connection, wanted: Wanted) -> tuple[int, bool]:
    """Maps a price or product, in place of what it was mapped to; returns the mapping's id, and false when it is so
    already. Refresh the contacts of `touched` in the same transaction.

    Raises CatalogInvalid, CatalogUnknown, TermsInvalid, ManagedByFile.
    """
    values = _checked(db, wanted)
    known = in_force(db, wanted.connection, wanted.price, wanted.product)
    if known is not None:
        if known["managed_by"] and not wanted.managed_by:
            raise ManagedByFile(what=f"The mapping of {wanted.source}")
        if all(known[name] == values[name] for name in MEANING):
            return known["id"], _manage(db, known, wanted.managed_by)
        _end(db, known["id"])
    shown = values | {"terms": json.dumps(values["terms"]) if values["terms"] is not None else None}
    return int(db.execute(_SET, shown).scalar_one()), True


def differs(db: Connection, wanted: Wanted) -> bool:
    """Whether setting it would change what the price, or the product, means. Raises as `set_` does."""
    known = in_force(db, wanted.connection, wanted.price, wanted.product)
    values = _checked(db, wanted)
    return known is None or any(known[name] != values[name] for name in MEANING)


def remove(db: Connection, mapping: int, *, by_file: bool = False) -> RowMapping:
    """Takes a mapping out of force and returns it. Refresh the contacts of `touched` in the same transaction.

    Raises CatalogUnknown, ManagedByFile.
    """
    row = one(db, mapping)
    if row["managed_by"] and not by_file:
        raise ManagedByFile(what=f"The mapping {mapping}")
    _end(db, mapping)
    return row


def release(db: Connection, mapping: int) -> None:
    """Lets the page and the API change what the file managed."""
    db.execute(text("update tidegate.mappings set managed_by = '' where id = :id"), {"id": mapping})


def in_force(db: Connection, connection: str, price: str | None, product: str | None) -> RowMapping | None:
    """What the price, or the product, is mapped to itself."""
    values = {"connection": connection, "price": price, "product": product}
    return db.execute(_IN_FORCE, values).mappings().first()


def one(db: Connection, mapping: int) -> RowMapping:
    """A mapping in force. Raises CatalogUnknown."""
    row = db.execute(_ONE, {"id": mapping}).mappings().first()
    if row is None:
        raise CatalogUnknown(what="mapping", key=str(mapping), nearest="", list="mappings")
    return row


def every(db: Connection, connection: str | None = None) -> list[dict[str, Any]]:
    """The mappings in force, with what price and product are called."""
    return [dict(row) for row in db.execute(_EVERY, {"connection": connection}).mappings()]


def touched(db: Connection, connection: str, price: str | None, product: str | None) -> list[int]:
    """The contacts (internal keys) whose subscriptions have an item of the price, or of the product."""
    values = {"connection": connection, "price": price, "product": product}
    return list(db.scalars(_TOUCHED, values))


def any_waits(db: Connection, connection: str) -> bool:
    """Whether anything stood in the queue when a refresh looked last: quick, where the queue itself takes its time."""
    known = text("select exists (select from tidegate.unmapped_prices where connection = :connection)")
    return bool(db.scalar(known, {"connection": connection}))


def queue(db: Connection, connection: str) -> list[dict[str, Any]]:
    """Prices of live subscriptions that nothing maps: `subscriptions`, `customers` waiting, and their list value.

    `unit_amount` and `list_value` are in minor units of `currency` per `interval_count` × `interval`, of a unit and of
    all that waits; null where the price is billed by use or tells no amount, and the sum where its subscriptions have
    several currencies.
    """
    found = [dict(row) for row in db.execute(_QUEUE, {"connection": connection}).mappings()]
    parts = db.execute(_QUANTITIES, {"connection": connection}).all()
    values = list_values(db, connection, [(part.subscription, part.item) for part in parts])
    sums: dict[str, Fraction | None] = {}
    for part in parts:
        one, before = values.get(part.item), sums.get(part.price, Fraction(0))
        sums[part.price] = None if one is None or before is None else before + one * part.items
    for row in found:
        value = sums.get(row["price"]) if row.pop("currencies") == 1 else None
        row["list_value"] = None if value is None else half_away(value.numerator, value.denominator)
    return found


def note_unmapped(db: Connection, connection: str, customers: Sequence[str] | None = None) -> list[Any]:
    """Remembers the unmapped prices of these customers' live subscriptions (None: of all) and forgets those that are
    mapped by now; returns the ones that were not known yet.
    """
    values: dict[str, Any] = {"connection": connection}
    if customers is not None:
        return rows(db, _NOTE_UNMAPPED_OF, values | {"customers": list(customers)})
    return rows(db, _NOTE_UNMAPPED, values)


def _checked(db: Connection, wanted: Wanted) -> dict[str, Any]:
    if bool(wanted.price) == bool(wanted.product):
        raise CatalogInvalid(problem="A mapping is of a price or of a product: name one of them.")
    if bool(wanted.package) == bool(wanted.feature):
        raise CatalogInvalid(problem=f"The mapping of {wanted.source} leads to a package or to a feature: name one.")
    _known(db, wanted)
    terms, per_quantity = None, wanted.per_quantity
    if wanted.package:
        package = packages.one(db, wanted.package)
        if packages.newest_version(db, wanted.package) is None:
            raise CatalogInvalid(problem=f"The package {wanted.package} has no published version; publish it first.")
        if wanted.terms:
            raise CatalogInvalid(problem=f"The mapping of {wanted.source} leads to a package, which has terms already.")
        per_quantity = package["kind"] == "add_on" if per_quantity is None else per_quantity
    elif wanted.feature:
        type_ = features.one(db, wanted.feature)["type"]
        given = True if type_ == "boolean" and not wanted.terms else wanted.terms
        terms = read_terms(wanted.feature, type_, given, f"the mapping of {wanted.source}").as_json()
        per_quantity = True if per_quantity is None else per_quantity
    return {
        "connection": wanted.connection,
        "price": wanted.price or None,
        "product": wanted.product or None,
        "package": wanted.package or None,
        "feature": wanted.feature or None,
        "terms": terms,
        "per_quantity": per_quantity,
        "managed_by": wanted.managed_by,
        "by": wanted.by,
    }


def _manage(db: Connection, known: RowMapping, managed_by: str) -> bool:
    """Notes who manages a mapping that stays as it is; false when that is noted."""
    statement = text("update tidegate.mappings set managed_by = :by where id = :id and managed_by <> :by")
    return db.execute(statement, {"id": known["id"], "by": managed_by}).rowcount > 0


def _known(db: Connection, wanted: Wanted) -> None:
    """Refuses a price or product that the mirror does not have: a typing error would wait for ever."""
    table = "prices" if wanted.price else "products"
    found = db.scalar(
        text(f"select exists(select from stripe.{table} where connection = :connection and id = :id)"),
        {"connection": wanted.connection, "id": wanted.price or wanted.product},
    )
    if not found:
        raise CatalogInvalid(
            problem=f"The mirror of {wanted.connection} has no {table[:-1]} {wanted.price or wanted.product}. "
            "Check the id; a new one comes in with `tidegate catch-up`."
        )


def _end(db: Connection, mapping: int) -> None:
    db.execute(text("update tidegate.mappings set removed_at = clock_timestamp() where id = :id"), {"id": mapping})


def shown(row: RowMapping | Mapping[str, Any]) -> str:
    """A mapping in words: `price_1 → package pro`."""
    target = f"package {row['package']}" if row["package"] else f"feature {row['feature']}"
    return f"{row['price'] or row['product']} → {target}"


_SET = text("""
insert into tidegate.mappings
  (connection, price, product, package, feature, terms, per_quantity, managed_by, created_by)
values (:connection, :price, :product, :package, :feature, cast(:terms as jsonb), :per_quantity, :managed_by, :by)
returning id""")

_IN_FORCE = text("""
select * from tidegate.mappings
where connection = :connection and removed_at is null
  and (price = cast(:price as text) or product = cast(:product as text))""")

_ONE = text("select * from tidegate.mappings where id = :id and removed_at is null")

_EVERY = text("""
select m.id, m.connection, m.price, m.product, coalesce(own.name, of.name) as product_name, p.nickname,
  p.interval, p.interval_count, m.package, m.feature,
  m.terms, m.per_quantity, m.managed_by, m.created_at, m.created_by
from tidegate.mappings m
left join stripe.products own on own.connection = m.connection and own.id = m.product
left join stripe.prices p on p.connection = m.connection and p.id = m.price
left join stripe.products of on of.connection = m.connection and of.id = p.product
where m.removed_at is null and (cast(:connection as text) is null or m.connection = :connection)
order by m.connection, product_name, m.id""")

_TOUCHED = text("""
select distinct l.contact from stripe.subscription_items i
join stripe.subscriptions s on s.connection = i.connection and s.id = i.subscription and s.deleted_at is null
join tidegate.links l on l.connection = s.connection and l.customer = s.customer
where i.connection = :connection and i.deleted_at is null and l.contact is not null
  and (i.price = cast(:price as text) or i.product = cast(:product as text))
order by 1""")

LIVE = "('trialing', 'active', 'past_due', 'unpaid', 'paused')"

UNMAPPED = """not exists (
    select from tidegate.mappings m where m.connection = i.connection and m.removed_at is null
      and (m.price = i.price or m.product = i.product))
  and not exists (
    select from tidegate.kept_mappings k
    where k.connection = i.connection and k.subscription = i.subscription and k.price = i.price)
  and not exists (
    select from tidegate.ignored_prices g where g.connection = i.connection and g.price = i.price)"""
"""SQL: whether nothing says what the price of an item `i` means, or that it means nothing."""

_WAITING = f"""
from stripe.subscriptions s
join stripe.subscription_items i on i.connection = s.connection and i.subscription = s.id and i.deleted_at is null
where s.connection = :connection and s.deleted_at is null and s.status in {LIVE} and i.price is not null
  and {UNMAPPED}"""

_CURRENCY = "coalesce(s.currency, i.currency)"

_QUEUE = text(f"""
select w.price, w.product, p.name as product_name, r.nickname, r.unit_amount, w.currency, w.interval, w.interval_count,
  w.currencies, w.subscriptions, w.customers, u.since
from (
  select i.price, max(i.product) as product, max({_CURRENCY}) as currency,
    count(distinct {_CURRENCY}) as currencies, max(i.interval) as interval,
    max(i.interval_count) as interval_count, count(distinct s.id) as subscriptions,
    count(distinct s.customer) as customers
  {_WAITING} group by i.price) w
left join stripe.products p on p.connection = :connection and p.id = w.product
left join lateral (
  select data ->> 'nickname' as nickname, unit_amount from stripe.prices
  where connection = :connection and id = w.price) r on true
left join tidegate.unmapped_prices u on u.connection = :connection and u.price = w.price
order by w.subscriptions desc, w.price""")

_QUANTITIES = text(f"""
select i.price, min(i.id) as item, (min(array[i.id, i.subscription]))[2] as subscription, count(*) as items
{_WAITING} group by i.price, {_CURRENCY}, i.quantity""")
"""How many items of each price have a quantity, and one of them."""

_NOTE = f"""
with mapped as (
  delete from tidegate.unmapped_prices u
  where u.connection = :connection and exists (
    select from tidegate.mappings m
    where m.connection = u.connection and m.removed_at is null and (m.price = u.price or m.product = u.product)))
insert into tidegate.unmapped_prices (connection, price, product)
select distinct on (i.price) :connection, i.price, i.product {_WAITING}{{whose}}
on conflict do nothing returning connection, price, product"""

_NOTE_UNMAPPED = text(_NOTE.format(whose=""))

_NOTE_UNMAPPED_OF = text(_NOTE.format(whose="\n  and s.customer = any(cast(:customers as text[]))"))
