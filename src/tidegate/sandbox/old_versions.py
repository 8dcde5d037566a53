"""Events in the shapes of an older API version, for endpoints registered with one."""

from typing import Any, cast

from tidegate.sandbox.resources import Obj, part

OLD = "2020-08-27"


def in_version(event: Obj, version: str) -> Obj:
    """The event as an endpoint of this API version gets it; versions other than 2020-08-27 get the current shape.

    In 2020-08-27 a subscription has its period at the top, an invoice its `subscription`, a line its `price` and
    `proration`, and a discount its `coupon` (docs.stripe.com/changelog, basil and clover).
    """
    if version != OLD:
        return event
    data = {**event["data"], "object": _old(event["data"]["object"])}
    if "previous_attributes" in data:
        data["previous_attributes"] = _old_previous(event["data"]["object"], data["previous_attributes"])
    return {**event, "api_version": OLD, "data": data}


def _old(value: Any) -> Any:
    if isinstance(value, list):
        return [_old(element) for element in cast(list[Any], value)]
    if not isinstance(value, dict):
        return value
    obj: Obj = {name: _old(field) for name, field in cast(Obj, value).items()}
    match obj.get("object"):
        case "subscription":
            _old_subscription(obj)
        case "invoice":
            _old_invoice(obj)
        case "line_item":
            _old_line(obj)
        case "discount":
            obj["coupon"] = obj.pop("source")["coupon"]
        case "promotion_code":
            obj["coupon"] = obj.pop("promotion")["coupon"]
        case _:
            pass
    return obj


def _old_subscription(obj: Obj) -> None:
    items = obj["items"]["data"]
    if items:
        obj["current_period_start"] = max(item["current_period_start"] for item in items)
        obj["current_period_end"] = min(item["current_period_end"] for item in items)
    for item in items:
        del item["current_period_start"], item["current_period_end"]
    obj["quantity"] = items[0].get("quantity") if len(items) == 1 else None
    discounts = obj.pop("discounts")
    obj["discount"] = discounts[0] if discounts else None


def _old_invoice(obj: Obj) -> None:
    obj["subscription"] = part(obj, "parent", "subscription_details").get("subscription")
    del obj["parent"]
    obj["paid"] = obj["status"] == "paid"
    taxes: list[Obj] = obj.pop("total_taxes") or []
    obj["tax"] = sum(tax["amount"] for tax in taxes) if taxes else None


def _old_line(obj: Obj) -> None:
    details = part(obj, "parent", "subscription_item_details") or part(obj, "parent", "invoice_item_details")
    charged = part(obj, "pricing", "price_details")
    obj["price"] = {
        "id": charged.get("price"),
        "object": "price",
        "product": charged.get("product"),
        "unit_amount_decimal": part(obj, "pricing").get("unit_amount_decimal"),
    }
    del obj["parent"], obj["pricing"]
    obj["proration"] = bool(details.get("proration"))
    obj["invoice_item"] = details.get("invoice_item")
    obj["subscription"] = details.get("subscription")
    obj["subscription_item"] = details.get("subscription_item")
    obj["type"] = "invoiceitem" if details.get("invoice_item") else "subscription"


def _old_previous(current: Obj, before: Obj) -> Obj:
    if current.get("object") != "subscription" or "items" not in before:
        return _old(before)
    old = _old({**current, **before})
    return {name: old[name] for name in {*before, "current_period_start", "current_period_end"} if name in old}
