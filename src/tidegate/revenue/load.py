"""Loads what histories are made of: versions of subscriptions, their invoice lines, and what both name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, text

from tidegate.mirror.versions import Version as Kept
from tidegate.mirror.versions import versions_of
from tidegate.pricing.facts import Facts
from tidegate.revenue.history.evidence import Billed
from tidegate.revenue.history.observed import Version
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.shapes.base import Shape
from tidegate.stripe_api.shapes.catalog import Coupon, Price, TaxRate
from tidegate.stripe_api.shapes.customers import Customer
from tidegate.stripe_api.shapes.decoders import decoder
from tidegate.stripe_api.shapes.discounts import Discount
from tidegate.stripe_api.shapes.invoices import Invoice
from tidegate.stripe_api.shapes.lines import InvoiceLine
from tidegate.stripe_api.shapes.subscriptions import Subscription, SubscriptionItem

_S = TypeVar("_S", bound=Shape)


@dataclass(slots=True)
class Loaded:
    """A subscription's versions, oldest first, and the lines of all its invoices."""

    customer: str
    versions: list[Version] = field(default_factory=list[Version])
    billed: list[Billed] = field(default_factory=list[Billed])


def load(db: Connection, connection: str, customers: Sequence[str]) -> dict[str, Loaded]:
    """The subscriptions of these customers (Stripe ids) by their ids, test clocks' left out."""
    of = {row.id: row.customer for row in db.execute(_SUBSCRIPTIONS, _of(connection, customers))}
    kept = versions_of(db, connection, RESOURCES["subscriptions"], list(of))
    billed = _billed(db, connection, customers)
    live = _live_items(db, connection, list(of))
    shapes = {
        id_: [(one, _shape(Subscription, one.data)) for one in those if one.at is not None]
        for id_, those in kept.items()
    }
    items = {id_: [_items(shape, live.get(id_, ())) for _, shape in those] for id_, those in shapes.items()}
    beside = _Beside.load(db, connection, customers, items.values(), billed.values())
    found: dict[str, Loaded] = {}
    for id_, customer in of.items():
        loaded = found[id_] = Loaded(customer, billed=billed.get(id_, []))
        for (one, shape), of_version in zip(shapes.get(id_, ()), items.get(id_, ()), strict=True):
            facts = beside.facts(customer, shape, of_version, loaded.billed)
            loaded.versions.append(Version(one.at or 0, facts, _source(one)))
    return {id_: loaded for id_, loaded in found.items() if loaded.versions}


@dataclass(slots=True)
class _Beside:
    """What subscriptions and lines name, by id."""

    prices: dict[str, Price]
    coupons: dict[str, Coupon]
    discounts: dict[str, Discount]
    tax_rates: dict[str, TaxRate]
    customers: dict[str, Customer]

    @classmethod
    def load(
        cls,
        db: Connection,
        connection: str,
        customers: Sequence[str],
        items: Iterable[Sequence[Sequence[SubscriptionItem]]],
        billed: Iterable[Sequence[Billed]],
    ) -> "_Beside":
        prices = {item.price for versions in items for version in versions for item in version if item.price}
        prices |= {one.line.price for lines in billed for one in lines if one.line.price}
        return cls(
            _by_id(db, connection, "prices", Price, sorted(prices)),
            _all(db, connection, "coupons", Coupon),
            {row.id: _shape(Discount, row.data) for row in db.execute(_DISCOUNTS, _of(connection, customers))},
            _all(db, connection, "tax_rates", TaxRate),
            _by_id(db, connection, "customers", Customer, customers),
        )

    def facts(
        self, customer: str, shape: Subscription, items: Sequence[SubscriptionItem], billed: Sequence[Billed]
    ) -> Facts:
        """All that the worth of a version depends on."""
        known = self.customers.get(customer)
        own = [known.discount] if known and isinstance(known.discount, Discount) else []
        return Facts(
            shape,
            items,
            prices=self.prices,
            coupons=self.coupons,
            discounts=self.discounts,
            tax_rates=self.tax_rates,
            customer_discounts=own,
            lines=_last_lines(billed),
        )


def _last_lines(billed: Sequence[Billed]) -> Mapping[str, Sequence[InvoiceLine]]:
    """By item the lines of the last finalised invoice that has any for it, prorations left out."""
    found: dict[str, tuple[int, str, list[InvoiceLine]]] = {}
    for invoice, line in billed:
        if not line.subscription_item or line.proration or invoice.status in {"draft", "void", None}:
            continue
        at, id_ = line.period_start or 0, invoice.id or ""
        standing = found.get(line.subscription_item)
        if standing is None or (at, id_) > standing[:2]:
            found[line.subscription_item] = (at, id_, [line])
        elif (at, id_) == standing[:2]:
            standing[2].append(line)
    return {item: lines for item, (_, _, lines) in found.items()}


def _items(shape: Subscription, live: Sequence[SubscriptionItem]) -> list[SubscriptionItem]:
    """The items of a version; where its list was cut off, those that stand now and were there then come with it."""
    told = [_decoded(SubscriptionItem, raw) for raw in (shape.items.data if shape.items else None) or ()]
    items = [one for one in told if one is not None]
    if shape.items is None or not shape.items.has_more:
        return items
    named = {item.id for item in items}
    oldest = max((item.created or 0 for item in items), default=0)
    return items + [one for one in live if one.id not in named and (one.created or 0) <= oldest]


def _billed(db: Connection, connection: str, customers: Sequence[str]) -> dict[str, list[Billed]]:
    """By subscription: an invoice may bill several."""
    found: dict[str, list[Billed]] = {}
    invoices: dict[str, Invoice] = {}
    for row in db.execute(_LINES, _of(connection, customers)):
        invoice = invoices.get(row.invoice) or invoices.setdefault(row.invoice, _shape(Invoice, row.invoice_data))
        line = _decoded(InvoiceLine, row.data)
        if line is not None:
            found.setdefault(row.subscription, []).append(Billed(invoice, line))
    return found


def _live_items(db: Connection, connection: str, subscriptions: Sequence[str]) -> dict[str, list[SubscriptionItem]]:
    found: dict[str, list[SubscriptionItem]] = {}
    for row in db.execute(_ITEMS, {"connection": connection, "ids": list(subscriptions)}):
        if (item := _decoded(SubscriptionItem, row.data)) is not None:
            found.setdefault(row.subscription, []).append(item)
    return found


def _by_id(db: Connection, connection: str, name: str, shape: type[_S], ids: Sequence[str]) -> dict[str, _S]:
    rows = db.execute(
        text(
            f"select id, data\\:\\:text as data from stripe.{name} "
            "where connection = :connection and id = any(cast(:ids as text[]))"
        ),
        {"connection": connection, "ids": list(ids)},
    )
    return {row.id: _shape(shape, row.data) for row in rows}


def _all(db: Connection, connection: str, name: str, shape: type[_S]) -> dict[str, _S]:
    rows = db.execute(
        text(f"select id, data\\:\\:text as data from stripe.{name} where connection = :connection"),
        {"connection": connection},
    )
    return {row.id: _shape(shape, row.data) for row in rows}


def _shape(shape: type[_S], data: Any) -> _S:
    """A stored object, JSON or decoded, as a shape; one that does not fit is nothing but its id, as
    `tidegate.unreadable` says.
    """
    raw = data if isinstance(data, str) else msgspec.json.encode(data)
    found = _decoded(shape, raw)
    return found if found is not None else shape(id=msgspec.json.decode(raw).get("id"))


def _decoded(shape: type[_S], raw: bytes | str | msgspec.Raw) -> _S | None:
    try:
        return decoder(shape).decode(raw)
    except msgspec.MsgspecError:
        return None


def _source(version: Kept) -> str:
    return version.event or "read"


def _of(connection: str, customers: Sequence[str]) -> dict[str, Any]:
    return {"connection": connection, "ids": list(customers)}


_SUBSCRIPTIONS = text("""
select id, customer from stripe.subscriptions
where connection = :connection and customer = any(cast(:ids as text[])) and deleted_at is null and test_clock is null
order by id""")

_LINES = text(r"""
select l.subscription, l.invoice, l.data\:\:text as data, (i.data - 'lines')\:\:text as invoice_data
from stripe.invoices i join stripe.invoice_lines l on l.connection = i.connection and l.invoice = i.id
where i.connection = :connection and i.customer = any(cast(:ids as text[])) and i.deleted_at is null
  and l.deleted_at is null and l.subscription is not null
order by i.created, i.id, l.position""")

_ITEMS = text(r"""
select subscription, data\:\:text as data from stripe.subscription_items
where connection = :connection and subscription = any(cast(:ids as text[])) and deleted_at is null
order by subscription, position""")

_DISCOUNTS = text(r"""
select id, data\:\:text as data from stripe.discounts
where connection = :connection and customer = any(cast(:ids as text[]))""")
