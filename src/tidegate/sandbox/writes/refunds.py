"""Refunds of what was paid by card."""

from tidegate.sandbox.aftermath import give_back
from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.params import required
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.writes.calls import Call, Write, metadata, taken


def create(call: Call) -> Obj:
    """Gives a charge back, whole or in part."""
    charge, given = charge_of(call), call.given
    left = charge["amount"] - charge["amount_refunded"]
    amount = left if given.get("amount") is None else given["amount"]
    if charge["status"] != "succeeded":
        raise Refusal(400, f"Charge {charge['id']} did not succeed, so there is nothing to refund.")
    if left <= 0:
        raise Refusal(400, f"Charge {charge['id']} has already been refunded.", "charge_already_refunded")
    if charge["disputed"]:
        raise Refusal(400, f"Charge {charge['id']} has been charged back; cannot issue a refund.", "charge_disputed")
    if amount < 1:
        raise Refusal(400, "Invalid positive integer", "parameter_invalid_integer", "amount")
    if amount > left:
        raise Refusal(
            400,
            f"Refund amount ({amount} {charge['currency']}) is greater than unrefunded amount on charge "
            f"({left} {charge['currency']})",
            param="amount",
        )
    made = give_back(call.world, charge, amount, given.get("reason"), **metadata({}, given))
    return call.state.full("refunds", made["id"])


def charge_of(call: Call) -> Obj:
    """The charge to refund, by its own id or its intent's. Raises Refusal (400)."""
    given = taken(call.given, "charge", "payment_intent")
    if given.get("charge"):
        charge = call.referred("charges", given["charge"], "charge")
        if given.get("payment_intent") not in (None, charge["payment_intent"]):
            raise Refusal(400, "The charge does not belong to the payment_intent.", param="payment_intent")
        return charge
    if not given.get("payment_intent"):
        raise required("payment_intent")
    intent = call.referred("payment_intents", given["payment_intent"], "payment_intent")
    if intent["latest_charge"] is None or intent["status"] != "succeeded":
        raise Refusal(
            400,
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
            "payment_intent_unexpected_state",
            "payment_intent",
        )
    return call.state.full("charges", intent["latest_charge"])


def update(call: Call) -> Obj:
    """Changes a refund's metadata."""
    refund = call.addressed("refunds")
    return call.stored(refund | metadata(refund["metadata"], call.given), "refund.updated")


WRITES = (
    Write(
        "POST",
        "/v1/refunds",
        "refunds",
        "refund",
        "RefundCreateParams",
        create,
        ("amount", "charge", "metadata", "payment_intent", "reason"),
    ),
    Write("POST", "/v1/refunds/{id}", "refunds", "refund", "RefundUpdateParams", update, ("metadata",)),
)
