"""What a subscriber decides from time to time: more or fewer seats, another plan, a pause, the end."""

from collections.abc import Callable

from tidegate.sandbox import changes, contracts, endings, waiting
from tidegate.sandbox.catalog import role_of
from tidegate.sandbox.fees import fee
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.schedules import schedule
from tidegate.sandbox.steps import STEPS
from tidegate.sandbox.world import DAY, Due, World

Decision = Callable[[World, Obj, Obj], None]
"""Takes the subscription and its first item; one that does not fit the subscription changes nothing."""

WEIGHTS: dict[str, float] = {
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
LONG_PERIOD = 40 * DAY
"""Changes within longer periods than this are billed at once: nobody would wait a year for the money."""


def decide(world: World, due: Due) -> None:
    """Carries out the step named by `due.detail`, else a decision by chance, and plans the next."""
    subscription = world.state.full("subscriptions", due.about)
    if due.detail is not None:
        STEPS[due.detail](world, subscription)
        return
    if subscription["status"] not in ("active", "trialing"):
        return
    choice = world.chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    settled = subscription["cancel_at"] is None and subscription["schedule"] is None
    if (settled and not subscription["pending_update"]) or choice == "cancel_now":
        DECISIONS[choice](world, subscription, subscription["items"]["data"][0])
    pause = world.chance.randrange(18, 45) * DAY + world.chance.randrange(DAY)
    world.plan(world.clock.now + pause, "decide", due.about)


def quantity(world: World, subscription: Obj, item: Obj) -> None:
    """Some seats more or fewer."""
    if item.get("quantity", 0) > 1:
        step = world.chance.choice((-2, -1, 1, 2, 3, 5, 8))
        price = world.state.full("prices", item["price"]["id"])
        changes.change(world, subscription, item, price, max(1, item["quantity"] + step), behavior(item))


def behavior(item: Obj) -> changes.Prorations:
    """How a change of an item is billed."""
    long = item["current_period_end"] - item["current_period_start"] > LONG_PERIOD
    return "always_invoice" if long else "create_prorations"


def to_plan(step: int) -> Decision:
    """The plan above or below."""

    def move(world: World, subscription: Obj, item: Obj) -> None:
        plan, interval, currency = role_of(world, item)
        place = PLANS.index(plan) + step if plan in PLANS else -1
        if 0 <= place < len(PLANS):
            price = world.prices[f"{PLANS[place]}-{interval}-{currency}"]
            changes.change(world, subscription, item, price, 5 if PLANS[place] == "team" else 1, behavior(item))

    return move


def yearly(world: World, subscription: Obj, item: Obj) -> None:
    """The same plan by the year."""
    plan, interval, currency = role_of(world, item)
    if plan in PLANS and interval == "month" and len(subscription["items"]["data"]) == 1:
        changes.change(world, subscription, item, world.prices[f"{plan}-year-{currency}"], item["quantity"])


def add_on(world: World, subscription: Obj, item: Obj) -> None:
    """One more item."""
    _, interval, _ = role_of(world, item)
    price = world.prices[f"addon-{world.chance.randrange(1, 21)}"]
    fits = subscription["currency"] == "usd" and interval == "month" and len(subscription["items"]["data"]) < 20
    if fits and not changes.has_price(subscription, price):
        changes.add_item(world, subscription, price, 1)


def cancel_later(world: World, subscription: Obj, item: Obj) -> None:
    """The end of the subscription with its period, for a reason."""
    comment = "Läuft aus 🙁" if world.likely(0.3) else None
    contracts.schedule_end(world, subscription, world.chance.choice(FEEDBACK), comment)
    _maybe_return(world, subscription, item["current_period_end"])


def cancel_now(world: World, subscription: Obj, item: Obj) -> None:
    """The end of the subscription at once."""
    endings.end(world, subscription, "cancellation_requested")
    _maybe_return(world, subscription, world.clock.now)


def _maybe_return(world: World, subscription: Obj, since: int) -> None:
    if world.likely(0.15):
        world.plan(since + world.chance.randrange(20, 150) * DAY, "return", subscription["customer"])


def pause(world: World, subscription: Obj, item: Obj) -> None:
    """A pause of some weeks, in one of the three ways."""
    way = world.chance.choice(("keep_as_draft", "void", "mark_uncollectible"))
    waiting.pause(world, subscription, way, world.clock.now + world.chance.randrange(20, 70) * DAY)


def pending(world: World, subscription: Obj, item: Obj) -> None:
    """The largest plan, if it is paid for at once."""
    plan, interval, currency = role_of(world, item)
    if plan in PLANS[:-1] and subscription["status"] == "active":
        waiting.await_payment(world, subscription, item, world.prices[f"{PLANS[-1]}-{interval}-{currency}"])


def planned(world: World, subscription: Obj, item: Obj) -> None:
    """The largest plan from the next period on."""
    plan, interval, currency = role_of(world, item)
    if plan in PLANS[:-1] and subscription["status"] == "active":
        schedule(world, subscription, world.prices[f"{PLANS[-1]}-{interval}-{currency}"])


def extra(world: World, subscription: Obj, item: Obj) -> None:
    """A one-time service."""
    if subscription["currency"] == "usd":
        fee(world, subscription)


DECISIONS: dict[str, Decision] = {
    "nothing": lambda world, subscription, item: None,
    "quantity": quantity,
    "upgrade": to_plan(1),
    "downgrade": to_plan(-1),
    "add_on": add_on,
    "cancel_later": cancel_later,
    "cancel_now": cancel_now,
    "pause": pause,
    "yearly": yearly,
    "schedule": planned,
    "pending": pending,
    "fee": extra,
}
