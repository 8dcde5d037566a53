"""The subscription as Stripe will show it when a step is done: what a preview of entitlements reads. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tidegate.outbound.selling.facts import Item
from tidegate.outbound.selling.steps import NEW, Step
from tidegate.outbound.selling.wish import Wish

Json = Mapping[str, Any]
DAY = 86_400
_NO_PERIOD: Json = {}
SUBSCRIPTION, CUSTOMER = "sub_preview", "cus_preview"
"""Ids of what is not there yet, in a preview alone."""


def customer(making: Json, now: datetime) -> dict[str, Any]:
    """The customer that is made of these parameters."""
    return {"id": CUSTOMER, "object": "customer", "created": int(now.timestamp()), "currency": None, **making}


def subscription(
    step: Step, wish: Wish, known: Json | None, prices: Mapping[str, Json], now: datetime
) -> dict[str, Any]:
    """The body of the subscription that a step leads to. `known`: the body that the mirror has; `prices`: bodies by
    id. One that is new is expected to be paid for.
    """
    at = int(now.timestamp())
    if known is None:
        return _new(step, wish, prices, at)
    body = dict(known)
    match step.operation:
        case "cancel":
            return body | {"status": "canceled", "canceled_at": at, "ended_at": at}
        case "end":
            return body | {"cancel_at_period_end": True, "cancel_at": _end_of(body)}
        case "update" if "items" not in step.params:
            return body | {"cancel_at_period_end": False, "cancel_at": None}
        case _:
            items = {one["id"]: one for one in body["items"]["data"]}
            data = [_item(one, items.get(one.id), prices, body, at) for one in step.items]
            return body | {"items": {**body["items"], "data": data, "has_more": False}}


def _new(step: Step, wish: Wish, prices: Mapping[str, Json], at: int) -> dict[str, Any]:
    trial = at + wish.trial_days * DAY if wish.trial_days else None
    body: dict[str, Any] = {
        "id": SUBSCRIPTION,
        "object": "subscription",
        "customer": step.customer or CUSTOMER,
        "status": "trialing" if trial else "active",
        "created": at,
        "start_date": at,
        "billing_cycle_anchor": trial or at,
        "trial_start": at if trial else None,
        "trial_end": trial,
        "cancel_at_period_end": False,
        "metadata": {},
    }
    data = [_item(one, None, prices, body, at) for one in step.items]
    return body | {"items": {"object": "list", "data": data, "has_more": False}}


def _item(item: Item, known: Json | None, prices: Mapping[str, Json], body: Json, at: int) -> dict[str, Any]:
    others: Json = body.get("items") or {}
    like: Json = known or next(iter(others.get("data") or ()), _NO_PERIOD)
    base: dict[str, Any] = dict(known) if known else {
        "id": f"si_preview_{item.price.id}" if item.id == NEW else item.id,
        "object": "subscription_item",
        "created": at,
        "subscription": body["id"],
        "current_period_start": like.get("current_period_start", at),
        "current_period_end": like.get("current_period_end"),
        "metadata": {},
    }  # fmt: skip
    if known is None or _price_of(known) != item.price.id:
        base |= {"price": prices[item.price.id]}
        base.pop("plan", None)
    if item.quantity is None:
        base.pop("quantity", None)
        return base
    return base | {"quantity": item.quantity}


def _price_of(item: Json) -> str | None:
    price = item.get("price")
    return price.get("id") if isinstance(price, Mapping) else price  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]


def _end_of(body: Json) -> int | None:
    ends = [one["current_period_end"] for one in body["items"]["data"] if one.get("current_period_end")]
    return max(ends) if ends else body.get("current_period_end")
