"""Invoices, their lines, invoice items."""

from typing import Any

from tidegate.sandbox.objects.subscriptions import SELF
from tidegate.sandbox.resources import Obj

NO_TIMES: Obj = {"finalized_at": None, "marked_uncollectible_at": None, "paid_at": None, "voided_at": None}


def pricing(price: Obj | None, unit_amount_decimal: str | None) -> Obj | None:
    """Which price a line charges, and its unit amount in minor units when it has one."""
    if price is None:
        return None
    return {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": unit_amount_decimal,
    }


def line(
    identifier: str,
    invoice: str,
    currency: str,
    amount: int,
    quantity: int | None,
    period: tuple[int, int],
    **changes: Any,
) -> Obj:
    """An invoice line; `amount` in minor units before discounts and exclusive tax, `period` in UTC epoch seconds."""
    obj: Obj = {
        "id": identifier,
        "object": "line_item",
        "amount": amount,
        "currency": currency,
        "description": None,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice,
        "livemode": False,
        "metadata": {},
        "parent": None,
        "period": {"end": period[1], "start": period[0]},
        "pretax_credit_amounts": [],
        "pricing": None,
        "quantity": quantity,
        "quantity_decimal": None if quantity is None else str(quantity),
        "subscription": None,
        "subtotal": amount,
        "taxes": [],
    }
    return obj | changes


def of_item(
    subscription: str,
    item: str,
    *,
    proration: bool = False,
    invoice_item: str | None = None,
    credited: Obj | None = None,
) -> Obj:
    """The parent of a line that a subscription item caused."""
    return {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": invoice_item,
            "proration": proration,
            "proration_details": {"credited_items": credited},
            "subscription": subscription,
            "subscription_item": item,
        },
        "type": "subscription_item_details",
    }


def of_invoice_item(invoice_item: str, subscription: str | None) -> Obj:
    """The parent of a line that an invoice item caused."""
    return {
        "invoice_item_details": {
            "invoice_item": invoice_item,
            "proration": False,
            "proration_details": {"credited_items": None},
            "subscription": subscription,
        },
        "subscription_item_details": None,
        "type": "invoice_item_details",
    }


def tax(amount: int, taxable: int, tax_rate: str, *, inclusive: bool) -> Obj:
    """One tax on a line or an invoice, minor units."""
    return {
        "amount": amount,
        "tax_behavior": "inclusive" if inclusive else "exclusive",
        "tax_rate_details": {"tax_rate": tax_rate},
        "taxability_reason": "standard_rated",
        "taxable_amount": taxable,
        "type": "tax_rate_details",
    }


UNUSED: Obj = {
    "account_tax_ids": None,
    "amount_shipping": 0,
    "application": None,
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None, "provider": None, "status": None},
    "custom_fields": None,
    "default_source": None,
    "footer": None,
    "from_invoice": None,
    "issuer": SELF,
    "last_finalization_error": None,
    "latest_revision": None,
    "on_behalf_of": None,
    "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
    "receipt_number": None,
    "rendering": None,
    "shipping_cost": None,
    "shipping_details": None,
    "statement_descriptor": None,
    "total_pretax_credit_amounts": [],
}
"""What an invoice has and the simulated company makes no use of."""

NOT_ADDED_UP: Obj = {
    **{f"amount_{what}": 0 for what in ("due", "overpaid", "paid", "remaining")},
    **{f"{when}_payment_credit_notes_amount": 0 for when in ("pre", "post")},
    "ending_balance": None,
    "starting_balance": 0,
    "subtotal": 0,
    "subtotal_excluding_tax": 0,
    "total": 0,
    "total_discount_amounts": [],
    "total_excluding_tax": 0,
    "total_taxes": [],
}
"""The totals of an invoice before they are filled in, minor units."""

NOT_FINALIZED: Obj = {
    "attempt_count": 0,
    "attempted": False,
    "auto_advance": True,
    "automatically_finalizes_at": None,
    "effective_at": None,
    "hosted_invoice_url": None,
    "invoice_pdf": None,
    "next_payment_attempt": None,
    "number": None,
    "status": "draft",
    "status_transitions": NO_TIMES,
    "webhooks_delivered_at": None,
}
"""What finalizing and collecting an invoice changes, as it is before."""


def invoice(identifier: str, created: int, customer: Obj, currency: str, lines: list[Obj], **changes: Any) -> Obj:
    """A draft invoice whose totals are still to be filled in."""
    obj: Obj = {
        "id": identifier,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Harbour Works",
        "billing_reason": "manual",
        "collection_method": "charge_automatically",
        "created": created,
        "currency": currency,
        "default_payment_method": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "lines": {"object": "list", "data": lines, "has_more": False, "url": f"/v1/invoices/{identifier}/lines"},
        "livemode": False,
        "metadata": {},
        "parent": None,
        "period_end": created,
        "period_start": created,
        "test_clock": None,
    }
    return obj | UNUSED | NOT_ADDED_UP | NOT_FINALIZED | billed_to(customer) | changes


def billed_to(customer: Obj) -> Obj:
    """What an invoice says of the customer as it is now."""
    return {
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
    }


def from_subscription(subscription: Obj) -> Obj:
    """The parent of an invoice that a subscription caused."""
    return {
        "quote_details": None,
        "subscription_details": {"metadata": subscription["metadata"], "subscription": subscription["id"]},
        "type": "subscription_details",
    }


def invoiceitem(
    identifier: str,
    created: int,
    customer: str,
    currency: str,
    amount: int,
    quantity: int,
    period: tuple[int, int],
    **changes: Any,
) -> Obj:
    """An invoice item, pending while its invoice is None; `amount` in minor units."""
    obj: Obj = {
        "id": identifier,
        "object": "invoiceitem",
        "amount": amount,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "date": created,
        "description": None,
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "net_amount": amount,
        "parent": None,
        "period": {"end": period[1], "start": period[0]},
        "pricing": None,
        "proration": False,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "tax_rates": [],
        "test_clock": None,
    }
    return obj | changes
