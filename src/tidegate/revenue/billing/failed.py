"""Payment Failed: one for each attempt at an invoice that failed."""

from collections.abc import Iterator, Sequence
from typing import Any

from tidegate.money import decimal
from tidegate.revenue.billing.billed import plan_level
from tidegate.revenue.billing.event import PAYMENT_FAILED, PLAN_LEVEL, Event, told
from tidegate.revenue.billing.given import Bill, Catalog, Who
from tidegate.revenue.billing.pieces import Piece

Failure = tuple[str, int, int, dict[str, Any]]
"""What makes its id, when it was (epoch seconds), the amount in minor units, and details."""


def failed(bill: Bill, found: Sequence[Piece], who: Who, catalog: Catalog) -> Iterator[Event]:
    """The refused charges of an invoice, and the attempts that came to no charge, whatever became of it afterwards."""
    invoice, currency = bill.invoice, (bill.invoice.currency or "").lower()
    subscriptions = {piece.subscription for piece in found if piece.subscription}
    only = invoice.subscription or (next(iter(subscriptions)) if len(subscriptions) == 1 else None)
    level = plan_level([piece for piece in found if piece.kind != "one_time"], catalog)
    for number, (id_, at, amount, details) in enumerate(_failures(bill), 1):
        yield Event(
            id=f"failed:{id_}",
            name=PAYMENT_FAILED,
            at=at,
            came_at=at,
            customer=who.customer,
            identity=who.identity(invoice.customer_email),
            subscription=only,
            invoice=invoice.id,
            currency=currency,
            amount=amount,
            details={"kind": "failed", "attempt": number, **details},
            properties=told(
                **{
                    "Payment Amount": decimal(amount, currency),
                    "Attempt": number,
                    "Failure Code": details["code"],
                    "Decline Reason": details["decline_reason"],
                    PLAN_LEVEL: level,
                    "Currency": currency.upper(),
                }
            ),
        )


def _failures(bill: Bill) -> list[Failure]:
    """By date."""
    refused: list[Failure] = [
        (
            charge.id or "",
            charge.created or 0,
            charge.amount or 0,
            {"charge": charge.id, "code": charge.failure_code, "decline_reason": charge.decline_reason},
        )
        for charge in bill.failures
    ]
    without = {"charge": None, "code": "no_charge", "decline_reason": None}
    refused += [
        (f"{bill.invoice.id}:{number}", at, bill.invoice.amount_due or 0, without) for number, at in bill.attempts
    ]
    return sorted(refused, key=lambda failure: (failure[1], failure[0]))
