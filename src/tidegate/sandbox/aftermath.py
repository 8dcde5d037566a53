"""What comes after a payment: refunds that arrive or fail, disputes that are won or lost."""

from typing import Any, Literal

from tidegate.sandbox import endings
from tidegate.sandbox.objects import payments
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import DAY, Due, World

Outcome = Literal["won", "lost"]


def refund(world: World, due: Due) -> None:
    """Gives a charge back, whole or in part."""
    charge = world.state.full("charges", due.about)
    left = charge["amount"] - charge["amount_refunded"]
    amount = left if world.likely(0.6) else max(1, left // 2)
    if left > 0 and not charge["disputed"]:
        give_back(world, charge, amount)


def give_back(
    world: World, charge: Obj, amount: int, reason: str | None = "requested_by_customer", **changes: Any
) -> Obj:
    """Refunds `amount` minor units of a charge, which must be left of it; returns the refund."""
    given = payments.refund(world.ids.new("re_3", 24), world.clock.now, charge, amount, reason) | changes
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    world.state.put(given, "refund.created")
    world.state.put(charge, "charge.updated", "charge.refunded")
    return given


def charge_of(world: World, invoice: Obj) -> Obj | None:
    """The charge that paid an invoice; None when no card did."""
    for identifier in world.state["invoice_payments"].find("invoice", invoice["id"]):
        link = world.state.full("invoice_payments", identifier)
        if link["status"] == "paid":
            intent = world.state.full("payment_intents", link["payment"]["payment_intent"])
            return world.state.full("charges", intent["latest_charge"])
    return None


def refund_invoice(
    world: World, invoice: Obj, divisor: int, reason: str = "requested_by_customer", *, fails: bool = False
) -> None:
    """Gives back one part in `divisor` of what was paid for an invoice; one that `fails` does so three days later."""
    charge = charge_of(world, invoice)
    if charge:
        given = give_back(world, charge, charge["amount"] // divisor, reason)
        if fails:
            world.plan(world.clock.now + 3 * DAY, "refund_failed", given["id"])


def refund_failed(world: World, due: Due) -> None:
    """A refund comes back from the payer's bank: the money is the company's again."""
    given = world.state.full("refunds", due.about)
    charge = world.state.full("charges", given["charge"])
    failed = {"status": "failed", "failure_reason": "expired_or_canceled_card"}
    failed["failure_balance_transaction"] = f"txn_{given['id'][3:]}f"
    world.state.put(given | failed, "refund.updated", "charge.refund.updated", "refund.failed")
    charge["amount_refunded"] -= given["amount"]
    world.state.put(charge | {"refunded": False}, "charge.updated")


def dispute(world: World, due: Due) -> None:
    """The payer disputes a charge, most often with success."""
    charge = world.state.full("charges", due.about)
    if not charge["refunded"]:
        open_dispute(world, charge, "won" if world.likely(0.3) else "lost")


def dispute_invoice(world: World, invoice: Obj, outcome: Outcome) -> None:
    """The payer disputes what was paid for an invoice; the company then cancels the subscription."""
    charge = charge_of(world, invoice)
    if charge:
        open_dispute(world, charge, outcome)
        if outcome == "lost":
            subscription = world.state.full("subscriptions", invoice["parent"]["subscription_details"]["subscription"])
            endings.end(world, subscription, "payment_disputed")


def open_dispute(world: World, charge: Obj, outcome: Outcome) -> None:
    """Opens a dispute, which takes the money back at once and is decided after twelve days."""
    opened = payments.dispute(world.ids.new("dp_1", 24), world.clock.now, charge)
    world.state.put(opened, "charge.dispute.created", "charge.dispute.funds_withdrawn")
    world.state.put(charge | {"disputed": True}, "charge.updated")
    world.plan(world.clock.now + 12 * DAY, "dispute_closed", opened["id"], outcome)


def dispute_closed(world: World, due: Due) -> None:
    """The dispute is decided; the money comes back if the company won."""
    opened = world.state.full("disputes", due.about)
    won = due.detail == "won"
    details: Obj = {"past_due": not won}
    if won:
        details |= {"has_evidence": True, "submission_count": 1, "submission_method": "manual"}
    opened["evidence_details"] = opened["evidence_details"] | details
    events = ["charge.dispute.updated", "charge.dispute.closed"]
    if won:
        events.append("charge.dispute.funds_reinstated")
    world.state.put(opened | {"status": due.detail}, *events)
