"""What an object's state does not let be changed any more, by Stripe's rules."""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

FINALISED = frozenset({"metadata", "auto_advance", "default_payment_method", "payment_settings", "transfer_data"})
"""What of an invoice can be written after it was finalised; its amounts cannot.

Source: docs.stripe.com/invoicing/invoice-edits.
"""
CANCELED = frozenset({"metadata", "cancellation_details"})
"""What of a canceled subscription can be written (docs.stripe.com/api/subscriptions/update)."""


_OVER: Mapping[str, frozenset[str]] = {
    "subscriptions": frozenset({"canceled", "incomplete_expired"}),
    "invoices": frozenset({"void"}),
    "quotes": frozenset({"canceled"}),
}


def is_over(resource: str, live: Json) -> bool:
    """Whether an object ended for good: it is never what it was again."""
    return live.get("status") in _OVER.get(resource, frozenset())


def why_not(resource: str, live: Json, names: frozenset[str]) -> str:
    """Why these fields of an object cannot be written in the state that it is in; empty: they can."""
    status = live.get("status")
    if resource == "invoices" and status != "draft" and names - FINALISED:
        return f"the invoice is {status}: only a draft's {_listed(names - FINALISED)} can be changed"
    if resource == "subscriptions" and status in {"canceled", "incomplete_expired"} and names - CANCELED:
        return f"the subscription is {status}"
    if resource == "quotes" and status != "draft":
        return f"the quote is {status}: only a draft can be changed"
    if resource == "invoiceitems" and live.get("invoice_status", "draft") != "draft":
        return f"its invoice is {live['invoice_status']}"
    return ""


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
