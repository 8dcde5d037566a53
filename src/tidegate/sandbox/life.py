"""What happens as the clock advances: everything on the agenda, in order, each at its own instant."""

from collections.abc import Callable

from tidegate.sandbox import aftermath, contracts, customers, decisions
from tidegate.sandbox.billing import finalize, void
from tidegate.sandbox.payments import attempt, mark_paid, subscription_of
from tidegate.sandbox.resources import values_at
from tidegate.sandbox.world import Due, World

Happening = Callable[[World, Due], None]


def advance_to(world: World, until: int) -> int:
    """Moves the clock to `until` (UTC epoch seconds), everything due on the way happening at its own time.

    Returns the new time.
    """
    while due := world.next_due(until):
        world.clock.now = max(world.clock.now, due.at)
        if exists(world, due):
            HAPPENINGS[due.what](world, due)
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
    """Opens a renewal's invoice an hour after it was drafted, unless collection is paused."""
    invoice = world.state.full("invoices", due.about)
    subscription = subscription_of(world, invoice)
    paused = subscription["pause_collection"] if subscription else None
    if paused and paused["behavior"] == "keep_as_draft":
        world.state.put(invoice | {"auto_advance": False, "automatically_finalizes_at": None}, "invoice.updated")
    elif paused:
        void(world, invoice, "void" if paused["behavior"] == "void" else "uncollectible")
    elif invoice["status"] == "draft":
        finalize(world, invoice)


def retry(world: World, due: Due) -> None:
    """Tries a failed payment again."""
    invoice = world.state.full("invoices", due.about)
    if invoice["status"] == "open":
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
    if subscription and subscription["status"] == "active":
        world.state.put(subscription | {"status": "past_due"}, "customer.subscription.updated")


HAPPENINGS: dict[str, Happening] = {
    "arrive": customers.arrive,
    "return": customers.come_back,
    "leave": customers.leave,
    "decide": decisions.decide,
    "resume": decisions.resume,
    "lapse": decisions.lapse,
    "release": decisions.release,
    "renew": lambda world, due: contracts.renew(world, due.about, due.detail),
    "expire": lambda world, due: contracts.expire(world, due.about),
    "give_up": lambda world, due: contracts.give_up(world, due.about, due.detail),
    "finalize": finalize_draft,
    "retry": retry,
    "transfer": transfer,
    "overdue": overdue,
    "refund": aftermath.refund,
    "dispute": aftermath.dispute,
    "dispute_lost": aftermath.dispute_lost,
    "credit": aftermath.credit,
    "quote": aftermath.quote,
    "quote_answer": aftermath.quote_answer,
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
    "subscription_schedules": (("subscription", "subscriptions"),),
}

ABOUT = {
    "return": "customers",
    "leave": "customers",
    "decide": "subscriptions",
    "resume": "subscriptions",
    "lapse": "subscriptions",
    "release": "subscription_schedules",
    "renew": "subscriptions",
    "expire": "subscriptions",
    "give_up": "subscriptions",
    "finalize": "invoices",
    "retry": "invoices",
    "transfer": "invoices",
    "overdue": "invoices",
    "refund": "charges",
    "dispute": "charges",
    "dispute_lost": "disputes",
    "credit": "invoices",
    "quote": "customers",
    "quote_answer": "quotes",
}
