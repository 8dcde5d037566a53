"""Quotes and their lines."""

from typing import Any

from tidegate.sandbox.objects.subscriptions import SELF, shown_price
from tidegate.sandbox.resources import Obj


def quote_line(identifier: str, price: Obj, quantity: int, amount: int, description: str) -> Obj:
    """A line of a quote; `amount` in minor units."""
    return {
        "id": identifier,
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": description,
        "metadata": {},
        "price": shown_price(price),
        "quantity": quantity,
    }


INVOICE_SETTINGS: Obj = {
    "custom_fields": None,
    "days_until_due": None,
    "description": None,
    "footer": None,
    "issuer": SELF,
}
SUBSCRIPTION_DATA: Obj = {
    "billing_mode": {"type": "classic"},
    "description": None,
    "effective_date": None,
    "metadata": {},
    "trial_period_days": None,
}


def quote(identifier: str, created: int, customer: str, lines: list[Obj], **changes: Any) -> Obj:
    """An offer to a customer; its status and times among the changes."""
    total = sum(line["amount_total"] for line in lines)
    details: Obj = {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}
    sums: Obj = {"amount_subtotal": total, "amount_total": total, "total_details": details}
    every = {name: lines[0]["price"]["recurring"][name] for name in ("interval", "interval_count")}
    obj: Obj = {
        "id": identifier,
        "object": "quote",
        "application": None,
        "application_fee_amount": None,
        "application_fee_percent": None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "collection_method": "charge_automatically",
        "computed": {"recurring": sums | every, "upfront": sums},
        "created": created,
        "currency": lines[0]["currency"],
        "customer": customer,
        "customer_account": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "expires_at": created + 30 * 86_400,
        "footer": None,
        "from_quote": None,
        "header": None,
        "invoice": None,
        "invoice_settings": INVOICE_SETTINGS,
        "line_items": {
            "object": "list",
            "data": lines,
            "has_more": False,
            "url": f"/v1/quotes/{identifier}/line_items",
        },
        "livemode": False,
        "metadata": {},
        "number": None,
        "on_behalf_of": None,
        "status": "draft",
        "status_transitions": dict.fromkeys(("accepted_at", "canceled_at", "finalized_at")),
        "subscription": None,
        "subscription_data": SUBSCRIPTION_DATA,
        "subscription_schedule": None,
        "test_clock": None,
        "transfer_data": None,
    }
    return obj | sums | changes
