"""What a subscriber decides from time to time: more or fewer seats, another plan, a pause, the end."""

from typing import Any

from tidegate.sandbox import contracts
from tidegate.sandbox.objects import invoices, subscriptions
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import DAY, Due, World

CHOICES: dict[str, float] = {
    "nothing": 70,
    "quantity": 11,
    "upgrade": 6,
    "downgrade": 2.5,
    "add_on": 2.5,
    "cancel_later": 3.5,
    "cancel_now": 0.8,
    "pause": 0.8,
    "yearly": 1.2,
    "schedule": 0.5,
    "pending": 0.4,
    "fee": 1.2,
}
PLANS = ("starter", "team", "pro", "business")
FEEDBACK = (
    "too_expensive",
    "missing_features",
    "switched_service",
    "unused",
    "customer_service",
    "too_complex",
    "other",
)


def decide(world: World, due: Due) -> None:
    """Carries out the decision named by `due.detail`, else one by chance, and plans the next."""
    subscription = world.state.full("subscriptions", due.about)
    if subscription["status"] not in ("active", "trialing"):
        return
    choice = due.detail or world.chance.choices(list(CHOICES), list(CHOICES.values()))[0]
    if not subscription["cancel_at_period_end"] or choice == "cancel_now":
        act(world, subscription, choice)
    if due.detail is None:
        world.plan(
            world.clock.now + world.chance.randrange(18, 45) * DAY + world.chance.randrange(DAY), "decide", due.about
        )


def act(world: World, subscription: Obj, choice: str) -> None:
    """Carries out one decision; those that do not fit the subscription change nothing."""
    item = subscription["items"]["data"][0]
    currency = subscription["currency"]
    plan, interval = plan_of(world, item)
    match choice:
        case "quantity" if item.get("quantity", 0) > 1:
            step = world.chance.choice((-2, -1, 1, 2, 3, 5, 8))
            price = world.state.full("prices", item["price"]["id"])
            contracts.change(world, subscription, item, price, max(1, item["quantity"] + step))
        case "upgrade" | "downgrade" if plan:
            place = PLANS.index(plan) + (1 if choice == "upgrade" else -1)
            if 0 <= place < len(PLANS):
                quantity = 5 if PLANS[place] == "team" else 1
                contracts.change(
                    world, subscription, item, world.prices[f"{PLANS[place]}-{interval}-{currency}"], quantity
                )
        case "yearly" if plan and interval == "month" and len(subscription["items"]["data"]) == 1:
            contracts.change(world, subscription, item, world.prices[f"{plan}-year-{currency}"], item["quantity"])
        case "add_on" if currency == "usd" and interval == "month":
            contracts.add_item(world, subscription, world.prices[f"addon-{world.chance.randrange(1, 21)}"], 1)
        case "cancel_later":
            comment = "Läuft aus 🙁" if world.likely(0.3) else None
            contracts.schedule_end(world, subscription, world.chance.choice(FEEDBACK), comment)
            _maybe_return(world, subscription, item["current_period_end"])
        case "cancel_now":
            contracts.end(world, subscription, "cancellation_requested")
            _maybe_return(world, subscription, world.clock.now)
        case "pause":
            pause(world, subscription)
        case "pending" if plan:
            await_payment(world, subscription, item, world.prices[f"{PLANS[-1]}-{interval}-{currency}"])
        case "schedule" if plan:
            schedule(world, subscription, item, f"{PLANS[-1]}-{interval}-{currency}")
        case "fee" if currency == "usd":
            fee(world, subscription)
        case _:
            pass


def plan_of(world: World, item: Obj) -> tuple[str | None, str]:
    """The plan and interval of an item's price by its role; None for what cannot be switched."""
    for plan in PLANS:
        for interval in ("month", "year", "quarter", "week"):
            if world.prices[f"{plan}-{interval}-{item['price']['currency']}"]["id"] == item["price"]["id"]:
                return plan, interval
    return None, item["price"]["recurring"]["interval"]


def _maybe_return(world: World, subscription: Obj, since: int) -> None:
    if world.likely(0.15):
        world.plan(since + world.chance.randrange(20, 150) * DAY, "return", subscription["customer"])


def pause(world: World, subscription: Obj) -> None:
    """Pauses collection for some weeks, in one of the three ways."""
    behavior = world.chance.choice(("keep_as_draft", "void", "mark_uncollectible"))
    resumes = world.clock.now + world.chance.randrange(20, 70) * DAY
    subscription["pause_collection"] = {"behavior": behavior, "resumes_at": resumes}
    world.state.put(subscription, "customer.subscription.updated")
    world.plan(resumes, "resume", subscription["id"])


def resume(world: World, due: Due) -> None:
    """Collection goes on."""
    subscription = world.state.full("subscriptions", due.about)
    if subscription["pause_collection"] and subscription["status"] != "canceled":
        world.state.put(subscription | {"pause_collection": None}, "customer.subscription.updated")


def await_payment(world: World, subscription: Obj, item: Obj, price: Obj) -> None:
    """A change of plan that waits for its payment, and lapses after 23 hours without one; the old items stay."""
    wanted = item | {"price": subscriptions.shown_price(price), "plan": subscriptions.plan_of(price), "quantity": 1}
    subscription["pending_update"] = {
        "billing_cycle_anchor": None,
        "discount": None,
        "discounts": None,
        "expires_at": world.clock.now + 23 * 3600,
        "metadata": None,
        "subscription_items": [wanted],
        "trial_end": None,
        "trial_from_plan": None,
    }
    world.state.put(subscription, "customer.subscription.updated")
    world.plan(world.clock.now + 23 * 3600, "lapse", subscription["id"])


def lapse(world: World, due: Due) -> None:
    """A change that waited for its payment in vain is dropped."""
    subscription = world.state.full("subscriptions", due.about)
    if subscription["pending_update"] and subscription["status"] != "canceled":
        kinds = ("customer.subscription.updated", "customer.subscription.pending_update_expired")
        world.state.put(subscription | {"pending_update": None}, *kinds)


def schedule(world: World, subscription: Obj, item: Obj, role: str) -> None:
    """Schedules a change of plan for the end of the period."""
    begin, finish = item["current_period_start"], item["current_period_end"]
    now_items: list[tuple[str, int | None]] = [
        (one["price"]["id"], one.get("quantity")) for one in subscription["items"]["data"]
    ]
    currency = subscription["currency"]
    later = contracts.period_end(world.prices[role], finish, subscription["billing_cycle_anchor"])
    phases = [
        subscriptions.phase(currency, now_items, begin, finish),
        subscriptions.phase(currency, [(world.prices[role]["id"], 1)], finish, later),
    ]
    identifier = world.ids.new("sub_sched_1", 23)
    changes: dict[str, Any] = {
        "subscription": subscription["id"],
        "current_phase": {"start_date": begin, "end_date": finish},
        "_role": role,
    }
    made = subscriptions.schedule(identifier, world.clock.now, subscription["customer"], phases, **changes)
    world.state.put(made, "subscription_schedule.created")
    world.state.put(subscription | {"schedule": identifier}, "customer.subscription.updated")
    world.plan(finish - 1, "release", identifier)


def release(world: World, due: Due) -> None:
    """The scheduled change takes place and the schedule lets its subscription go."""
    made = world.state.full("subscription_schedules", due.about)
    subscription = world.state.full("subscriptions", made["subscription"])
    done: Obj = {"current_phase": None, "subscription": None, "released_subscription": subscription["id"]}
    if subscription["status"] in ("active", "trialing"):
        price = world.prices[made["_role"]]
        first, *others = subscription["items"]["data"]
        first |= {"price": subscriptions.shown_price(price), "plan": subscriptions.plan_of(price), "quantity": 1}
        subscription["items"]["data"] = [first]
        del others
    world.state.put(
        made | done | {"status": "released", "released_at": world.clock.now},
        "subscription_schedule.updated",
        "subscription_schedule.released",
    )
    world.state.put(subscription | {"schedule": None}, "customer.subscription.updated")


def fee(world: World, subscription: Obj) -> None:
    """A one-time fee waits for the next invoice."""
    now, price = world.clock.now, world.prices["setup"]
    world.state.put(
        invoices.invoiceitem(
            world.ids.new("ii_1", 23),
            now,
            subscription["customer"],
            subscription["currency"],
            price["unit_amount"],
            1,
            (now, now),
            description="Onboarding",
            pricing=invoices.pricing(price, price["unit_amount_decimal"]),
        ),
        "invoiceitem.created",
    )
