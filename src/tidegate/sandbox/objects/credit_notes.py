"""Credit notes and their lines."""

from typing import Any

from tidegate.sandbox.resources import Obj


def credit_note(identifier: str, created: int, invoice: Obj, number: str, lines: list[Obj], **changes: Any) -> Obj:
    """A credit note over some of an invoice's lines, whose totals are still to be filled in."""
    obj: Obj = {
        "id": identifier,
        "object": "credit_note",
        "amount": 0,
        "amount_shipping": 0,
        "created": created,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": created,
        "invoice": invoice["id"],
        "lines": {"object": "list", "data": lines, "has_more": False, "url": f"/v1/credit_notes/{identifier}/lines"},
        "livemode": False,
        "memo": None,
        "metadata": {},
        "number": number,
        "out_of_band_amount": None,
        "pdf": f"https://pay.stripe.com/credit_notes/{identifier}/pdf",
        "post_payment_amount": 0,
        "pre_payment_amount": 0,
        "pretax_credit_amounts": [],
        "reason": "order_change",
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "total": 0,
        "total_excluding_tax": 0,
        "total_taxes": [],
        "type": "post_payment",
        "voided_at": None,
    }
    return obj | changes


def refunded(refund: str, amount: int) -> Obj:
    """A refund of a credit note, and how much of it is the note's, minor units."""
    return {"amount_refunded": amount, "payment_record_refund": None, "refund": refund, "type": "refund"}


def credit_note_line(
    identifier: str,
    amount: int,
    quantity: int | None,
    invoice_line: str | None,
    description: str | None,
    **changes: Any,
) -> Obj:
    """A line of a credit note, minor units before discounts and exclusive tax; without an invoice line it is a custom
    one, of one unit unless the changes say its unit amount."""
    obj: Obj = {
        "id": identifier,
        "object": "credit_note_line_item",
        "amount": amount,
        "description": description,
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice_line_item": invoice_line,
        "livemode": False,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": quantity,
        "tax_rates": [],
        "taxes": [],
        "type": "invoice_line_item" if invoice_line else "custom_line_item",
        "unit_amount": None if invoice_line else amount,
        "unit_amount_decimal": None if invoice_line else str(amount),
    }
    return obj | changes
