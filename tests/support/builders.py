"""Small Stripe objects for tests, as Stripe's JSON: what a test does not say is left out or plain."""

import json
from typing import Any

from tidegate.mirror.arrivals import Arrival, arrive
from tidegate.mirror.decide import Certainty
from tidegate.stripe_api.resources import RESOURCES


def customer(id_: str = "cus_1", created: int = 10, **fields: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "object": "customer",
        "created": created,
        "email": "ada@example.com",
        "livemode": False,
        **fields,
    }


def coupon(id_: str = "WELCOME", created: int = 10, **fields: Any) -> dict[str, Any]:
    return {"id": id_, "object": "coupon", "created": created, "duration": "once", "percent_off": 10.0, **fields}


def price(id_: str = "price_1", created: int = 10, **fields: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "object": "price",
        "created": created,
        "currency": "usd",
        "unit_amount": 1000,
        "unit_amount_decimal": "1000",
        "product": "prod_1",
        "active": True,
        "type": "recurring",
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
        **fields,
    }


def item(id_: str, subscription: str = "sub_1", quantity: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "object": "subscription_item",
        "created": 10,
        "subscription": subscription,
        "quantity": quantity,
        "price": price(),
        "current_period_start": 1_000,
        "current_period_end": 2_000,
        **fields,
    }


def listing(data: list[dict[str, Any]], *, has_more: bool = False) -> dict[str, Any]:
    return {"object": "list", "data": data, "has_more": has_more, "url": "/v1/anything"}


def subscription(
    id_: str = "sub_1", items: list[dict[str, Any]] | None = None, *, has_more: bool = False, **fields: Any
) -> dict[str, Any]:
    return {
        "id": id_,
        "object": "subscription",
        "created": 10,
        "customer": "cus_1",
        "status": "active",
        "currency": "usd",
        "items": listing([item("si_1", id_)] if items is None else items, has_more=has_more),
        **fields,
    }


def line(id_: str, **fields: Any) -> dict[str, Any]:
    return {"id": id_, "object": "line_item", "amount": 1000, "currency": "usd", "quantity": 1, **fields}


def invoice(id_: str = "in_1", lines: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "object": "invoice",
        "created": 10,
        "customer": "cus_1",
        "status": "paid",
        "currency": "usd",
        "total": 1000,
        "lines": listing([line("il_1")] if lines is None else lines),
        **fields,
    }


def event(type_: str, object_: dict[str, Any], created: int, id_: str = "", **fields: Any) -> dict[str, Any]:
    import stripe

    return {
        "id": id_ or f"evt_{created}_{object_.get('id', 'none')}",
        "object": "event",
        "type": type_,
        "created": created,
        "api_version": stripe.api_version,
        "livemode": False,
        "data": {"object": object_, **({"previous_attributes": p} if (p := fields.pop("previous", None)) else {})},
        **fields,
    }


def arrival(
    resource: str, body: dict[str, Any], at: int, certainty: Certainty = Certainty.READ, **facts: Any
) -> Arrival:
    """The body as a version that holds at `at` (epoch seconds)."""
    arrivals, lost = arrive(RESOURCES[resource], [json.dumps(body).encode()], at, certainty)
    assert not lost, lost
    for name, value in facts.items():
        setattr(arrivals[0], name, value)
    return arrivals[0]
