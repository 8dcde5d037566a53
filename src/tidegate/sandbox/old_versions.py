"""Events in the shapes of an older API version, for endpoints registered with one."""

from collections.abc import Callable
from typing import Any, cast

from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.state import API_VERSION, SHOWN_CHILDREN, State

OLD = "2020-08-27"
VERSIONS = (API_VERSION, OLD)
"""The API versions that events can be told in; requests are answered in the first alone."""


def in_version(event: Obj, version: str, state: State) -> Obj:
    """The event as an endpoint of this API version gets it; versions other than 2020-08-27 get the current shape.

    In 2020-08-27 a subscription has its period at the top, an invoice its `subscription`, a line its `price` and
    `proration`, a discount its `coupon`, a payment intent its `charges`, a charge its `refunds`
    (docs.stripe.com/changelog: 2022-11-15, basil and clover). What older shapes embed is as it is in `state` now.
    """
    if version != OLD:
        return event
    obj: Obj = event["data"]["object"]
    data = {**event["data"], "object": old(obj, state)}
    if "previous_attributes" in data:
        data["previous_attributes"] = old_previous(obj, data["previous_attributes"], state)
    return {**event, "api_version": OLD, "data": data}


def old(value: Any, state: State) -> Any:
    """A value with every object in it in the shape of 2020-08-27."""
    if isinstance(value, list):
        return [old(element, state) for element in cast(list[Any], value)]
    if not isinstance(value, dict):
        return value
    obj: Obj = {name: old(field, state) for name, field in cast(Obj, value).items() if name != "customer_account"}
    change = CHANGES.get(obj.get("object", ""))
    if change:
        change(obj, state)
    return obj


def old_subscription(obj: Obj, state: State) -> None:
    """The period and the only discount at the top, `plan` and `quantity` where there is one item."""
    items = obj["items"]["data"]
    obj["current_period_start"] = max((item["current_period_start"] for item in items), default=None)
    obj["current_period_end"] = min((item["current_period_end"] for item in items), default=None)
    for item in items:
        del item["current_period_start"], item["current_period_end"], item["discounts"]
    alone: Obj = items[0] if len(items) == 1 else {}
    obj["plan"], obj["quantity"] = alone.get("plan"), alone.get("quantity")
    obj["discount"] = _first_discount(obj.pop("discounts"), state)
    for name in ("billing_mode", "billing_schedules", "managed_payments"):
        del obj[name]


def old_invoice(obj: Obj, state: State) -> None:
    """`subscription`, `charge`, `paid`, `tax` and `discount` of its own instead of `parent` and lists."""
    obj["subscription"] = part(obj, "parent", "subscription_details").get("subscription")
    taxes: list[Obj] = obj.pop("total_taxes")
    obj["tax"] = sum(tax["amount"] for tax in taxes) if taxes else None
    obj["total_tax_amounts"] = _tax_amounts(taxes)
    obj["paid"] = obj["status"] == "paid"
    links = _found(state, "invoice_payments", "invoice", obj["id"])
    intent = state.look("payment_intents", links[-1]["payment"]["payment_intent"]) if links else None
    obj["payment_intent"], obj["charge"] = (intent["id"], intent["latest_charge"]) if intent else (None, None)
    by_card = any(link["status"] == "paid" for link in links)
    obj["paid_out_of_band"] = obj["paid"] and obj["amount_paid"] > 0 and not by_card
    obj["discount"] = _first_discount(obj["discounts"], state)
    del obj["parent"], obj["total_pretax_credit_amounts"]


def old_line(obj: Obj, state: State) -> None:
    """`price`, `plan`, `proration`, `type` and what caused it at the top instead of `pricing` and `parent`."""
    details = part(obj, "parent", "subscription_item_details") or part(obj, "parent", "invoice_item_details")
    name = part(obj, "pricing", "price_details").get("price")
    obj["price"] = state.look("prices", name) if name else None
    obj["proration"] = bool(details.get("proration"))
    obj["invoice_item"] = details.get("invoice_item")
    obj["subscription"] = details.get("subscription")
    obj["subscription_item"] = details.get("subscription_item")
    obj["type"] = "invoiceitem" if details.get("invoice_item") else "subscription"
    obj["proration_details"] = {"credited_items": part(details, "proration_details").get("credited_items")}
    obj["tax_amounts"] = _tax_amounts(obj.pop("taxes"))
    for gone in ("parent", "pricing", "pretax_credit_amounts", "quantity_decimal", "subtotal"):
        del obj[gone]


def old_invoiceitem(obj: Obj, state: State) -> None:
    """`price`, `subscription` and `unit_amount` at the top."""
    details = part(obj, "parent", "subscription_details")
    name = part(obj, "pricing", "price_details").get("price")
    obj["price"] = state.look("prices", name) if name else None
    obj["subscription"], obj["subscription_item"] = details.get("subscription"), details.get("subscription_item")
    obj["unit_amount_decimal"] = part(obj, "pricing").get("unit_amount_decimal")
    for gone in ("parent", "pricing", "net_amount", "quantity_decimal"):
        del obj[gone]


def old_discount(obj: Obj, state: State) -> None:
    """The coupon itself."""
    identifier = obj.pop("source")["coupon"]
    obj["coupon"] = state.look("coupons", identifier) or {"id": identifier, "object": "coupon"}


def old_promotion_code(obj: Obj, state: State) -> None:
    """The coupon itself."""
    identifier = obj.pop("promotion")["coupon"]
    obj["coupon"] = state.look("coupons", identifier) or {"id": identifier, "object": "coupon"}


def old_payment_intent(obj: Obj, state: State) -> None:
    """The charges themselves, newest first, and the invoice that it pays."""
    obj["charges"] = _embedded(state, "charges", "payment_intent", obj["id"], f"/v1/charges?payment_intent={obj['id']}")
    obj["invoice"] = _invoice_of(state, obj["id"])
    _drop(obj, "excluded_payment_method_types", "latest_charge", "managed_payments")


def old_charge(obj: Obj, state: State) -> None:
    """The refunds themselves, newest first, and the invoice that it paid."""
    obj["refunds"] = _embedded(state, "refunds", "charge", obj["id"], f"/v1/charges/{obj['id']}/refunds")
    obj["invoice"] = _invoice_of(state, obj["payment_intent"]) if obj.get("payment_intent") else None
    obj["order"] = None


def old_refund(obj: Obj, state: State) -> None:
    """Without the customer and the card, which are the charge's."""
    _drop(obj, "customer", "payment_method")


def old_credit_note(obj: Obj, state: State) -> None:
    """Its only `refund`, and `tax_amounts` instead of taxes."""
    refunds: list[Obj] = obj.pop("refunds", [])
    obj["refund"] = refunds[0]["refund"] if refunds else None
    obj["tax_amounts"] = _tax_amounts(obj.pop("total_taxes", None))
    _drop(obj, "pre_payment_amount", "post_payment_amount", "pretax_credit_amounts")


def old_credit_note_line(obj: Obj, state: State) -> None:
    """`tax_amounts` instead of taxes."""
    obj["tax_amounts"] = _tax_amounts(obj.pop("taxes", None))
    _drop(obj, "metadata", "pretax_credit_amounts")


def old_schedule(obj: Obj, state: State) -> None:
    """A phase has one `coupon`, its items have none."""
    for phase in obj.get("phases", []):
        discounts: list[Obj] = phase.pop("discounts", [])
        phase["coupon"] = discounts[0]["coupon"] if discounts else None
        for item in phase.get("items", []):
            _drop(item, "discounts")
    _drop(obj, "billing_mode", "pause_schedules")


def old_quote(obj: Obj, state: State) -> None:
    """Without the billing mode of the subscription to come."""
    _drop(part(obj, "subscription_data"), "billing_mode")
    _drop(part(obj, "automatic_tax"), "provider")


CHANGES: dict[str, Callable[[Obj, State], None]] = {
    "subscription": old_subscription,
    "invoice": old_invoice,
    "line_item": old_line,
    "invoiceitem": old_invoiceitem,
    "discount": old_discount,
    "promotion_code": old_promotion_code,
    "payment_intent": old_payment_intent,
    "charge": old_charge,
    "refund": old_refund,
    "credit_note": old_credit_note,
    "credit_note_line_item": old_credit_note_line,
    "subscription_schedule": old_schedule,
    "quote": old_quote,
}


def old_previous(current: Obj, before: Obj, state: State) -> Obj:
    """The previous attributes under their old names: what differs between the old shapes of after and before."""
    then = _restored(current, before)
    now_old, then_old = old(current, state), old(then, state)
    return {name: then_old[name] for name in sorted(then_old) if then_old[name] != now_old.get(name)}


def _restored(obj: Obj, before: Obj) -> Obj:
    whole = dict(obj)
    for name, value in before.items():
        known = obj.get(name)
        both = isinstance(value, dict) and isinstance(known, dict)
        whole[name] = _restored(cast(Obj, known), cast(Obj, value)) if both else value
    return whole


def _tax_amounts(taxes: list[Obj] | None) -> list[Obj]:
    return [
        {
            "amount": tax["amount"],
            "inclusive": tax["tax_behavior"] == "inclusive",
            "tax_rate": part(tax, "tax_rate_details").get("tax_rate"),
        }
        for tax in taxes or []
    ]


def _first_discount(identifiers: list[str], state: State) -> Obj | None:
    found = state.look("discounts", identifiers[0]) if identifiers else None
    return old(found, state) if found else None


def _drop(obj: Obj, *names: str) -> None:
    for name in names:
        obj.pop(name, None)


def _found(state: State, resource: str, name: str, value: str) -> list[Obj]:
    """The objects of which a filter has this value, oldest first."""
    return [state[resource].shown(identifier) for identifier in state[resource].find(name, value)]


def _embedded(state: State, resource: str, name: str, value: str, url: str) -> Obj:
    """What was found, newest first, as the list inside an object that shows up to ten."""
    found = _found(state, resource, name, value)[::-1]
    data = old(found[:SHOWN_CHILDREN], state)
    more = len(found) > SHOWN_CHILDREN
    return {"object": "list", "data": data, "has_more": more, "total_count": len(found), "url": url}


def _invoice_of(state: State, intent: str) -> str | None:
    links = _found(state, "invoice_payments", "payment[payment_intent]", intent)
    return links[0]["invoice"] if links else None
