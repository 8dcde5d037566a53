"""Customers arrive, subscribe, come back and are deleted."""

from typing import Any

from tidegate.sandbox import contracts
from tidegate.sandbox.contracts import Terms
from tidegate.sandbox.names import COUNTRIES, invented
from tidegate.sandbox.objects import people
from tidegate.sandbox.offers import terms_for
from tidegate.sandbox.redemptions import discount
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import DAY, Due, World

CARDS = (("4242", "visa"), ("4444", "mastercard"), ("0005", "amex"))
NO_CARD = ("trial_no_card", "send_invoice", "prospect")


def arrive(world: World, due: Due) -> None:
    """A new customer signs up; `due.about` is the role it plays, empty for an ordinary one."""
    world.arrived += 1
    role = due.about
    customer = sign_up(world, role)
    if role in ("prospect", "deleted_prospect", "quoted"):
        if role == "quoted":
            world.plan(world.clock.now + 3600, "quote", customer["id"])
        return
    subscription = contracts.start(world, customer, terms_for(world, role))
    follow_up(world, role, customer, subscription)
    if role == "several":
        contracts.start(world, customer, Terms([(world.prices["support"], 1)]))
    if due.detail is not None:
        world.plan(world.clock.now + due.detail, "arrive", "", due.detail)


def sign_up(world: World, role: str) -> Obj:
    """Puts a customer and its card in place."""
    now, number = world.clock.now, world.arrived
    name, email = invented(world.chance, number)
    shown_email: str | None = email
    if role == "no_email" or (not role and world.likely(0.03)):
        shown_email = None
    elif role == "duplicate" or (not role and world.likely(0.03)):
        shown_email = "Shared.Inbox@example.com" if world.likely(0.5) else "shared.inbox@example.com"
    where = world.chance.choice(COUNTRIES)
    customer = people.customer(
        world.ids.new("cus_"),
        now,
        None if role == "no_name" else name,
        shown_email,
        address=people.address(*where) if world.likely(0.8) else None,
        metadata={"workspace_id": f"ws_{number}"} if world.likely(0.5) else {},
        description="Brought over from the old system" if world.likely(0.05) else None,
        _role=role,
    )
    world.state.put(customer, "customer.created")
    if role not in NO_CARD:
        last4, brand = world.chance.choice(CARDS)
        card = people.payment_method(world.ids.new("pm_1", 23), now, customer, last4, brand)
        world.state.put(card, "payment_method.attached")
        customer["invoice_settings"] = customer["invoice_settings"] | {"default_payment_method": card["id"]}
        world.state.put(customer, "customer.updated")
    if role == "customer_discount":
        given = discount(world, "NONPROFIT", customer["id"])
        customer["discount"] = {name: value for name, value in given.items() if not name.startswith("_")}
        world.state.put(customer, "customer.updated")
    if role == "credit":
        world.state.put(customer | {"balance": -5000}, "customer.updated")
    return world.state.full("customers", customer["id"])


def follow_up(world: World, role: str, customer: Obj, subscription: Obj) -> None:
    """Plans what comes later for a new subscription."""
    now, identifier = world.clock.now, subscription["id"]
    steps: dict[str, tuple[int, str, str, Any]] = {
        "churned": (9 * DAY, "decide", identifier, "cancel_now"),
        "pending": (3600, "decide", identifier, "pending"),
        "canceling": (2 * DAY, "decide", identifier, "cancel_later"),
        "paused_collection": (3 * DAY, "decide", identifier, "pause"),
        "deleted": (20 * DAY, "leave", customer["id"], None),
        "scheduled": (2 * DAY, "decide", identifier, "schedule"),
        "grid": (3600, "credit", subscription["latest_invoice"], 12),
        "credited": (2 * DAY, "credit", subscription["latest_invoice"], 1),
        "upgrading": (10 * DAY, "decide", identifier, "upgrade"),
        "growing": (11 * DAY, "decide", identifier, "quantity"),
        "growing_yearly": (50 * DAY, "decide", identifier, "quantity"),
        "fee": (2 * DAY, "decide", identifier, "fee"),
    }
    if role in steps:
        delay, what, about, detail = steps[role]
        world.plan(now + delay, what, about, detail)
    if role in ("", "several", "no_email", "duplicate"):
        world.plan(now + world.chance.randrange(3, 40) * DAY + world.chance.randrange(DAY), "decide", identifier)


def come_back(world: World, due: Due) -> None:
    """A customer who had left subscribes again."""
    customer = world.state.full("customers", due.about)
    currency = customer["currency"] or "usd"
    plan = world.chance.choice(("starter", "pro"))
    subscription = contracts.start(world, customer, Terms([(world.prices[f"{plan}-month-{currency}"], 1)]))
    world.plan(world.clock.now + 30 * DAY, "decide", subscription["id"])


def leave(world: World, due: Due) -> None:
    """A customer is deleted; what it had stays, its subscriptions end."""
    for identifier in list(world.state["subscriptions"].find("customer", due.about)):
        subscription = world.state.full("subscriptions", identifier)
        if subscription["status"] not in ("canceled", "incomplete_expired"):
            contracts.end(world, subscription, "cancellation_requested")
    for identifier in list(world.state["payment_methods"].find("customer", due.about)):
        world.state.delete("payment_methods", identifier, "payment_method.detached")
    world.state.delete("customers", due.about, "customer.deleted")
