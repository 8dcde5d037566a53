"""Payment Failed: one for each attempt at an invoice that was refused."""

from collections.abc import Iterator, Sequence

from tidegate.revenue.billing.billed import plan_level
from tidegate.revenue.billing.event import PAYMENT_FAILED, PLAN_LEVEL, Event, decimal, told
from tidegate.revenue.billing.given import Bill, Catalog, Who
from tidegate.revenue.billing.pieces import Piece


def failed(bill: Bill, found: Sequence[Piece], who: Who, catalog: Catalog) -> Iterator[Event]:
    """The refused charges of an invoice, whatever became of it afterwards."""
    invoice = bill.invoice
    subscriptions = {piece.subscription for piece in found if piece.subscription}
    only = invoice.subscription or (next(iter(subscriptions)) if len(subscriptions) == 1 else None)
    recurring = [piece for piece in found if piece.kind != "one_time"]
    charges = sorted(bill.failures, key=lambda charge: (charge.created or 0, charge.id or ""))
    for number, charge in enumerate(charges, 1):
        currency, at = (charge.currency or invoice.currency or "").lower(), charge.created or 0
        yield Event(
            id=f"failed:{charge.id}",
            name=PAYMENT_FAILED,
            at=at,
            came_at=at,
            customer=who.customer,
            identity=who.identity(invoice.customer_email),
            subscription=only,
            invoice=invoice.id,
            currency=currency,
            amount=charge.amount or 0,
            details={
                "kind": "failed",
                "charge": charge.id,
                "attempt": number,
                "code": charge.failure_code,
                "decline_reason": charge.decline_reason,
            },
            properties=told(
                **{
                    "Payment Amount": decimal(charge.amount or 0, currency),
                    "Attempt": number,
                    "Failure Code": charge.failure_code,
                    "Decline Reason": charge.decline_reason,
                    PLAN_LEVEL: plan_level(recurring, catalog),
                    "Currency": currency.upper(),
                }
            ),
        )
