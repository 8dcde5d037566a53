"""Loads what histories are made of: versions of subscriptions, their invoice lines, and what both name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, TextClause, text

from tidegate.mirror.before import before
from tidegate.mirror.versions import Stored, stored
from tidegate.pricing.facts import Facts
from tidegate.revenue.history.evidence import Billed
from tidegate.revenue.history.inherited import Holding, holdings, inherited, with_ends
from tidegate.revenue.history.last_lines import Lines
from tidegate.revenue.history.observed import Version
from tidegate.store.driver import each, rows
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.shapes.base import Shape
from tidegate.stripe_api.shapes.catalog import Coupon, Price, TaxRate
from tidegate.stripe_api.shapes.customers import Customer
from tidegate.stripe_api.shapes.decoders import decoder
from tidegate.stripe_api.shapes.discounts import Discount
from tidegate.stripe_api.shapes.invoices import Invoice, StatusTransitions
from tidegate.stripe_api.shapes.lines import InvoiceLine
from tidegate.stripe_api.shapes.subscriptions import Subscription, SubscriptionItem

_S = TypeVar("_S", bound=Shape)


@dataclass(slots=True)
class Loaded:
    """A subscription's versions, oldest first, and the lines of all its invoices. `stood`: how it was just before the
    first version, where that is an event that tells of it. `lacks`: tax rates that are named and not known.
    """

    customer: str
    versions: list[Version] = field(default_factory=list[Version])
    billed: list[Billed] = field(default_factory=list[Billed])
    stood: Facts | None = None
    lacks: set[str] = field(default_factory=set[str])


def load(db: Connection, connection: str, customers: Sequence[str]) -> dict[str, Loaded]:
    """The subscriptions of these customers (Stripe ids) by their ids, test clocks' left out."""
    of: dict[str, str] = {row.id: row.customer for row in rows(db, _SUBSCRIPTIONS, _of(connection, customers))}
    if not of:
        return {}
    kept = stored(db, connection, RESOURCES["subscriptions"], list(of))
    billed = _billed(db, connection, customers)
    told = {id_: [_told(one) for one in those] for id_, those in kept.items()}
    cut = [id_ for id_, those in told.items() if any(one.is_cut for one in those)]
    live = _live_items(db, connection, cut) if cut else {}
    beside = _Beside.load(db, connection, customers, told.values(), billed.values())
    found: dict[str, Loaded] = {}
    for id_, customer in of.items():
        if id_ not in told:
            continue
        loaded = found[id_] = Loaded(customer, billed=billed.get(id_, []))
        loaded.lacks = _rates(told[id_], loaded.billed) - beside.tax_rates.keys()
        lines, items = Lines(loaded.billed, beside.metered), live.get(id_, ())
        for one in told[id_]:
            loaded.versions.append(Version(one.at, beside.facts(customer, one, items, lines), one.event or "read"))
        first = kept[id_][0]
        loaded.versions = with_ends(loaded.versions, beside.held.get(customer, ()), lines.at)
        if first.previous:
            rebuilt = msgspec.json.encode(before(msgspec.json.decode(first.body), first.previous)).decode()
            loaded.stood = beside.facts(customer, _told(first._replace(body=rebuilt)), items, lines)
    return found


@dataclass(frozen=True, slots=True)
class _Told:
    """A version of a subscription, decoded."""

    at: int
    event: str
    shape: Subscription
    items: list[SubscriptionItem]

    @property
    def is_cut(self) -> bool:
        """Whether its list of items ends before they do."""
        return self.shape.items is not None and bool(self.shape.items.has_more)


def _told(kept: Stored) -> _Told:
    shape = _shape(Subscription, kept.body)
    read = [_decoded(SubscriptionItem, raw) for raw in (shape.items.data if shape.items else None) or ()]
    return _Told(kept.at, kept.event, shape, [one for one in read if one is not None])


@dataclass(slots=True)
class _Beside:
    """What subscriptions and lines name, by id. `metered`: the prices of usage, also those that are only embedded."""

    prices: dict[str, Price]
    metered: set[str]
    coupons: dict[str, Coupon]
    discounts: dict[str, Discount]
    tax_rates: dict[str, TaxRate]
    held: dict[str, list[Holding]]

    @classmethod
    def load(
        cls,
        db: Connection,
        connection: str,
        customers: Sequence[str],
        told: Iterable[Sequence[_Told]],
        billed: Iterable[Sequence[Billed]],
    ) -> "_Beside":
        versions = [version for of_one in told for version in of_one]
        items = [item for version in versions for item in version.items]
        lines = [one.line for of_one in billed for one in of_one]
        listed = rows(db, _DISCOUNTS, _of(connection, customers))
        discounts = {row.id: _shape(Discount, row.data) for row in listed}
        gone: dict[str, list[tuple[Discount, int | None]]] = {}
        for row in listed:
            gone.setdefault(row.customer, []).append((discounts[row.id], row.gone_at))
        known = _by_id(db, connection, "customers", Customer, customers)
        prices = {one.price for one in items} | {line.price for line in lines}
        coupons = {one.coupon for one in discounts.values()}
        held = {id_: holdings(one.discount, gone.get(id_, ())) for id_, one in known.items()}
        coupons |= {one.discount.coupon for those in held.values() for one in those}
        coupons |= {coupon for one in versions for coupon in one.shape.coupons}
        coupons |= {coupon for one in items for coupon in one.coupons}
        rates = _rates(versions, [one for of_one in billed for one in of_one])
        stored_prices = _by_id(db, connection, "prices", Price, prices)
        return cls(
            stored_prices,
            _metered(stored_prices, [*items, *lines]),
            _by_id(db, connection, "coupons", Coupon, coupons),
            discounts,
            _by_id(db, connection, "tax_rates", TaxRate, rates),
            held,
        )

    def facts(
        self,
        customer: str,
        told: _Told,
        live: Sequence[SubscriptionItem],
        lines: Lines,
    ) -> Facts:
        """All that the worth of a version depends on."""
        return Facts(
            told.shape,
            _items(told, live),
            prices=self.prices,
            coupons=self.coupons,
            discounts=self.discounts,
            tax_rates=self.tax_rates,
            customer_discounts=inherited(self.held.get(customer, ()), told.at),
            lines=lines.at(told.at),
        )


def _metered(known: Mapping[str, Price], naming: Iterable[SubscriptionItem | InvoiceLine]) -> set[str]:
    """The ids of prices of usage among those that are known, or told by what names them."""
    told = {one.price: one.terms for one in naming if one.price and one.terms} | {**known}
    return {id_ for id_, price in told.items() if price.usage_type == "metered"}


def _rates(told: Iterable[_Told], billed: Iterable[Billed]) -> set[str]:
    """The tax rates that versions and lines name by id."""
    rates: list[str | TaxRate] = []
    for version in told:
        rates += version.shape.default_tax_rates or ()
        rates += [rate for item in version.items for rate in item.tax_rates or ()]
    for _, line in billed:
        rates += line.tax_rates or ()
        rates += [tax.rate for tax in line.inclusive_taxes if tax.rate]
    return {rate for rate in rates if isinstance(rate, str)}


def _items(told: _Told, live: Sequence[SubscriptionItem]) -> list[SubscriptionItem]:
    """The items of a version; where its list was cut off, those that stand now and were there then come with it."""
    if not told.is_cut:
        return told.items
    named = {item.id for item in told.items}
    oldest = max((item.created or 0 for item in told.items), default=0)
    return told.items + [one for one in live if one.id not in named and (one.created or 0) <= oldest]


def _billed(db: Connection, connection: str, customers: Sequence[str]) -> dict[str, list[Billed]]:
    """By subscription, oldest first: an invoice may bill several. Each statement sees the mirror at its own instant, so
    lines may come of an invoice that came after the first; their customer is refreshed again for it.
    """
    found: dict[str, list[Billed]] = {}
    invoices = {row.id: _invoice(row) for row in rows(db, _INVOICES, _of(connection, customers))}
    for row in each(db, _LINES, _of(connection, customers)) if invoices else ():
        line, invoice = _decoded(InvoiceLine, row.data), invoices.get(row.invoice)
        if line is not None and invoice is not None:
            found.setdefault(row.subscription, []).append(Billed(invoice, line))
    for lines in found.values():
        lines.sort(key=lambda one: (one.invoice.created or 0, one.invoice.id or ""))  # stable: lines keep their order
    return found


def _invoice(row: Any) -> Invoice:
    """What history asks of an invoice, from its columns."""
    return Invoice(
        id=row.id,
        created=row.created,
        status=row.status,
        billing_reason=row.billing_reason,
        collection_method=row.collection_method,
        attempt_count=row.attempt_count,
        due_date=row.due_date,
        status_transitions=StatusTransitions(
            finalized_at=row.finalized_at,
            paid_at=row.paid_at,
            voided_at=row.voided_at,
            marked_uncollectible_at=row.marked_uncollectible_at,
        ),
    )


def _live_items(db: Connection, connection: str, subscriptions: Sequence[str]) -> dict[str, list[SubscriptionItem]]:
    found: dict[str, list[SubscriptionItem]] = {}
    for row in rows(db, _ITEMS, _of(connection, subscriptions)):
        if (item := _decoded(SubscriptionItem, row.data)) is not None:
            found.setdefault(row.subscription, []).append(item)
    return found


def _by_id(db: Connection, connection: str, name: str, shape: type[_S], ids: Iterable[str | None]) -> dict[str, _S]:
    wanted = sorted({one for one in ids if one})
    if not wanted:
        return {}
    return {row.id: _shape(shape, row.data) for row in rows(db, _named(name), _of(connection, wanted))}


@cache
def _named(table: str) -> TextClause:
    return text(f"""
select id, data::text as data from stripe.{table}
where connection = :connection and id = any(cast(:ids as text[]))""")


def _shape(shape: type[_S], body: str) -> _S:
    """A stored object as a shape; one that does not fit is nothing but its id, as `tidegate.unreadable` says."""
    found = _decoded(shape, body)
    return found if found is not None else shape(id=msgspec.json.decode(body).get("id"))


def _decoded(shape: type[_S], body: str | msgspec.Raw) -> _S | None:
    try:
        return decoder(shape).decode(body)
    except msgspec.MsgspecError:
        return None


def _of(connection: str, ids: Sequence[str]) -> dict[str, Any]:
    return {"connection": connection, "ids": list(ids)}


_SUBSCRIPTIONS = text("""
select id, customer from stripe.subscriptions
where connection = :connection and customer = any(cast(:ids as text[])) and deleted_at is null and test_clock is null
order by id""")

_INVOICES = text("""
select id, extract(epoch from created)::bigint as created, status, billing_reason, collection_method, attempt_count,
  extract(epoch from due_date)::bigint as due_date, extract(epoch from finalized_at)::bigint as finalized_at,
  extract(epoch from paid_at)::bigint as paid_at,
  extract(epoch from voided_at)::bigint as voided_at,
  extract(epoch from marked_uncollectible_at)::bigint as marked_uncollectible_at
from stripe.invoices where connection = :connection and customer = any(cast(:ids as text[])) and deleted_at is null""")

_LINES = text("""
select l.subscription, l.invoice, l.data::text as data
from stripe.invoices i join stripe.invoice_lines l on l.connection = i.connection and l.invoice = i.id
where i.connection = :connection and i.customer = any(cast(:ids as text[])) and i.deleted_at is null
  and l.deleted_at is null and l.subscription is not null
order by l.invoice, l.position""")

_ITEMS = text("""
select subscription, data::text as data from stripe.subscription_items
where connection = :connection and subscription = any(cast(:ids as text[])) and deleted_at is null
order by subscription, position""")

_DISCOUNTS = text("""
select id, customer, data::text as data, extract(epoch from deleted_at)::bigint as gone_at from stripe.discounts
where connection = :connection and customer = any(cast(:ids as text[]))""")
