"""Cards: attached to a customer, also by Stripe's test tokens, and detached."""

import msgspec

from tidegate.sandbox import customers
from tidegate.sandbox.answers import Refusal, missing
from tidegate.sandbox.objects import people
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.writes.calls import Call, Write, metadata, needs, taken

SUCCEEDS, DECLINES = "succeeds", "declines"
TOKENS: dict[str, tuple[str, str, str]] = {
    "pm_card_visa": ("4242", "visa", SUCCEEDS),
    "pm_card_visa_debit": ("5556", "visa", SUCCEEDS),
    "pm_card_mastercard": ("4444", "mastercard", SUCCEEDS),
    "pm_card_amex": ("8431", "amex", SUCCEEDS),
    "pm_card_discover": ("1117", "discover", SUCCEEDS),
    "pm_card_chargeCustomerFail": ("0341", "visa", DECLINES),
}
"""Stripe's tokens of test cards (docs.stripe.com/testing): last digits, brand, what becomes of a payment with it."""

REFUSED_TOKENS = {
    "pm_card_chargeDeclined": "generic_decline",
    "pm_card_visa_chargeDeclined": "generic_decline",
    "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_chargeDeclinedLostCard": "lost_card",
    "pm_card_chargeDeclinedStolenCard": "stolen_card",
}
"""Test cards that cannot be attached, and the decline code that says so."""

SPENT = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a "
    "connected account without Customer attachment, or was detached from a Customer. It may not be used again. To use "
    "a PaymentMethod multiple times, you must attach it to a Customer first."
)


def attached(call: Call, name: str, customer: Obj, param: str, status: int = 400) -> Obj:
    """The card that a token or an id stands for, attached to the customer.

    Raises Refusal: 402 for a test card that is declined, else `status` for one that does not exist, 400 for a card of
    somebody else and for one that was detached.
    """
    if name in TOKENS:
        last4, brand, test = TOKENS[name]
        card = people.payment_method(call.world.ids.new("pm_1", 23), call.now, customer, last4, brand)
        return call.stored(card | {"_test": test}, "payment_method.attached")
    if name in REFUSED_TOKENS:
        raise declined(REFUSED_TOKENS[name])
    if name in call.state.former:
        raise Refusal(400, SPENT, param=param)
    if name not in call.state["payment_methods"]:
        raise missing("payment_method", name, param=param, status=status)
    card = call.state.full("payment_methods", name)
    if card["customer"] != customer["id"]:
        raise Refusal(
            400,
            "The payment method you provided has already been attached to a customer.",
            "payment_method_unexpected_state",
            param,
        )
    return card


def declined(decline_code: str) -> Refusal:
    """A card that was declined (docs.stripe.com/declines/codes)."""
    reasons = {"insufficient_funds": "Your card has insufficient funds."}
    message = reasons.get(decline_code, "Your card was declined.")
    return Refusal(402, message, "card_declined", type="card_error", decline_code=decline_code)


def without_card() -> Refusal:
    """Nothing is there that an invoice could be charged to."""
    return Refusal(
        400,
        "This customer has no attached payment source or default payment method. Please consider adding a default "
        "payment method. For more information, visit https://stripe.com/docs/billing/subscriptions/"
        "payment-methods-setting#payment-method-priority",
        "resource_missing",
    )


def owned(call: Call, identifier: str, customer: str, param: str) -> str:
    """The id of a card, checked to be the customer's. Raises Refusal (400)."""
    detached = identifier in call.state.former
    if detached or call.referred("payment_methods", identifier, param)["customer"] != customer:
        raise Refusal(
            400,
            f"The customer does not have a payment method with the ID {identifier}. The payment method must be "
            "attached to the customer.",
            "resource_missing",
            param,
        )
    return identifier


def attach(call: Call) -> Obj:
    """Attaches a card, or a test token's, to a customer."""
    needs(call.given, "customer")
    customer = call.referred("customers", call.given["customer"], "customer")
    return attached(call, call.names[-1], customer, "payment_method", 404)


def detach(call: Call) -> Obj:
    """Takes a card off its customer for good; what was to be paid with it has no card then."""
    card = held(call, "The payment method you provided is not attached to a customer so detachment is impossible.")
    customers.detach(call.world, card["id"])
    if card["customer"] in call.state["customers"]:
        customer = call.state.full("customers", card["customer"])
        settings = customer["invoice_settings"]
        if settings["default_payment_method"] == card["id"]:
            without = customer | {"invoice_settings": settings | {"default_payment_method": None}}
            call.state.put(without, "customer.updated")
    for identifier in list(call.state["subscriptions"].find("customer", card["customer"])):
        subscription = call.state.full("subscriptions", identifier)
        if subscription["default_payment_method"] == card["id"]:
            call.state.put(subscription | {"default_payment_method": None}, "customer.subscription.updated")
    return msgspec.json.decode(call.state.former[card["id"]])


def held(call: Call, problem: str) -> Obj:
    """The card that the path names. Raises Refusal: 400 with the problem for one that was detached, 404 for none."""
    if call.names[-1] in call.state.former:
        raise Refusal(400, problem, "payment_method_unexpected_state")
    return call.addressed("payment_methods")


def update(call: Call) -> Obj:
    """Changes what is noted on a card that a customer has."""
    card = held(call, "You must save this PaymentMethod to a customer before you can update it.")
    changes = taken(call.given, "allow_redisplay") | metadata(card["metadata"], call.given)
    given: Obj = call.given.get("card") or {}
    return call.stored(card | changes | {"card": card["card"] | given}, "payment_method.updated")


WRITES = (
    Write(
        "POST",
        "/v1/payment_methods/{id}/attach",
        "payment_methods",
        "payment_method",
        "PaymentMethodAttachParams",
        attach,
        ("customer",),
    ),
    Write(
        "POST",
        "/v1/payment_methods/{id}/detach",
        "payment_methods",
        "payment_method",
        "PaymentMethodDetachParams",
        detach,
    ),
    Write(
        "POST",
        "/v1/payment_methods/{id}",
        "payment_methods",
        "payment_method",
        "PaymentMethodUpdateParams",
        update,
        ("metadata", "allow_redisplay", "card[exp_month]", "card[exp_year]"),
    ),
)
