"""Subscription Billed and One-Time Purchase: what a paid invoice billed, each subscription and interval apart."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tidegate.money import decimal
from tidegate.pricing.months import per_month
from tidegate.pricing.policy import Policy
from tidegate.revenue.billing.event import BILLED, PLAN_LEVEL, PURCHASE, REFUNDED, Event, told
from tidegate.revenue.billing.given import Bill, Catalog, Who
from tidegate.revenue.billing.pieces import Kind, Piece
from tidegate.revenue.billing.sharing import share
from tidegate.stripe_api.shapes.invoices import Invoice

_Group = tuple[str, str, int]
_PLAIN = Policy()


def billed(bill: Bill, found: Sequence[Piece], who: Who, catalog: Catalog) -> Iterator[Event]:
    """The events of an invoice, once it is paid, however late; none before.

    One for each subscription and interval, and one for each one-time line; none where it comes to nothing.
    """
    invoice = bill.invoice
    if invoice.status != "paid":
        return
    groups: dict[_Group, list[Piece]] = {}
    sold: dict[str, list[Piece]] = {}
    for piece in found:
        if piece.kind == "one_time":
            sold.setdefault(piece.source, []).append(piece)
        else:
            groups.setdefault((piece.subscription, piece.interval, piece.count), []).append(piece)
    parts = [*groups.values(), *sold.values()]
    paid = share(invoice.amount_paid or 0, [sum(piece.gross for piece in part) for part in parts])
    for (group, part), paid_of_it in zip(groups.items(), paid[: len(groups)], strict=True):
        if sum(piece.net for piece in part):
            yield _of_subscription(invoice, group, part, paid_of_it, who, catalog)
    for (source, part), paid_of_it in zip(sold.items(), paid[len(groups) :], strict=True):
        if sum(piece.net for piece in part):
            yield _purchase(invoice, source, part, paid_of_it, who, catalog)


def dated(invoice: Invoice) -> int:
    """The date of an invoice, epoch seconds: as of when it is effective, else when it was finalised, else created."""
    times = (invoice.effective_at, invoice.finalized_at, invoice.created)
    return next((time for time in times if time is not None), 0)


def plan_level(found: Sequence[Piece], catalog: Catalog) -> str:
    """What a subscription is called: the base packages of its lines, the largest first, else the product of the largest
    line; lines of what recurs before prorations.
    """
    ranked = sorted(found, key=lambda piece: (piece.kind == "proration", piece.net < 0, -abs(piece.net), piece.line))
    return named([(piece.price, piece.product) for piece in ranked], catalog)


def named(ranked: Sequence[tuple[str, str]], catalog: Catalog) -> str:
    """What prices with their products, the largest first, are called together."""
    packages = [key for price, product in ranked if (key := catalog.package(price, product))]
    if packages:
        return ", ".join(dict.fromkeys(packages))
    return next((catalog.products.get(product, "") for _, product in ranked), "")


def length(interval: str, count: int) -> Fraction | None:
    """The months of a billing period; None: it has none."""
    periods = per_month(interval, count, _PLAIN)
    return None if periods is None else 1 / periods


def _of_subscription(
    invoice: Invoice, group: _Group, found: Sequence[Piece], paid: int, who: Who, catalog: Catalog
) -> Event:
    """What was billed; where that is less than nothing, the refund that it amounts to."""
    subscription, interval, count = group
    currency, amount = (invoice.currency or "").lower(), sum(piece.net for piece in found)
    sums = {
        kind: sum(piece.net for piece in found if piece.kind == kind) for kind in ("recurring", "proration", "usage")
    }
    level = plan_level(found, catalog)
    if amount > 0:
        name, kind, properties = BILLED, "billed", _billing(sums, amount, paid, group, currency)
    else:
        name, kind, amount = REFUNDED, "proration_credit", -amount
        properties = {"Subscription Refund Amount": decimal(amount, currency), "Refund Reason": kind}
    months = length(interval, count)
    return Event(
        id=f"billed:{invoice.id}:{subscription}:{_spelt(interval, count)}",
        name=name,
        at=dated(invoice),
        came_at=invoice.paid_at or dated(invoice),
        customer=who.customer,
        identity=who.identity(invoice.customer_email),
        subscription=subscription,
        invoice=invoice.id,
        currency=currency,
        amount=amount,
        details={
            "kind": kind,
            **sums,
            "tax": sum(piece.tax for piece in found),
            "paid": paid,
            "interval": interval,
            "interval_count": count,
            "months": None if months is None else str(months),
            "lines": _lines(found),
        },
        properties=told(**properties, **{PLAN_LEVEL: level, "Currency": currency.upper()}),
    )


def _billing(sums: dict[str, int], amount: int, paid: int, group: _Group, currency: str) -> dict[str, Any]:
    months = length(group[1], group[2])
    return {
        "Subscription Billing Amount": decimal(amount, currency),
        "Recurring Amount": decimal(sums["recurring"], currency),
        "Proration Amount": decimal(sums["proration"], currency),
        "Usage Amount": decimal(sums["usage"], currency),
        "Amount Paid": decimal(paid, currency),
        "Subscription Billing Length": None if months is None else _rounded(months),
    }


def _rounded(months: Fraction) -> Decimal:
    """Months as a decimal: 12, or 0.230769 for a week."""
    exact = Decimal(months.numerator) / Decimal(months.denominator)
    return exact if months.denominator == 1 else round(exact, 6)


def _spelt(interval: str, count: int) -> str:
    return interval if count == 1 else f"{interval}-{count}"


def _lines(found: Sequence[Piece]) -> list[dict[str, Any]]:
    """What the lines say together: a price with tiers has a line for each, and they are one."""
    together: dict[tuple[str, str, Kind, bool], list[Piece]] = {}
    for piece in found:
        together.setdefault((piece.item, piece.price, piece.kind, piece.net < 0), []).append(piece)
    return [
        {
            "item": item,
            "price": price,
            "product": those[0].product,
            "kind": kind,
            "quantity": sum(piece.quantity for piece in those),
            "amount": sum(piece.net for piece in those),
        }
        for (item, price, kind, _), those in together.items()
    ]


def _purchase(invoice: Invoice, source: str, found: Sequence[Piece], paid: int, who: Who, catalog: Catalog) -> Event:
    """What was sold once; a line that gives something back is a purchase of less than nothing."""
    first = found[0]
    currency, amount = (invoice.currency or "").lower(), sum(piece.net for piece in found)
    quantity = sum(piece.quantity for piece in found)
    name = catalog.products.get(first.product, "") or first.description
    return Event(
        id=f"purchase:{invoice.id}:{source}",
        name=PURCHASE,
        at=dated(invoice),
        came_at=invoice.paid_at or dated(invoice),
        customer=who.customer,
        identity=who.identity(invoice.customer_email),
        subscription=first.subscription or None,
        invoice=invoice.id,
        currency=currency,
        amount=amount,
        details={
            "kind": "purchase",
            "tax": sum(piece.tax for piece in found),
            "paid": paid,
            "line": first.line,
            "price": first.price,
            "product": first.product,
            "quantity": quantity,
        },
        properties=told(
            **{
                "Purchase Amount": decimal(amount, currency),
                "Amount Paid": decimal(paid, currency),
                "Product Name": name,
                "Quantity": quantity,
                "Currency": currency.upper(),
            }
        ),
    )
