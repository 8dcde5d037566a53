"""Subscriptions as Stripe answers them, made in a line, and what pricing says of them."""

import json
from fractions import Fraction
from typing import Any

from tidegate.pricing.facts import Facts
from tidegate.pricing.given import given
from tidegate.pricing.policy import policy
from tidegate.pricing.subscription import value
from tidegate.pricing.value import ItemValue, Value

NOW = 1_767_225_600
"""2026-01-01T00:00:00Z, when everything here is priced unless it says otherwise."""
DAY = 86_400
MONTH_AGO, MONTH_AHEAD = NOW - 15 * DAY, NOW + 16 * DAY
"""The period that items of a month are in."""

Json = dict[str, Any]


def price(amount: int | str | None = None, every: str = "month", count: int = 1, **more: Any) -> Json:
    """A recurring price; the amount in minor units, text for a decimal one. `usage_type` and what else a price has."""
    told = {"unit_amount": amount} if isinstance(amount, int) else {"unit_amount_decimal": amount}
    recurring = {"interval": every, "interval_count": count, "usage_type": more.pop("usage_type", "licensed")}
    base = {"id": "price_1", "object": "price", "currency": "usd", "billing_scheme": "per_unit", "product": "prod_1"}
    return base | {"recurring": recurring} | told | more


def tiered(mode: str, *tiers: tuple[int | None, int, int] | tuple[int | None, int], **more: Any) -> Json:
    """A price of tiers: up to, amount a unit, flat amount."""
    told = [{"up_to": one[0], "unit_amount": one[1], "flat_amount": (*one, 0)[2]} for one in tiers]
    return price(None, billing_scheme="tiered", tiers_mode=mode, tiers=told) | more


def item(of: Json, quantity: int | None = 1, **more: Any) -> Json:
    """A subscription item, in the period from MONTH_AGO to MONTH_AHEAD."""
    base = {"id": "si_1", "object": "subscription_item", "price": of, "quantity": quantity}
    return base | {"current_period_start": MONTH_AGO, "current_period_end": MONTH_AHEAD} | more


def subscription(*items: Json, **more: Any) -> Json:
    """An active subscription; its items are told apart by id, si_1 and on."""
    told = [one | {"id": f"si_{n}"} for n, one in enumerate(items, 1)]
    base = {"id": "sub_1", "object": "subscription", "status": "active", "currency": "usd"}
    return base | {"items": {"object": "list", "data": told, "has_more": False}} | more


def coupon(percent: float | None = None, amount: int | None = None, duration: str = "forever", **more: Any) -> Json:
    """A coupon; its amount in US cents."""
    base = {"id": "c_1", "object": "coupon", "percent_off": percent, "amount_off": amount, "duration": duration}
    return base | ({"currency": "usd"} if amount is not None else {}) | more


def discount(of: Json | str, start: int = NOW - 30 * DAY, end: int | None = None, **more: Any) -> Json:
    """A discount as versions before clover told it."""
    return {"id": "di_1", "object": "discount", "coupon": of, "start": start, "end": end} | more


def line(amount: int, off: int | None = None, tax: int | None = None, of: str = "si_1", **more: Any) -> Json:
    """A line of an invoice for an item; `tax` is inclusive."""
    base: Json = {"id": "il_1", "object": "line_item", "amount": amount, "subscription_item": of, "proration": False}
    base["period"] = {"start": MONTH_AGO, "end": MONTH_AHEAD}
    if off is not None:
        base["discount_amounts"] = [{"amount": off, "discount": "di_1"}]
    if tax is not None:
        base["tax_amounts"] = [{"amount": tax, "inclusive": True}]
    return base | more


def facts(of: Json, **beside: Any) -> Facts:
    """The facts of a subscription with what stands beside it."""
    return given(json.dumps({"subscription": of} | beside).encode())


def valued(
    of: Json, at: int = NOW, preset: str = "default", choices: dict[str, str] | None = None, **beside: Any
) -> Value:
    """What pricing says of a subscription."""
    return value(facts(of, **beside), policy(preset, choices), at)


def mrr(of: Json, at: int = NOW, **more: Any) -> Fraction:
    """Its MRR, in minor units, exact."""
    return valued(of, at, **more).mrr


def only(of: Value) -> ItemValue:
    """The value of the one item there is."""
    (found,) = of.items
    return found
