"""Test clocks: made, advanced, deleted; and the time at which what is on one is written."""

from contextlib import AbstractContextManager, nullcontext

from tidegate.sandbox import clocks
from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.clock import add_interval
from tidegate.sandbox.endings import OVER
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.state import State
from tidegate.sandbox.writes.calls import Call, Write, deleted

AHEAD = 2
"""Intervals of the shortest subscription on a clock that it is advanced at once, or years without one (SDK)."""
MOST = 3
"""Customers of a clock, and subscriptions of each that are not over: "up to three new customers to each simulation"
(docs.stripe.com/billing/testing/test-clocks/api-advanced-usage).
"""
REFERS = {
    "customer": "customers",
    "invoice": "invoices",
    "subscription": "subscriptions",
    "charge": "charges",
    "payment_intent": "payment_intents",
}
"""The parameters that say whose the object is that a write makes."""
PLACED = frozenset(
    {"customers", "subscriptions", "invoices", "invoiceitems", "quotes", "credit_notes", "refunds", "payment_methods"}
)
"""What lives in its customer's time."""


def create(call: Call) -> Obj:
    """A new clock, which stands at a time in the past or the future."""
    if call.state.livemode:
        raise Refusal(400, "Test clocks are there in test mode only.")
    made = clocks.create(call.world, call.now, call.given["frozen_time"], call.given.get("name"))
    return call.state.full(clocks.NAME, made["id"])


def advance(call: Call) -> Obj:
    """Sets a clock out for a later time; it is ready there once this is answered."""
    clock, to, now = call.addressed(clocks.NAME), call.given["frozen_time"], call.now
    stands, furthest = clock["frozen_time"], limit(call.state, clock)
    if to <= stands:
        raise Refusal(
            400,
            f"The test clock must be advanced to a time later than its own, which is {stands}.",
            param="frozen_time",
        )
    if to > furthest:
        raise Refusal(
            400,
            f"A test clock is advanced by at most {AHEAD} intervals of the shortest subscription on it, without "
            f"one by {AHEAD} years: here until {furthest}. Advance it in steps.",
            param="frozen_time",
        )
    under_way = clocks.set_out(call.world, clock["id"], to, now)
    call.later.append(lambda: clocks.arrive(call.world, under_way, to, now))
    return under_way


def limit(state: State, clock: Obj) -> int:
    """The latest time, UTC epoch seconds, to which a clock may be advanced now."""
    stands = clock["frozen_time"]
    found = (state["subscriptions"].shown(one) for one in state["subscriptions"].find("test_clock", clock["id"]))
    terms = [item["price"]["recurring"] for one in found if one["status"] not in OVER for item in one["items"]["data"]]
    ends = [add_interval(stands, one["interval"], AHEAD * one["interval_count"]) for one in terms]
    return min(ends, default=add_interval(stands, "year", AHEAD))


def delete(call: Call) -> Obj:
    """Deletes a clock with its customers and what they have."""
    clock = call.addressed(clocks.NAME)
    clocks.delete(call.world, clock["id"], f"{clocks.KIND}.deleted")
    return deleted(clocks.KIND, clock["id"])


def room_for_customer(call: Call) -> str | None:
    """The clock that a new customer is to be on, None without one. Raises Refusal (400)."""
    if call.given.get("test_clock") is None:
        return None
    clock = call.referred(clocks.NAME, call.given["test_clock"], "test_clock")["id"]
    if len(call.state["customers"].matching("test_clock", clock)) >= MOST:
        raise Refusal(400, f"A test clock can have up to {MOST} customers: {clock}", param="test_clock")
    return clock


def room_for_subscription(call: Call, customer: Obj) -> None:
    """Passes for a customer who may have one more subscription. Raises Refusal (400)."""
    if customer["test_clock"] is None:
        return
    found = (
        call.state["subscriptions"].shown(one) for one in call.state["subscriptions"].find("customer", customer["id"])
    )
    if sum(one["status"] not in OVER for one in found) >= MOST:
        raise Refusal(400, f"A customer on a test clock can have up to {MOST} subscriptions.", param="customer")


def time_of(call: Call, resource: str) -> AbstractContextManager[None]:
    """Within it a write is at the time of the clock that its customer is on, if any; its events are dated now."""
    name = clock_of(call, resource) if resource in PLACED else None
    if name is None or name not in call.state[clocks.NAME]:
        return nullcontext()
    return clocks.standing(call.world, call.state.full(clocks.NAME, name), call.now)


def clock_of(call: Call, resource: str) -> str | None:
    """The id of the clock of the customer whom a write concerns, None without one."""
    if resource == "customers" and call.given.get("test_clock"):
        return call.given["test_clock"]
    if not call.state.clock_of:
        return None
    named = [(resource, name) for name in call.names[:1]]
    named += [(of, call.given[param]) for param, of in REFERS.items() if call.given.get(param)]
    customers = (customer_of(call.state, of, identifier) for of, identifier in named)
    return next((call.state.clock_of[one] for one in customers if one in call.state.clock_of), None)


def customer_of(state: State, resource: str, identifier: str) -> str | None:
    """The customer of an object, a subscription item's by its own id; None when there is no such object."""
    if resource == "customers":
        return identifier
    if resource == "subscriptions" and identifier not in state["subscriptions"]:
        identifier = next(state["subscriptions"].find("_item", identifier), identifier)
    found = state.look(resource, identifier)
    return found["customer"] if found else None


PATH, NAME, KIND = "/v1/test_helpers/test_clocks", clocks.NAME, clocks.KIND
PARAMS = "test_helpers.TestClock{}Params"
WRITES = (
    Write("POST", PATH, NAME, KIND, PARAMS.format("Create"), create, ("frozen_time", "name")),
    Write("POST", f"{PATH}/{{id}}/advance", NAME, KIND, PARAMS.format("Advance"), advance, ("frozen_time",)),
    Write("DELETE", f"{PATH}/{{id}}", NAME, "leaf", PARAMS.format("Delete"), delete),
)
