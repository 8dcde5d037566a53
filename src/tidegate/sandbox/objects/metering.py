"""Billing meters, and what is answered to the events that they count."""

from typing import Any

from tidegate.sandbox.metering import Told
from tidegate.sandbox.resources import Obj

CUSTOMER_KEY, VALUE_KEY = "stripe_customer_id", "value"


def meter(identifier: str, created: int, event_name: str, display_name: str, **changes: Any) -> Obj:
    """An active meter that sums."""
    obj: Obj = {
        "id": identifier,
        "object": "billing.meter",
        "created": created,
        "customer_mapping": {"event_payload_key": CUSTOMER_KEY, "type": "by_id"},
        "default_aggregation": {"formula": "sum"},
        "display_name": display_name,
        "event_name": event_name,
        "event_time_window": None,
        "livemode": False,
        "status": "active",
        "status_transitions": {"deactivated_at": None},
        "updated": created,
        "value_settings": {"event_payload_key": VALUE_KEY},
    }
    return obj | changes


def meter_event(told: Told, payload: dict[str, str]) -> Obj:
    """What answers a meter event: it has no id of its own."""
    return {
        "object": "billing.meter_event",
        "created": told.received,
        "event_name": told.event_name,
        "identifier": told.identifier,
        "livemode": False,
        "payload": payload,
        "timestamp": told.at,
    }


def adjustment(event_name: str, identifier: str) -> Obj:
    """What answers a cancellation, which Stripe carries out a little later."""
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": event_name,
        "livemode": False,
        "status": "pending",
        "type": "cancel",
    }


def summary(meter_id: str, begin: int, end: int, value: float) -> Obj:
    """What a customer's events come to from `begin` until before `end`."""
    return {
        "id": f"mtrusg_test_{meter_id}_{begin}",
        "object": "billing.meter_event_summary",
        "aggregated_value": value,
        "end_time": end,
        "livemode": False,
        "meter": meter_id,
        "start_time": begin,
    }
