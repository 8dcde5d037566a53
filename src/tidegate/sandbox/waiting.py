"""What holds a subscription up: a pause of its collection, a change that waits for its payment."""

from tidegate.sandbox.amounts import amount_of
from tidegate.sandbox.billing import void
from tidegate.sandbox.changes import bill_now, change, credit, debit, swap
from tidegate.sandbox.objects import subscriptions
from tidegate.sandbox.payments import attempt, declines_now
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import Due, World

WAIT_SECONDS = 23 * 3600
"""How long a pending update waits for its payment (docs.stripe.com/billing/subscriptions/pending-updates)."""


def pause(world: World, subscription: Obj, behavior: str, resumes: int | None) -> None:
    """Pauses collection in one of the three ways, until an instant (UTC epoch seconds) or for good. Not twice."""
    if subscription["pause_collection"]:
        return
    subscription["pause_collection"] = {"behavior": behavior, "resumes_at": resumes}
    world.state.put(subscription, "customer.subscription.updated")
    if resumes:
        world.plan(resumes, "resume", subscription["id"], resumes)


def resume(world: World, due: Due) -> None:
    """Collection goes on, if it is still the same pause that ends now."""
    subscription = world.state.full("subscriptions", due.about)
    paused = subscription["pause_collection"]
    if paused and paused["resumes_at"] == due.detail and subscription["status"] != "canceled":
        world.state.put(subscription | {"pause_collection": None}, "customer.subscription.updated")


def await_payment(world: World, subscription: Obj, item: Obj, price: Obj, declined: bool | None = None) -> None:
    """Changes an item's price if it is paid for at once; else the change waits with its invoice and the old items stay.

    `declined` says how the payment goes where that is decided already.
    """
    if subscription["pending_update"] or amount_of(price, 1) == 0:
        return
    quantity = item["quantity"]
    likeness: Obj = {"billing_reason": "subscription_update", "amount_due": 1, "attempt_count": 0}
    likeness |= {name: subscription[name] for name in ("customer", "collection_method", "default_payment_method")}
    if not (declines_now(world, likeness) if declined is None else declined):
        change(world, subscription, item, price, quantity, "always_invoice")
        return
    known = subscription.get("_billed", {})
    credit(world, subscription, item)
    wanted = dict(item)
    swap(wanted, price, quantity)
    debit(world, subscription, wanted, item["current_period_end"], whole=False)
    subscription["_billed"] = known
    expires = world.clock.now + WAIT_SECONDS
    subscription["pending_update"] = pending_update([wanted], expires)
    invoice = bill_now(world, subscription, [], declined=True)
    stored = world.state.full("subscriptions", subscription["id"])
    world.state.put(stored | {"_billed": known})
    if invoice["status"] == "open":
        world.plan(expires, "lapse", subscription["id"], expires)


def pending_update(items: list[Obj], expires: int) -> Obj:
    """What a subscription shows of a change of its items that waits until `expires` (UTC epoch seconds)."""
    return {
        "billing_cycle_anchor": None,
        "discount": None,
        "discounts": None,
        "expires_at": expires,
        "metadata": None,
        "subscription_items": [one | {"price": subscriptions.shown_price(one["price"])} for one in items],
        "trial_end": None,
        "trial_from_plan": None,
    }


def pay_pending(world: World, subscription: Obj) -> None:
    """Pays the invoice that a change waits for."""
    if subscription["pending_update"]:
        attempt(world, world.state.full("invoices", subscription["latest_invoice"]), declined=False)


def lapse(world: World, due: Due) -> None:
    """A change that waited for its payment in vain is dropped, its invoice voided."""
    subscription = world.state.full("subscriptions", due.about)
    waiting = subscription["pending_update"]
    if waiting and waiting["expires_at"] == due.detail and subscription["status"] != "canceled":
        kinds = ("customer.subscription.updated", "customer.subscription.pending_update_expired")
        world.state.put(subscription | {"pending_update": None}, *kinds)
        void(world, world.state.full("invoices", subscription["latest_invoice"]), "void")
