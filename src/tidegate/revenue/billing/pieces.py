"""What the lines of an invoice come to: each line's amount without discounts and tax, less what was credited unpaid."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tidegate.revenue.billing.given import Bill, Catalog, Noted, Terms
from tidegate.revenue.billing.sharing import share
from tidegate.stripe_api.shapes.catalog import Price
from tidegate.stripe_api.shapes.credits import CreditNoteLine
from tidegate.stripe_api.shapes.invoices import Invoice
from tidegate.stripe_api.shapes.lines import InvoiceLine

Kind = Literal["recurring", "proration", "usage", "one_time"]
SHIPPING = "shipping"
"""The id of the line that stands for shipping, which Stripe keeps beside the lines."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A line: `net` after discounts and without tax, `tax` on it, both in minor units and signed.

    `source`: the invoice item behind it, else the line itself. A one-time line of a subscription names that, too.
    """

    line: str
    source: str
    kind: Kind
    subscription: str
    item: str
    price: str
    product: str
    interval: str
    count: int
    quantity: int
    description: str
    net: int
    tax: int

    @property
    def gross(self) -> int:
        """What the line asks for."""
        return self.net + self.tax


def pieces(bill: Bill, catalog: Catalog) -> list[Piece]:
    """The lines of a bill, shipping last, less what credit notes took off before it was paid."""
    found = [_piece(bill.invoice, line, catalog) for line in bill.lines]
    found += _shipping(bill.invoice)
    found = _balanced(bill, found)
    for noted in bill.notes:
        if noted.stands and noted.note.pre_payment_amount:
            found = _lowered(found, noted, noted.note.pre_payment_amount)
    return found


def credited(pieces: Sequence[Piece], noted: Iterable[Noted]) -> list[int]:
    """By piece how much of it credit notes are about, in minor units with tax; what a note says of no line is shared
    over all of them.
    """
    found = [0] * len(pieces)
    places = {piece.line: n for n, piece in enumerate(pieces)}
    for note in noted:
        for line in note.lines:
            amount = _asked(line)
            if line.invoice_line_item in places:
                found[places[line.invoice_line_item]] += amount
            else:
                found = [a + b for a, b in zip(found, share(amount, _positive(pieces)), strict=True)]
    return found


def _piece(invoice: Invoice, line: InvoiceLine, catalog: Catalog) -> Piece:
    terms = catalog.prices.get(line.price or "") or _own_terms(line.terms)
    subscription = line.subscription or invoice.subscription or ""
    recurs = bool(subscription) and (line.proration or line.subscription_item or line.type == "subscription")
    kind: Kind = (
        "one_time" if not recurs else "proration" if line.proration else "usage" if terms.metered else "recurring"
    )
    source = line.invoice_item if kind == "one_time" else None
    included = line.inclusive_tax or 0
    return Piece(
        line=line.id or "",
        source=source or line.id or "",
        kind=kind,
        subscription=subscription if recurs else line.subscription or "",
        item=line.subscription_item or "",
        price=line.price or "",
        product=terms.product or line.product or "",
        interval=terms.interval if recurs else "",
        count=terms.interval_count if recurs else 1,
        quantity=line.quantity or 0,
        description=line.description or "",
        net=(line.amount or 0) - (line.discount_amount or 0) - included,
        tax=line.tax_amount or 0,
    )


def _own_terms(price: Price | None) -> Terms:
    if price is None:
        return Terms()
    return Terms(price.interval or "", price.interval_count or 1, price.usage_type == "metered", price.product or "")


def _shipping(invoice: Invoice) -> list[Piece]:
    cost = invoice.shipping_cost
    if cost is None or not cost.amount_total:
        return []
    tax = cost.amount_tax or 0
    net = cost.amount_total - tax if cost.amount_subtotal is None else cost.amount_subtotal
    return [Piece(SHIPPING, SHIPPING, "one_time", "", "", "", "", "", 1, 1, "Shipping", net, tax)]


def _balanced(bill: Bill, found: list[Piece]) -> list[Piece]:
    """The pieces, so that they add up to the invoice's total: what discounts and taxes it tells only as a whole, as
    older ones do, is shared over what costs something.
    """
    invoice = bill.invoice
    if invoice.total is None or not found:
        return found
    if not any(line.tax_amount for line in bill.lines) and invoice.tax:
        taxes = share(invoice.tax - sum(piece.tax for piece in found), _positive(found))
        found = [replace(piece, tax=piece.tax + tax) for piece, tax in zip(found, taxes, strict=True)]
    granted = sum(line.granted for line in bill.lines)
    missing = invoice.total + granted - sum(piece.gross for piece in found)
    if not missing:
        return found
    shares = share(missing, _positive(found))
    return [replace(piece, net=piece.net + part) for piece, part in zip(found, shares, strict=True)]


def _lowered(found: list[Piece], noted: Noted, amount: int) -> list[Piece]:
    """The pieces less `amount` minor units, tax among them as the note says, that it took off before payment."""
    about = credited(found, [noted])
    if not any(about):
        about = _positive(found)
    tax = noted.note.tax or 0
    off_net, off_tax = share(amount, [(noted.note.amount or 0) - tax, tax])
    nets, taxes = share(off_net, about), share(off_tax, about)
    return [
        replace(piece, net=piece.net - net, tax=piece.tax - part)
        for piece, net, part in zip(found, nets, taxes, strict=True)
    ]


def _asked(line: CreditNoteLine) -> int:
    exclusive = (line.tax_amount or 0) - line.inclusive_tax
    return (line.amount or 0) - (line.discount_amount or 0) + exclusive


def _positive(pieces: Sequence[Piece]) -> list[int]:
    return [max(piece.gross, 0) for piece in pieces]
