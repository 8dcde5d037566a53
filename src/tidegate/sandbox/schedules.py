"""Subscription schedules: what a subscription will be, phase by phase."""

from typing import Any

from tidegate.sandbox.billing import period_end
from tidegate.sandbox.changes import swap
from tidegate.sandbox.endings import finish
from tidegate.sandbox.objects import subscriptions
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import DAY, World

UPDATED = "subscription_schedule.updated"


def schedule(world: World, subscription: Obj, price: Obj | None, end_behavior: str = "release") -> None:
    """Schedules another price of the first item for one period from the end of the current one, the quantities kept;
    without a price the subscription ends, or is let go, with the current period. Not for one that has a schedule."""
    item = subscription["items"]["data"][0]
    begin, finish_at = item["current_period_start"], item["current_period_end"]
    held = [(one["price"]["id"], one.get("quantity")) for one in subscription["items"]["data"]]
    phases = [subscriptions.phase(subscription["currency"], held, begin, finish_at)]
    if price:
        later = period_end(price, finish_at, subscription["billing_cycle_anchor"])
        wanted = [(price["id"], item.get("quantity")), *held[1:]]
        phases.append(subscriptions.phase(subscription["currency"], wanted, finish_at, later))
    changes: dict[str, Any] = {
        "subscription": subscription["id"],
        "current_phase": {"start_date": begin, "end_date": finish_at},
        "end_behavior": end_behavior,
    }
    identifier = world.ids.new("sub_sched_1", 23)
    made = subscriptions.schedule(identifier, world.clock.now, subscription["customer"], phases, **changes)
    world.state.put(made, "subscription_schedule.created")
    world.state.put(subscription | {"schedule": identifier}, "customer.subscription.updated")


def ahead(world: World, customer: Obj, price: Obj, quantity: int, days: int) -> Obj:
    """A schedule that begins a subscription in some days and lets it go after one period."""
    start = world.clock.now + days * DAY
    phase = subscriptions.phase(price["currency"], [(price["id"], quantity)], start, period_end(price, start, start))
    identifier = world.ids.new("sub_sched_1", 23)
    made = subscriptions.schedule(identifier, world.clock.now, customer["id"], [phase], status="not_started")
    world.state.put(made, "subscription_schedule.created")
    world.plan(start, "schedule_start", identifier)
    return made


def call_off(world: World, identifier: str) -> None:
    """Cancels a schedule that has not begun."""
    made = world.state.full("subscription_schedules", identifier)
    if made["status"] == "not_started":
        over = {"status": "canceled", "canceled_at": world.clock.now}
        world.state.put(made | over, "subscription_schedule.canceled")


def turn(world: World, subscription: Obj) -> bool:
    """Moves a subscription's schedule to the phase that begins now, whose items the subscription takes over, or ends it
    with its last phase; the subscription is not stored. True when the subscription ended with it."""
    now = world.clock.now
    made = world.state.full("subscription_schedules", subscription["schedule"])
    if made["status"] != "active":
        return False
    following = next((phase for phase in made["phases"] if phase["start_date"] == now), None)
    if following:
        for item, wanted in zip(subscription["items"]["data"], following["items"], strict=True):
            swap(item, world.state.full("prices", wanted["price"]), wanted["quantity"])
        phase = {"start_date": now, "end_date": following["end_date"]}
        world.state.put(made | {"current_phase": phase}, UPDATED)
        return False
    if made["phases"][-1]["end_date"] > now:
        return False
    if made["end_behavior"] == "cancel":
        over = {"status": "completed", "completed_at": now, "current_phase": None}
        world.state.put(made | over, UPDATED, "subscription_schedule.completed")
        finish(world, subscription, None)
        return True
    release(world, made)
    subscription["schedule"] = None
    return False


def release(world: World, made: Obj) -> None:
    """Lets the subscription of a schedule go on without it."""
    over: Obj = {"status": "released", "released_at": world.clock.now, "current_phase": None, "subscription": None}
    over["released_subscription"] = made["subscription"]
    world.state.put(made | over, UPDATED, "subscription_schedule.released")
