"""Subscriptions, their items, and schedules."""

from typing import Any

from tidegate.sandbox.resources import Obj

SELF: Obj = {"type": "self"}


def shown_price(price: Obj) -> Obj:
    """A price as it is embedded in an item: without what only expansion shows."""
    return {name: value for name, value in price.items() if name not in ("tiers", "currency_options", "_inline")}


def plan_of(price: Obj) -> Obj:
    """A recurring price in the shape of the older plan object, which items still carry."""
    recurring = price["recurring"]
    transform = price["transform_quantity"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": recurring["meter"],
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": price["tiers_mode"],
        "transform_usage": transform,
        "trial_period_days": None,
        "usage_type": recurring["usage_type"],
    }


def item(
    identifier: str, created: int, subscription: str, price: Obj, quantity: int | None, period: tuple[int, int]
) -> Obj:
    """A subscription's item; `period` is the current one, UTC epoch seconds; metered items have no quantity."""
    obj: Obj = {
        "id": identifier,
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": created,
        "current_period_end": period[1],
        "current_period_start": period[0],
        "discounts": [],
        "metadata": {},
        "plan": plan_of(price),
        "price": shown_price(price),
        "quantity": quantity,
        "subscription": subscription,
        "tax_rates": [],
    }
    if quantity is None:
        del obj["quantity"]
    return obj


UNUSED: Obj = {
    "application": None,
    "application_fee_percent": None,
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
    "billing_cycle_anchor_config": None,
    "billing_schedules": [],
    "billing_thresholds": None,
    "default_source": None,
    "invoice_settings": {
        "account_tax_ids": None,
        "custom_fields": None,
        "description": None,
        "footer": None,
        "issuer": SELF,
    },
    "managed_payments": {"enabled": False},
    "next_pending_invoice_item_invoice": None,
    "on_behalf_of": None,
    "pending_invoice_item_interval": None,
    "pending_setup_intent": None,
    "transfer_data": None,
}
"""What a subscription has and the simulated company makes no use of."""

GOES_ON: Obj = {
    "cancel_at": None,
    "cancel_at_period_end": False,
    "canceled_at": None,
    "cancellation_details": {"comment": None, "feedback": None, "reason": None},
    "ended_at": None,
    "pause_collection": None,
    "pending_update": None,
    "schedule": None,
    "status": "active",
    "trial_end": None,
    "trial_start": None,
}
"""What a subscription says of its end, of trials and of what holds it up, while there is none."""


def subscription(identifier: str, created: int, customer: Obj, currency: str, items: list[Obj], **changes: Any) -> Obj:
    """An active subscription that is billed by card."""
    obj: Obj = {
        "id": identifier,
        "object": "subscription",
        "billing_cycle_anchor": created,
        "billing_mode": {"flexible": None, "type": "classic"},
        "collection_method": "charge_automatically",
        "created": created,
        "currency": currency,
        "customer": customer["id"],
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "items": {
            "object": "list",
            "data": items,
            "has_more": False,
            "url": f"/v1/subscription_items?subscription={identifier}",
        },
        "latest_invoice": None,
        "livemode": False,
        "metadata": {},
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "start_date": created,
        "test_clock": None,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }
    return obj | UNUSED | GOES_ON | changes


def schedule(identifier: str, created: int, customer: str, phases: list[Obj], **changes: Any) -> Obj:
    """A subscription schedule; `subscription`, `status` and `current_phase` among the changes."""
    obj: Obj = {
        "id": identifier,
        "object": "subscription_schedule",
        "application": None,
        "billing_mode": {"flexible": None, "type": "classic"},
        "canceled_at": None,
        "completed_at": None,
        "created": created,
        "current_phase": None,
        "customer": customer,
        "customer_account": None,
        "default_settings": {
            "application_fee_percent": None,
            "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
            "billing_cycle_anchor": "automatic",
            "billing_thresholds": None,
            "collection_method": "charge_automatically",
            "default_payment_method": None,
            "description": None,
            "invoice_settings": _invoice_settings(),
            "on_behalf_of": None,
            "transfer_data": None,
        },
        "end_behavior": "release",
        "livemode": False,
        "metadata": {},
        "pause_schedules": [],
        "phases": phases,
        "released_at": None,
        "released_subscription": None,
        "status": "active",
        "subscription": None,
        "test_clock": None,
    }
    return obj | changes


def phase(currency: str, items: list[tuple[str, int | None]], start: int, end: int) -> Obj:
    """One phase of a schedule: prices with quantities from `start` to `end`, UTC epoch seconds."""
    return {
        "add_invoice_items": [],
        "application_fee_percent": None,
        "billing_cycle_anchor": None,
        "billing_thresholds": None,
        "collection_method": None,
        "currency": currency,
        "default_payment_method": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "end_date": end,
        "invoice_settings": None,
        "items": [
            {
                "billing_thresholds": None,
                "discounts": [],
                "metadata": {},
                "plan": price,
                "price": price,
                "quantity": quantity,
                "tax_rates": [],
            }
            for price, quantity in items
        ],
        "metadata": {},
        "on_behalf_of": None,
        "proration_behavior": "create_prorations",
        "start_date": start,
        "transfer_data": None,
        "trial_end": None,
    }


def _invoice_settings() -> Obj:
    return {
        "account_tax_ids": None,
        "custom_fields": None,
        "days_until_due": None,
        "description": None,
        "footer": None,
        "issuer": SELF,
    }
