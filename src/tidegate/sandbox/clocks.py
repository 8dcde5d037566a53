"""Test clocks: customers whose time stands still until their clock is advanced, and the clock of the simulated company.

What is on a clock lives by an agenda of its own. Objects carry the clock's time, events the account's (believed:
Stripe documents only that payments, too, carry the real time).
"""

from collections.abc import Generator
from contextlib import contextmanager

from tidegate.sandbox import contracts, life
from tidegate.sandbox.contracts import Terms
from tidegate.sandbox.objects import people, quotes
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import DAY, World

KIND = "test_helpers.test_clock"
NAME = "test_helpers_test_clocks"
LIVES_DAYS = 30
LARGE_ENOUGH = 45
"""Customers of a company that has a test clock: room for each of those who show one thing."""

MADE_DAYS_AGO = 3
FROZEN_DAYS_BEFORE = 40
CUSTOMERS = (("Clockwork Ltd", "clock.one@example.com", "pro"), ("Hourglass GmbH", "clock.two@example.com", "starter"))


def found(world: World) -> None:
    """Gives the company a test clock with two customers, their subscriptions and a quote, advanced past a renewal."""
    if world.config.customers < LARGE_ENOUGH or world.config.livemode:
        return
    made = world.config.as_of - MADE_DAYS_AGO * DAY
    clock = create(world, made, made - FROZEN_DAYS_BEFORE * DAY, "Renewal of Pro")
    with standing(world, clock, made):
        for name, email, plan in CUSTOMERS:
            customer = on_clock(world, clock, name, email)
            contracts.start(world, customer, Terms([(world.prices[f"{plan}-month-usd"], 1)]))
            price = world.prices["support-usd"]
            line = quotes.quote_line(world.ids.new("li_1", 23), price, 1, price["unit_amount"], "Support")
            world.state.put(
                quotes.quote(world.ids.new("qt_1", 23), world.clock.now, customer["id"], [line]), "quote.created"
            )
    advance(world, clock["id"], clock["frozen_time"] + 35 * DAY, made)


def create(world: World, created: int, frozen: int, name: str | None = None) -> Obj:
    """Makes a test clock that stands at `frozen`; both instants in UTC epoch seconds."""
    clock: Obj = {
        "id": world.ids.new("clock_1", 23),
        "object": KIND,
        "created": created,
        "deletes_after": created + LIVES_DAYS * DAY,
        "frozen_time": frozen,
        "livemode": False,
        "name": name,
        "status": "ready",
        "status_details": {},
    }
    world.frozen[clock["id"]] = []
    with world.state.telling_at(created):
        world.state.put(clock, f"{KIND}.created")
    return clock


def on_clock(world: World, clock: Obj, name: str, email: str) -> Obj:
    """A customer with a card whose time is the clock's."""
    customer = people.customer(
        world.ids.new("cus_"), world.clock.now, name, email, test_clock=clock["id"], _role="on_clock"
    )
    world.state.put(customer, "customer.created")
    card = people.payment_method(world.ids.new("pm_1", 23), world.clock.now, customer, "4242")
    world.state.put(card, "payment_method.attached")
    customer["invoice_settings"] = customer["invoice_settings"] | {"default_payment_method": card["id"]}
    world.state.put(customer, "customer.updated")
    return world.state.full("customers", customer["id"])


@contextmanager
def standing(world: World, clock: Obj, told: int) -> Generator[None]:
    """Within it the world's time, agenda and chance are the clock's; events are dated `told` (UTC epoch seconds)."""
    now, agenda, who = world.clock.now, world.agenda, world.who
    world.clock.now, world.agenda = clock["frozen_time"], world.frozen.setdefault(clock["id"], [])
    world.who = f"{clock['id']}-{clock['frozen_time']}"
    try:
        with world.state.telling_at(told):
            yield
    finally:
        world.clock.now, world.agenda, world.who = now, agenda, who


def advance(world: World, identifier: str, to: int, told: int | None = None) -> Obj:
    """Moves a clock forward to an instant (UTC epoch seconds), everything due on it happening; returns the clock.

    KeyError when there is none, ValueError when the instant lies before the clock's own.
    """
    told = world.clock.now if told is None else told
    clock = set_out(world, identifier, to, told)
    arrive(world, clock, to, told)
    return world.state.full(NAME, identifier)


def set_out(world: World, identifier: str, to: int, told: int) -> Obj:
    """Has a clock be advancing, with its event dated `told`; returns it as it then stands. Raises as `advance` does."""
    clock = world.state.full(NAME, identifier)
    if to < clock["frozen_time"]:
        raise ValueError(to)
    details: Obj = {"advancing": {"target_frozen_time": to}}
    with world.state.telling_at(told):
        world.state.put(clock | {"status": "advancing", "status_details": details}, f"{KIND}.advancing")
    return world.state.full(NAME, identifier)


def arrive(world: World, clock: Obj, to: int, told: int) -> None:
    """Has everything happen on an advancing clock until an instant, and the clock be ready again."""
    with standing(world, clock, told):
        life.advance_to(world, to)
    ready: Obj = {"frozen_time": to, "status": "ready", "status_details": {}}
    with world.state.telling_at(told):
        world.state.put(clock | ready, f"{KIND}.ready")


def delete(world: World, identifier: str, event: str | None) -> None:
    """Removes a clock with everything that names it, of which only the clock's own going is told."""
    named = identifier.encode()
    for name, collection in world.state.collections.items():
        may_be = [one for one in collection.ids if named in collection.body(one)]
        for one in [one for one in may_be if collection.shown(one).get("test_clock") == identifier]:
            world.state.delete(name, one)
    world.frozen.pop(identifier, None)
    world.state.delete(NAME, identifier, event)
