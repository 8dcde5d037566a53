"""What happens as the clock advances: everything on the agenda, in order, each at its own instant."""

from collections.abc import Callable

from tidegate.sandbox import (
    aftermath,
    catalog,
    contracts,
    customers,
    decisions,
    endings,
    quoting,
    redemptions,
    schedules,
    waiting,
)
from tidegate.sandbox.billing import drop, finalize, void
from tidegate.sandbox.dunning import delinquent
from tidegate.sandbox.payments import OWN, attempt, mark_paid, subscription_of
from tidegate.sandbox.resources import Obj, values_at
from tidegate.sandbox.world import DAY, Due, World

WRITTEN_OFF_DAYS = 30
"""How long after its due date a sent invoice is given up for lost."""
Happening = Callable[[World, Due], None]


def advance_to(world: World, until: int) -> int:
    """Moves the clock to `until` (UTC epoch seconds), everything due on the way happening at its own time.

    Returns the new time.
    """
    while due := world.next_due(until):
        world.clock.now = max(world.clock.now, due.at)
        if exists(world, due):
            world.who = due.who
            HAPPENINGS[due.what](world, due)
    world.who = ""
    world.clock.now = max(world.clock.now, until)
    return world.clock.now


def exists(world: World, due: Due) -> bool:
    """Whether what this is about is still there, and what that refers to: objects may be deleted from outside."""
    resource = ABOUT.get(due.what)
    return resource is None or whole(world, resource, due.about)


def whole(world: World, resource: str, identifier: str) -> bool:
    """Whether an object is there with everything it needs."""
    if identifier not in world.state[resource]:
        return False
    needs = REFERS.get(resource, ())
    obj = world.state[resource].shown(identifier) if needs else {}
    return all(whole(world, target, one) for lens, target in needs for one in values_at(lens, obj))


def finalize_draft(world: World, due: Due) -> None:
    """Opens a renewal's invoice an hour after it was drafted, unless collection is paused or was stopped."""
    invoice = world.state.full("invoices", due.about)
    if invoice["status"] != "draft" or not invoice["auto_advance"]:
        return
    subscription = subscription_of(world, invoice)
    paused = subscription["pause_collection"] if subscription else None
    if paused and paused["behavior"] == "keep_as_draft":
        world.state.put(invoice | {"auto_advance": False, "automatically_finalizes_at": None}, "invoice.updated")
    elif paused:
        drop(world, invoice, paused["behavior"])
    else:
        finalize(world, invoice)


def retry(world: World, due: Due) -> None:
    """Tries a failed payment again, unless collection was stopped."""
    invoice = world.state.full("invoices", due.about)
    if invoice["status"] == "open" and invoice["auto_advance"]:
        attempt(world, invoice)


def transfer(world: World, due: Due) -> None:
    """A bank transfer for an invoice that was sent arrives: paid outside of Stripe."""
    invoice = world.state.full("invoices", due.about)
    if invoice["status"] == "open":
        mark_paid(world, invoice, invoice["amount_due"])


def overdue(world: World, due: Due) -> None:
    """A sent invoice was not paid by its due date."""
    invoice = world.state.full("invoices", due.about)
    subscription = subscription_of(world, invoice)
    if invoice["status"] != "open":
        return
    world.state.put(invoice, "invoice.overdue")
    delinquent(world, invoice["customer"], now=True)
    if subscription and subscription["status"] == "active":
        world.state.put(subscription | {"status": "past_due"}, "customer.subscription.updated")
    world.plan(world.clock.now + WRITTEN_OFF_DAYS * DAY, "write_off", invoice["id"])


def write_off(world: World, due: Due) -> None:
    """A sent invoice is given up for lost, and with it the subscription."""
    invoice = world.state.full("invoices", due.about)
    subscription = subscription_of(world, invoice)
    if invoice["status"] != "open" or world.state.full("customers", invoice["customer"]).get("_role") == OWN:
        return
    void(world, invoice, "uncollectible")
    if subscription and subscription["status"] == "past_due":
        endings.end(world, subscription, "payment_failed")


def call_off(world: World, due: Due) -> None:
    """A customer calls off what was to begin."""
    for identifier in list(world.state["subscription_schedules"].find("customer", due.about)):
        schedules.call_off(world, identifier)


def schedule_start(world: World, due: Due) -> None:
    """A schedule begins, and with it its subscription."""
    made = world.state.full("subscription_schedules", due.about)
    if made["status"] != "not_started" or made["customer"] not in world.state["customers"]:
        return
    phase = made["phases"][0]
    items = [(world.state.full("prices", one["price"]), one["quantity"]) for one in phase["items"]]
    customer = world.state.full("customers", made["customer"])
    begun = contracts.start(world, customer, contracts.Terms(items, changes={"schedule": made["id"]}))
    now: Obj = {"start_date": phase["start_date"], "end_date": phase["end_date"]}
    made |= {"status": "active", "subscription": begun["id"], "current_phase": now}
    world.state.put(made, schedules.UPDATED)


HAPPENINGS: dict[str, Happening] = {
    "arrive": customers.arrive,
    "second": customers.second,
    "return": customers.come_back,
    "leave": customers.leave,
    "sign_ahead": customers.sign_ahead,
    "call_off": call_off,
    "schedule_start": schedule_start,
    "decide": decisions.decide,
    "resume": waiting.resume,
    "lapse": waiting.lapse,
    "discount_end": redemptions.discount_end,
    "renew": lambda world, due: contracts.renew(world, due.about, due.detail),
    "upcoming": contracts.upcoming,
    "trial_will_end": contracts.trial_will_end,
    "end_at": endings.end_at,
    "expire": lambda world, due: endings.expire(world, due.about),
    "give_up": lambda world, due: endings.give_up(world, due.about, due.detail),
    "finalize": finalize_draft,
    "retry": retry,
    "transfer": transfer,
    "overdue": overdue,
    "write_off": write_off,
    "refund": aftermath.refund,
    "refund_failed": aftermath.refund_failed,
    "dispute": aftermath.dispute,
    "dispute_closed": aftermath.dispute_closed,
    "quote": quoting.quote,
    "quote_answer": quoting.quote_answer,
    "reprice": catalog.reprice,
    "retire_coupon": catalog.retire_coupon,
}

REFERS = {
    "subscriptions": (
        ("customer", "customers"),
        ("items.data[].price.id", "prices"),
        ("items.data[].price.product", "products"),
    ),
    "invoices": (("customer", "customers"), ("parent.subscription_details.subscription", "subscriptions")),
    "charges": (("customer", "customers"),),
    "quotes": (("customer", "customers"), ("subscription", "subscriptions")),
    "subscription_schedules": (("customer", "customers"),),
    "refunds": (("charge", "charges"),),
}

ABOUT = {
    "second": "customers",
    "return": "customers",
    "leave": "customers",
    "sign_ahead": "customers",
    "schedule_start": "subscription_schedules",
    "decide": "subscriptions",
    "resume": "subscriptions",
    "lapse": "subscriptions",
    "discount_end": "discounts",
    "renew": "subscriptions",
    "upcoming": "subscriptions",
    "trial_will_end": "subscriptions",
    "end_at": "subscriptions",
    "expire": "subscriptions",
    "give_up": "subscriptions",
    "finalize": "invoices",
    "retry": "invoices",
    "transfer": "invoices",
    "overdue": "invoices",
    "write_off": "invoices",
    "refund": "charges",
    "refund_failed": "refunds",
    "dispute": "charges",
    "dispute_closed": "disputes",
    "quote": "customers",
    "quote_answer": "quotes",
    "retire_coupon": "coupons",
}
