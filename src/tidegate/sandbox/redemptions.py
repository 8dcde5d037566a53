"""Coupons at work: a discount is made, its coupon and code count it, and it ends."""

from typing import Any

from tidegate.sandbox.clock import add_interval
from tidegate.sandbox.objects import catalog
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import Due, World


def redeem(world: World, subscription: Obj, whole: str | None, first_item: str | None, code: str | None) -> list[Obj]:
    """Gives a subscription the coupons it was sold with: on the whole, perhaps by a code, and on its first item.

    Returns the discounts, of which `told` makes events: they come after that of their subscription.
    """
    made: list[Obj] = []
    for coupon, where in ((whole, "subscription"), (first_item, "item")):
        if coupon is None:
            continue
        item = subscription["items"]["data"][0]
        owner: Obj = {"subscription_item": item["id"]} if where == "item" else {"promotion_code": code}
        given = discount(world, coupon, subscription["customer"], subscription=subscription["id"], **owner)
        (item if where == "item" else subscription)["discounts"] = [given["id"]]
        made.append(given)
    return made


def discount(world: World, coupon_id: str, customer: str, **owner: Any) -> Obj:
    """Puts a coupon to work from now on, without an event yet; it ends when its months are over."""
    now, coupon = world.clock.now, world.coupons[coupon_id]
    months = coupon["duration_in_months"]
    end = add_interval(now, "month", months) if months else None
    given = catalog.discount(world.ids.new("di_1", 23), coupon_id, now, end, customer=customer, **owner)
    world.state.put(given)
    if end:
        world.plan(end, "discount_end", given["id"])
    return given


def told(world: World, given: Obj) -> None:
    """Makes the event of a new discount and counts its redemption."""
    world.state.put(given, "customer.discount.created")
    coupon = world.coupons[given["source"]["coupon"]]
    coupon["times_redeemed"] += 1
    if coupon["id"] in world.state["coupons"]:
        world.state.put(dict(coupon), "coupon.updated")
    code = given["promotion_code"]
    if code and code in world.state["promotion_codes"]:
        known = world.state.full("promotion_codes", code)
        counted = known | {"times_redeemed": known["times_redeemed"] + 1}
        world.state.put(counted, "promotion_code.updated")


def live_discounts(world: World, identifiers: list[str]) -> list[Obj]:
    """The discounts that have not ended."""
    found = [world.state.full("discounts", identifier) for identifier in identifiers]
    return [one for one in found if one["end"] is None or one["end"] > world.clock.now]


def of_whole(world: World, subscription: Obj) -> list[Obj]:
    """The discounts on a subscription as a whole; its customer's where it and its items have none of their own."""
    own = live_discounts(world, subscription["discounts"])
    if own or any(live_discounts(world, item["discounts"]) for item in subscription["items"]["data"]):
        return own
    inherited = world.state.full("customers", subscription["customer"])["discount"]
    return live_discounts(world, [inherited["id"]]) if inherited else []


def remove(world: World, subscription: Obj, gone: set[str]) -> None:
    """Takes discounts off a subscription and its items, each with its event; the subscription is not stored."""
    for owner in (subscription, *subscription["items"]["data"]):
        for identifier in [one for one in owner["discounts"] if one in gone]:
            world.state.put(world.state.full("discounts", identifier), "customer.discount.deleted")
        owner["discounts"] = [one for one in owner["discounts"] if one not in gone]


def spend(world: World, subscription: Obj, invoice: Obj) -> None:
    """Removes the discounts of coupons that apply once, if they took something off this invoice: nothing is taken off
    a trial's, so they wait for the first with something to pay."""
    taken = {share["discount"] for share in invoice["total_discount_amounts"] if share["amount"]}
    once = {one for one in taken if _coupon(world, one)["duration"] == "once"}
    held = {one for owner in (subscription, *subscription["items"]["data"]) for one in owner["discounts"]}
    if once & held:
        remove(world, subscription, once)
        world.state.put(subscription, "customer.subscription.updated")


def discount_end(world: World, due: Due) -> None:
    """A discount's months are over."""
    given = world.state.full("discounts", due.about)
    if given["subscription"] in world.state["subscriptions"]:
        subscription = world.state.full("subscriptions", given["subscription"])
        held = {one for owner in (subscription, *subscription["items"]["data"]) for one in owner["discounts"]}
        if given["id"] in held and subscription["status"] not in ("canceled", "incomplete_expired"):
            remove(world, subscription, {given["id"]})
            world.state.put(subscription, "customer.subscription.updated")


def _coupon(world: World, identifier: str) -> Obj:
    return world.coupons[world.state.full("discounts", identifier)["source"]["coupon"]]
