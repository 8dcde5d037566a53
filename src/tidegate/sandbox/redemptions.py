"""Coupons at work: a discount is made, its coupon and code count it."""

from typing import Any

from tidegate.sandbox.clock import add_interval
from tidegate.sandbox.objects import catalog
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import World


def redeem(world: World, subscription: Obj, whole: str | None, first_item: str | None, code: str | None) -> None:
    """Gives a new subscription the coupons it was sold with: on the whole, perhaps by a code, and on its first item."""
    for coupon, where in ((whole, "subscription"), (first_item, "item")):
        if coupon is None:
            continue
        item = subscription["items"]["data"][0]
        owner: Obj = {"subscription_item": item["id"]} if where == "item" else {"promotion_code": code}
        given = discount(world, coupon, subscription["customer"], subscription=subscription["id"], **owner)
        (item if where == "item" else subscription)["discounts"] = [given["id"]]


def discount(world: World, coupon_id: str, customer: str, **owner: Any) -> Obj:
    """Puts a coupon to work from now on; counts its redemption."""
    now, coupon = world.clock.now, world.coupons[coupon_id]
    months = coupon["duration_in_months"]
    end = add_interval(now, "month", months) if months else None
    given = catalog.discount(world.ids.new("di_1", 23), coupon_id, now, end, customer=customer, **owner)
    world.state.put(given, "customer.discount.created")
    coupon["times_redeemed"] += 1
    if coupon_id in world.state["coupons"]:
        world.state.put(dict(coupon), "coupon.updated")
    code = owner.get("promotion_code")
    if code and code in world.state["promotion_codes"]:
        known = world.state.full("promotion_codes", code)
        counted = known | {"times_redeemed": known["times_redeemed"] + 1}
        world.state.put(counted, "promotion_code.updated")
    return given
