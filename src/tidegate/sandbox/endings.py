"""How a subscription ends: at once, with its period, for want of money, or before it began."""

from tidegate.sandbox.billing import DRAFT_SECONDS, draft, finalize, metered_lines, pending_items, pending_lines, void
from tidegate.sandbox.changes import credit
from tidegate.sandbox.objects.subscriptions import GOES_ON
from tidegate.sandbox.redemptions import remove
from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.world import Due, World

OVER = ("canceled", "incomplete_expired")
AFTER_LAST_ATTEMPT = {"unpaid": "unpaid", "paid_late": "unpaid", "past_due": "past_due"}
"""What a role's subscription becomes after the last failed attempt, where it is not canceled."""


def schedule_end(
    world: World, subscription: Obj, feedback: str | None, comment: str | None, at: int | None = None
) -> None:
    """Has a subscription end with its period, or at a time (`at`, UTC epoch seconds) where a later one ends."""
    subscription |= {
        "cancel_at_period_end": at is None,
        "cancel_at": at or min(item["current_period_end"] for item in subscription["items"]["data"]),
        "canceled_at": world.clock.now,
        "cancellation_details": {"comment": comment, "feedback": feedback, "reason": "cancellation_requested"},
    }
    world.state.put(subscription, "customer.subscription.updated")


def keep(world: World, subscription: Obj) -> None:
    """Takes a scheduled end back."""
    take_back(subscription)
    world.state.put(subscription, "customer.subscription.updated")


def take_back(subscription: Obj) -> None:
    """Writes on a subscription that no end is scheduled; it is not stored."""
    names = ("cancel_at_period_end", "cancel_at", "canceled_at", "cancellation_details")
    subscription |= {name: GOES_ON[name] for name in names}


def end(
    world: World, subscription: Obj, reason: str | None, *, invoice_now: bool = False, prorate: bool = False
) -> None:
    """Ends a subscription now, as Subscription.cancel of the SDK says.

    Its invoices are no longer collected and its pending prorations are removed, metered usage is not billed; with
    `prorate` what is unused is credited, with `invoice_now` all that is pending is billed on a last invoice.
    """
    if prorate and subscription["status"] != "trialing":
        for item in subscription["items"]["data"]:
            credit(world, subscription, item)
    if not (invoice_now or prorate):
        stop_collection(world, subscription)
        for pending in pending_items(world, subscription):
            if pending["proration"]:
                world.state.delete("invoiceitems", pending["id"], "invoiceitem.deleted")
    last = final_invoice(world, subscription, "subscription_update") if invoice_now else None
    close(world, subscription, reason)
    if last:
        finalize(world, last)


def finish(world: World, subscription: Obj, reason: str | None = "cancellation_requested") -> None:
    """Ends a subscription with its period: usage and what else is pending is billed on a last invoice."""
    stop_collection(world, subscription)
    last = final_invoice(world, subscription, "subscription_cycle")
    close(world, subscription, reason)
    if last:
        world.plan(world.clock.now + DRAFT_SECONDS, "finalize", last["id"])


def end_at(world: World, due: Due) -> None:
    """Ends a subscription at the time that was set, if it is still that one."""
    subscription = world.state.full("subscriptions", due.about)
    if subscription["status"] not in OVER and subscription["cancel_at"] == due.detail:
        finish(world, subscription)


def final_invoice(world: World, subscription: Obj, why: str) -> Obj | None:
    """A draft over the usage of the period and all that is pending; None when that is nothing."""
    invoice_id = world.ids.new("in_1", 23)
    lines = pending_lines(world, subscription, invoice_id)
    if subscription["status"] != "trialing":
        lines += metered_lines(world, subscription, subscription["items"]["data"], invoice_id)
    return draft(world, subscription, why, lines, invoice_id) if lines else None


def stop_collection(world: World, subscription: Obj) -> None:
    """Has drafts of a subscription stay drafts, and its open invoices wait for somebody to pay them."""
    invoices = world.state["invoices"]
    for identifier in list(invoices.find("subscription", subscription["id"])):
        invoice = invoices.full(identifier)
        if invoice["status"] in ("draft", "open") and invoice["auto_advance"]:
            stopped = {"auto_advance": False, "next_payment_attempt": None, "automatically_finalizes_at": None}
            world.state.put(invoice | stopped, "invoice.updated")


def close(world: World, subscription: Obj, reason: str | None) -> None:
    """Writes the end of a subscription and of what hangs on it: a change that waits, its schedule, its discounts."""
    now = world.clock.now
    if subscription["pending_update"]:
        subscription["pending_update"] = None
        void(world, world.state.full("invoices", subscription["latest_invoice"]), "void")
    if subscription["schedule"]:
        schedule = world.state.full("subscription_schedules", subscription["schedule"])
        if schedule["status"] == "active":
            over = {"status": "canceled", "canceled_at": now, "current_phase": None}
            world.state.put(schedule | over, "subscription_schedule.canceled")
    owners = (subscription, *subscription["items"]["data"])
    remove(world, subscription, {one for owner in owners for one in owner["discounts"]})
    subscription |= {"status": "canceled", "ended_at": now, "canceled_at": subscription["canceled_at"] or now}
    if part(subscription, "cancellation_details").get("reason") is None:
        subscription["cancellation_details"] = subscription["cancellation_details"] | {"reason": reason}
    world.state.put(subscription, "customer.subscription.deleted")


def expire(world: World, identifier: str) -> None:
    """Ends a subscription whose first payment never came."""
    subscription = world.state.full("subscriptions", identifier)
    if subscription["status"] != "incomplete":
        return
    subscription |= {"status": "incomplete_expired", "ended_at": world.clock.now, "canceled_at": world.clock.now}
    world.state.put(subscription, "customer.subscription.updated")
    void(world, world.state.full("invoices", subscription["latest_invoice"]), "void")


def give_up(world: World, identifier: str, invoice_id: str) -> None:
    """What follows the last failed attempt: the subscription is canceled, or unpaid for those who keep it open."""
    subscription = world.state.full("subscriptions", identifier)
    invoice = world.state.full("invoices", invoice_id)
    if subscription["status"] in OVER or invoice["status"] != "open":
        return
    role = world.state.full("customers", subscription["customer"]).get("_role", "")
    becomes = AFTER_LAST_ATTEMPT.get(role)
    if becomes is None:
        void(world, invoice, "uncollectible")
        end(world, world.state.full("subscriptions", identifier), "payment_failed")
    elif subscription["status"] != becomes:
        world.state.put(subscription | {"status": becomes}, "customer.subscription.updated")
