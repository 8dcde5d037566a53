"""Events in the shapes of an older API version, for endpoints registered with one."""

from collections.abc import Callable
from typing import Any, cast

from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.state import API_VERSION

OLD = "2020-08-27"
VERSIONS = (API_VERSION, OLD)
"""The API versions that events can be told in; requests are answered in the first alone."""

Look = Callable[[str, str], Obj | None]
"""Finds an object by resource and id: older shapes embed what newer ones only name."""


def in_version(event: Obj, version: str, look: Look) -> Obj:
    """The event as an endpoint of this API version gets it; versions other than 2020-08-27 get the current shape.

    In 2020-08-27 a subscription has its period at the top, an invoice its `subscription`, a line its `price` and
    `proration`, and a discount its `coupon` (docs.stripe.com/changelog, basil and clover).
    """
    if version != OLD:
        return event
    obj: Obj = event["data"]["object"]
    data = {**event["data"], "object": old(obj, look)}
    if "previous_attributes" in data:
        data["previous_attributes"] = old_previous(obj, data["previous_attributes"], look)
    return {**event, "api_version": OLD, "data": data}


def old(value: Any, look: Look) -> Any:
    """A value with every object in it in the shape of 2020-08-27."""
    if isinstance(value, list):
        return [old(element, look) for element in cast(list[Any], value)]
    if not isinstance(value, dict):
        return value
    obj: Obj = {name: old(field, look) for name, field in cast(Obj, value).items()}
    change = CHANGES.get(obj.get("object", ""))
    if change:
        change(obj, look)
    return obj


def old_subscription(obj: Obj, look: Look) -> None:
    """The period and the only discount at the top, `plan` and `quantity` where there is one item."""
    items = obj["items"]["data"]
    obj["current_period_start"] = max((item["current_period_start"] for item in items), default=None)
    obj["current_period_end"] = min((item["current_period_end"] for item in items), default=None)
    for item in items:
        del item["current_period_start"], item["current_period_end"], item["discounts"]
    alone: Obj = items[0] if len(items) == 1 else {}
    obj["plan"], obj["quantity"] = alone.get("plan"), alone.get("quantity")
    obj["discount"] = _first_discount(obj.pop("discounts"), look)
    for name in ("billing_mode", "billing_schedules", "customer_account", "managed_payments"):
        del obj[name]


def old_invoice(obj: Obj, look: Look) -> None:
    """`subscription`, `paid`, `tax` and `discount` of its own instead of `parent` and lists."""
    obj["subscription"] = part(obj, "parent", "subscription_details").get("subscription")
    taxes: list[Obj] = obj.pop("total_taxes")
    obj["tax"] = sum(tax["amount"] for tax in taxes) if taxes else None
    obj["total_tax_amounts"] = [_tax_amount(tax) for tax in taxes]
    obj["paid"] = obj["status"] == "paid"
    obj["discount"] = _first_discount(obj["discounts"], look)
    del obj["parent"], obj["total_pretax_credit_amounts"], obj["customer_account"]


def old_line(obj: Obj, look: Look) -> None:
    """`price`, `plan`, `proration`, `type` and what caused it at the top instead of `pricing` and `parent`."""
    details = part(obj, "parent", "subscription_item_details") or part(obj, "parent", "invoice_item_details")
    name = part(obj, "pricing", "price_details").get("price")
    obj["price"] = look("prices", name) if name else None
    obj["proration"] = bool(details.get("proration"))
    obj["invoice_item"] = details.get("invoice_item")
    obj["subscription"] = details.get("subscription")
    obj["subscription_item"] = details.get("subscription_item")
    obj["type"] = "invoiceitem" if details.get("invoice_item") else "subscription"
    obj["tax_amounts"] = [_tax_amount(tax) for tax in obj.pop("taxes")]
    for gone in ("parent", "pricing", "pretax_credit_amounts", "quantity_decimal", "subtotal"):
        del obj[gone]


def old_invoiceitem(obj: Obj, look: Look) -> None:
    """`price`, `subscription` and `unit_amount` at the top."""
    details = part(obj, "parent", "subscription_details")
    name = part(obj, "pricing", "price_details").get("price")
    obj["price"] = look("prices", name) if name else None
    obj["subscription"], obj["subscription_item"] = details.get("subscription"), details.get("subscription_item")
    obj["unit_amount_decimal"] = part(obj, "pricing").get("unit_amount_decimal")
    for gone in ("parent", "pricing", "net_amount", "quantity_decimal", "customer_account"):
        del obj[gone]


def old_discount(obj: Obj, look: Look) -> None:
    """The coupon itself."""
    identifier = obj.pop("source")["coupon"]
    obj["coupon"] = look("coupons", identifier) or {"id": identifier, "object": "coupon"}


def old_promotion_code(obj: Obj, look: Look) -> None:
    """The coupon itself."""
    identifier = obj.pop("promotion")["coupon"]
    obj["coupon"] = look("coupons", identifier) or {"id": identifier, "object": "coupon"}


CHANGES: dict[str, Callable[[Obj, Look], None]] = {
    "subscription": old_subscription,
    "invoice": old_invoice,
    "line_item": old_line,
    "invoiceitem": old_invoiceitem,
    "discount": old_discount,
    "promotion_code": old_promotion_code,
}


def old_previous(current: Obj, before: Obj, look: Look) -> Obj:
    """The previous attributes under their old names: what differs between the old shapes of after and before."""
    then = _restored(current, before)
    now_old, then_old = old(current, look), old(then, look)
    return {name: then_old[name] for name in sorted(then_old) if then_old[name] != now_old.get(name)}


def _restored(obj: Obj, before: Obj) -> Obj:
    whole = dict(obj)
    for name, value in before.items():
        known = obj.get(name)
        both = isinstance(value, dict) and isinstance(known, dict)
        whole[name] = _restored(cast(Obj, known), cast(Obj, value)) if both else value
    return whole


def _tax_amount(tax: Obj) -> Obj:
    inclusive = tax["tax_behavior"] == "inclusive"
    return {"amount": tax["amount"], "inclusive": inclusive, "tax_rate": part(tax, "tax_rate_details").get("tax_rate")}


def _first_discount(identifiers: list[str], look: Look) -> Obj | None:
    found = look("discounts", identifiers[0]) if identifiers else None
    return old(found, look) if found else None
