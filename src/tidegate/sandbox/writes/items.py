"""The items of a subscription: what is asked for, checked whole before anything is changed, then carried out."""

from dataclasses import dataclass
from typing import Any

from tidegate.sandbox import changes
from tidegate.sandbox.answers import Refusal, missing
from tidegate.sandbox.billing import whole_price
from tidegate.sandbox.changes import Prorations
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.writes.calls import Call, metadata, not_negative
from tidegate.sandbox.writes.coupons import given_to, wanted
from tidegate.sandbox.writes.prices import chosen, keep

MOST = 20
SERVED = ("price", "price_data", "quantity", "metadata", "discounts", "tax_rates")
Wanted = list[tuple[str, str | None] | str]


@dataclass
class Wish:
    """What is asked for one item: `item` is the known one, None for a new one; `quantity` is None for a metered price;
    `price` is None for an item that is taken away."""

    item: Obj | None
    price: Obj | None
    quantity: int | None
    metadata: dict[str, str]
    discounts: Wanted | None
    tax_rates: list[Obj] | None


def wish(call: Call, given: Obj, known: Obj | None, customer: str, param: str) -> Wish:
    """What is asked for an item, checked by itself. Raises Refusal (400)."""
    inner = f"{param}[{{}}]" if param else "{}"
    if given.get("deleted"):
        return Wish(known, None, None, {}, None, None)
    price = whole_price(call.world, known["price"]) if known else None
    if price is None or given.get("price") is not None or given.get("price_data") is not None:
        price = chosen(call, given, param)
    if price["recurring"] is None:
        raise Refusal(
            400,
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
            param=inner.format("price"),
        )
    not_negative(given, "quantity")
    if price["recurring"]["usage_type"] == "metered":
        if given.get("quantity") is not None:
            raise Refusal(400, "Quantity may not be set for metered prices.", param=inner.format("quantity"))
        quantity = None
    else:
        quantity = given.get("quantity", (known or {}).get("quantity", 1))
    kept = metadata((known or {}).get("metadata", {}), given).get("metadata", (known or {}).get("metadata", {}))
    asked = given.get("discounts")
    return Wish(
        known,
        price,
        quantity,
        kept,
        None if asked is None else wanted(call, asked, customer, inner.format("discounts")),
        tax_rates(call, given.get("tax_rates"), inner.format("tax_rates")),
    )


def tax_rates(call: Call, given: list[str] | None, param: str) -> list[Obj] | None:
    """The tax rates of these ids, None when the parameter was not given. Raises Refusal (400)."""
    if given is None:
        return None
    return [call.referred("tax_rates", one, f"{param}[{position}]") for position, one in enumerate(given)]


def item_of(subscription: Obj, identifier: str, param: str, status: int = 400) -> Obj:
    """The item of a subscription by its id. Raises Refusal."""
    for item in subscription["items"]["data"]:
        if item["id"] == identifier:
            return item
    raise missing("subscription_item", identifier, param=param, status=status)


def fits(wishes: list[Wish], subscription: Obj | None) -> None:
    """Checks the items that would be there in the end against each other. Raises Refusal (400)."""
    changed = {one.item["id"] for one in wishes if one.item}
    rest: list[Obj] = subscription["items"]["data"] if subscription else []
    prices = [one["price"] for one in rest if one["id"] not in changed]
    prices += [one.price for one in wishes if one.price]
    if not prices:
        raise Refusal(400, "A subscription must have at least one active price. To end it, cancel it.", param="items")
    if len(prices) > MOST:
        raise Refusal(400, f"A subscription can have up to {MOST} items, this would have {len(prices)}.", param="items")
    identifiers = [price["id"] for price in prices]
    twice = next((one for one in identifiers if identifiers.count(one) > 1), None)
    if twice:
        raise Refusal(400, f"Cannot add multiple subscription items with the same price: {twice}", param="items")
    kinds = {(p["currency"], p["recurring"]["interval"], p["recurring"]["interval_count"]) for p in prices}
    expected = subscription["currency"] if subscription else prices[0]["currency"]
    if len(kinds) > 1 or prices[0]["currency"] != expected:
        raise Refusal(
            400,
            "Currency and interval fields must match across all prices on this subscription. Found mismatches of "
            "currency or interval.",
            param="items",
        )


def admit(call: Call, subscription: Obj, wishes: list[Wish], prorations: Prorations) -> None:
    """Checks that a change is one that the sandbox carries out (400) and that it is within the limits (429)."""
    if subscription["status"] in ("canceled", "incomplete_expired"):
        raise Refusal(400, "The items of a canceled subscription cannot be changed.")
    restarts = _restarts(subscription, wishes)
    if restarts and (len(subscription["items"]["data"]) > 1 or len(wishes) > 1):
        raise Refusal(
            400, "The sandbox changes the billing interval only of a subscription with one item.", param="items"
        )
    count = sum(1 for one in wishes if one.item and one.price and one.quantity != one.item.get("quantity"))
    for _ in range(count):
        call.pace.new_quantity(subscription["id"])
    if prorations == "always_invoice" or restarts:
        call.pace.new_invoice(subscription["id"])


def carry_out(call: Call, subscription: Obj, wishes: list[Wish], prorations: Prorations) -> None:
    """Changes the items of a subscription, one after the other, and stores it each time with its event."""
    for one in wishes:
        if one.price:
            keep(call, one.price)
        if one.item and one.price is None:
            changes.remove_item(call.world, subscription, one.item, prorations)
        elif one.item:
            _change(call, subscription, one.item, one, prorations)
        else:
            _add(call, subscription, one, prorations)


def _restarts(subscription: Obj, wishes: list[Wish]) -> bool:
    then = subscription["items"]["data"][0]["price"]["recurring"]
    return any(
        one.price
        and (one.price["recurring"]["interval"], one.price["recurring"]["interval_count"])
        != (then["interval"], then["interval_count"])
        for one in wishes
    )


def dress(call: Call, subscription: Obj, item: Obj, one: Wish) -> None:
    """Writes on an item what its price and quantity do not say."""
    item["metadata"] = one.metadata
    if one.tax_rates is not None:
        item["tax_rates"] = one.tax_rates
    if one.discounts is not None:
        owner: dict[str, Any] = {"subscription": subscription["id"], "subscription_item": item["id"]}
        item["discounts"] = given_to(call, one.discounts, subscription["customer"], **owner)


def _change(call: Call, subscription: Obj, item: Obj, one: Wish, prorations: Prorations) -> None:
    assert one.price is not None
    dress(call, subscription, item, one)
    if one.price["id"] == item["price"]["id"] and one.quantity == item.get("quantity"):
        call.state.put(subscription, "customer.subscription.updated")
    elif one.quantity is None or "quantity" not in item:
        item.pop("quantity", None)
        changes.swap(item, one.price, one.quantity)
        call.state.put(subscription, "customer.subscription.updated")
    else:
        changes.change(call.world, subscription, item, one.price, one.quantity, prorations)


def _add(call: Call, subscription: Obj, one: Wish, prorations: Prorations) -> None:
    assert one.price is not None
    added = changes.add_item(call.world, subscription, one.price, one.quantity, prorations)
    if one.metadata or one.discounts or one.tax_rates:
        dress(call, subscription, added, one)
        call.state.put(subscription, "customer.subscription.updated")
