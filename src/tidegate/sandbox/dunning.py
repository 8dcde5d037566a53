"""What a failed payment leads to: the next attempt, and what it makes of the subscription and the customer."""

from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.world import DAY, World

RETRY_DAYS = (3, 5, 7)


def missed(world: World, invoice: Obj) -> None:
    """Writes a failed attempt: the next one is planned, the subscription falls past due or stays incomplete."""
    now = world.clock.now
    tries: int = invoice["attempt_count"]
    subscription = subscription_of(world, invoice)
    first = invoice["billing_reason"] == "subscription_create"
    awaited = subscription is not None and awaits(subscription, invoice)
    again = invoice["auto_advance"] and not first and not awaited and tries <= len(RETRY_DAYS)
    later = now + RETRY_DAYS[min(tries, len(RETRY_DAYS)) - 1] * DAY
    invoice["next_payment_attempt"] = later if again else None
    invoice["attempted"] = True
    world.state.put(invoice, "invoice.updated", "invoice.payment_failed")
    delinquent(world, invoice["customer"], now=True)
    if again:
        world.plan(later, "retry", invoice["id"])
    if subscription is None or awaited:
        return
    if first and subscription["status"] in ("active", "incomplete"):
        if subscription["status"] == "active":
            world.state.put(subscription | {"status": "incomplete"}, "customer.subscription.updated")
        world.plan(subscription["created"] + 23 * 3600, "expire", subscription["id"])
    elif not first and not again and tries > len(RETRY_DAYS):
        world.plan(now, "give_up", subscription["id"], invoice["id"])
    elif subscription["status"] == "active":
        world.state.put(subscription | {"status": "past_due"}, "customer.subscription.updated")


def awaits(subscription: Obj, invoice: Obj) -> bool:
    """Whether a change of the subscription waits for this invoice's payment."""
    return bool(subscription["pending_update"]) and subscription["latest_invoice"] == invoice["id"]


def owes(world: World, subscription: Obj) -> bool:
    """Whether a subscription has an open invoice."""
    invoices = world.state["invoices"]
    found = (invoices.shown(identifier) for identifier in invoices.find("subscription", subscription["id"]))
    return any(invoice["status"] == "open" for invoice in found)


def delinquent(world: World, identifier: str, *, now: bool) -> None:
    """Writes on a customer whether its last invoice was missed (SDK: a failed automatic payment or a missed due date
    sets it, a payment takes it back)."""
    customer = world.state.full("customers", identifier)
    if customer["delinquent"] != now:
        world.state.put(customer | {"delinquent": now}, "customer.updated")


def subscription_of(world: World, invoice: Obj) -> Obj | None:
    """The subscription an invoice belongs to, whole."""
    details = part(invoice, "parent", "subscription_details")
    return world.state.full("subscriptions", details["subscription"]) if details else None
