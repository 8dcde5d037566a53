"""Collecting an invoice: by card at once, by bank after its due date, or not at all."""

from tidegate.sandbox.dunning import delinquent, missed, owes, subscription_of
from tidegate.sandbox.objects import payments
from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.totals import ending_balance, note_billed
from tidegate.sandbox.world import DAY, World

FAILS, FAILS_AGAIN = 0.03, 0.45
OWN = "own"
"""The role of a customer that somebody made through the API: nothing happens to it by chance."""
DECLINED = ("0341", "0002")
"""The last digits of cards that are always declined, as those of Stripe's test cards (docs.stripe.com/testing)."""
NEVER_TRANSFERS = (OWN, "never_transfers", "credited_open")
"""Roles of customers who do not pay the invoices they are sent."""


def collect(world: World, invoice: Obj, declined: bool | None = None) -> None:
    """Takes an open invoice's money if it is due at once, else plans when it will come."""
    if invoice["amount_due"] == 0:
        mark_paid(world, invoice, 0)
    elif invoice["collection_method"] == "send_invoice":
        world.state.put(invoice, "invoice.sent")
        delay = world.chance.choice((-12, -5, -1, 4, 20))
        if world.state.full("customers", invoice["customer"]).get("_role") not in NEVER_TRANSFERS:
            world.plan(invoice["due_date"] + delay * DAY, "transfer", invoice["id"])
        world.plan(invoice["due_date"], "overdue", invoice["id"])
    else:
        attempt(world, invoice, declined=declined)


def attempt(world: World, invoice: Obj, card: str | None = None, *, declined: bool | None = None) -> bool:
    """Tries a card, else the invoice's or the customer's, for what remains of an open invoice; True when it was paid.
    `declined` says how it goes where that is decided already."""
    state, now = world.state, world.clock.now
    customer = state.full("customers", invoice["customer"])
    fails = declines(world, invoice, card) if declined is None else declined
    method_id = method_of(world, invoice, card)
    invoice["attempted"] = True
    invoice["attempt_count"] += 1
    if method_id is None:
        missed(world, invoice)
        return False
    method = state.full("payment_methods", method_id)
    intent = intent_of(world, invoice, method_id)
    charge = payments.charge(world.ids.new("ch_3", 24), now, intent, method, customer, paid=not fails)
    intent["latest_charge"] = charge["id"]
    intent["status"] = "requires_payment_method" if fails else "succeeded"
    intent["amount_received"] = 0 if fails else intent["amount"]
    intent["last_payment_error"] = (
        payments.payment_error(charge, state["payment_methods"].shown(method_id)) if fails else None
    )
    state.put(charge, "charge.failed" if fails else "charge.succeeded")
    state.put(intent, "payment_intent.payment_failed" if fails else "payment_intent.succeeded")
    if fails:
        missed(world, invoice)
        return False
    settle(world, invoice, intent)
    if not customer.get("_role"):
        regrets(world, charge)
    return True


def regrets(world: World, charge: Obj) -> None:
    """Plans, rarely, a refund or a dispute of a payment."""
    now = world.clock.now
    if world.likely(0.012):
        world.plan(now + world.chance.randrange(2, 20) * DAY, "refund", charge["id"])
    elif world.likely(0.004):
        world.plan(now + world.chance.randrange(5, 40) * DAY, "dispute", charge["id"])


def method_of(world: World, invoice: Obj, card: str | None = None) -> str | None:
    """The payment method that an invoice is charged to: the named one, its own, else the customer's; None when there is
    none."""
    customer = world.state.full("customers", invoice["customer"])
    method = card or invoice["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    return method if method in world.state["payment_methods"] else None


def declines(world: World, invoice: Obj, card: str | None = None) -> bool:
    """Whether collecting fails this time: without a card, with one that is always declined, else by chance, where
    customers with a role have none. What a test card does stands on it (`_test`)."""
    method = method_of(world, invoice, card)
    if method is None:
        return True
    known = world.state.full("payment_methods", method)
    if "_test" in known:
        return known["_test"] != "succeeds"
    if part(known, "card").get("last4") in DECLINED:
        return True
    if world.state.full("customers", invoice["customer"]).get("_role"):
        return False
    if invoice["billing_reason"] == "subscription_create":
        return world.likely(FAILS / 3)
    return world.likely(FAILS_AGAIN if invoice["attempt_count"] else FAILS)


def declines_now(world: World, invoice: Obj) -> bool:
    """Whether an invoice that would be finalized now fails to be paid at once; not when it is free or sent."""
    by_card = invoice["collection_method"] == "charge_automatically"
    return by_card and invoice["amount_due"] > 0 and declines(world, invoice)


def links_of(world: World, invoice: Obj) -> list[Obj]:
    """The payments under way for an invoice."""
    found = world.state["invoice_payments"].find("invoice", invoice["id"])
    links = [world.state.full("invoice_payments", identifier) for identifier in found]
    return [link for link in links if link["status"] == "open"]


def intent_of(world: World, invoice: Obj, method: str) -> Obj:
    """The intent that pays what remains of an invoice, made together with its invoice payment on the first attempt."""
    state, now, amount = world.state, world.clock.now, invoice["amount_remaining"]
    for link in links_of(world, invoice):
        state.put(link | {"amount_requested": amount})
        known = state.full("payment_intents", link["payment"]["payment_intent"])
        return known | {"payment_method": method, "amount": amount}
    intent = payments.payment_intent(
        world.ids.new("pi_3", 24), now, amount, invoice["currency"], invoice["customer"], method
    )
    state.put(intent, "payment_intent.created")
    link = payments.invoice_payment(world.ids.new("inpay_1", 23), now, invoice, intent["id"], amount)
    state.put(link)
    return intent


def settle(world: World, invoice: Obj, intent: Obj) -> None:
    """Marks the invoice payment and the invoice paid by an intent."""
    for link in links_of(world, invoice):
        if link["payment"]["payment_intent"] == intent["id"]:
            link |= {"status": "paid", "amount_paid": intent["amount"]}
            link["status_transitions"]["paid_at"] = world.clock.now
            world.state.put(link, "invoice_payment.paid")
    mark_paid(world, invoice, intent["amount"])


def give_up_payments(world: World, invoice: Obj, reason: str) -> None:
    """Cancels the payments under way for an invoice, and their intents."""
    now = world.clock.now
    for link in links_of(world, invoice):
        link["status_transitions"]["canceled_at"] = now
        world.state.put(link | {"status": "canceled"})
        intent = world.state.full("payment_intents", link["payment"]["payment_intent"])
        canceled = {"status": "canceled", "canceled_at": now, "cancellation_reason": reason}
        world.state.put(intent | canceled, "payment_intent.canceled")


def mark_paid(world: World, invoice: Obj, amount: int) -> None:
    """Writes that an invoice is paid with `amount` minor units and tells its customer and subscription."""
    now = world.clock.now
    invoice |= {
        "status": "paid",
        "amount_paid": amount,
        "amount_remaining": invoice["amount_due"] - amount,
        "attempted": True,
        "auto_advance": False,
        "next_payment_attempt": None,
    }
    invoice["status_transitions"] = invoice["status_transitions"] | {"paid_at": now}
    give_up_payments(world, invoice, "automatic")
    world.state.put(invoice, "invoice.updated", "invoice.paid", "invoice.payment_succeeded")
    if amount:
        delinquent(world, invoice["customer"], now=False)
    subscription = subscription_of(world, invoice)
    if subscription is None:
        return
    if subscription["pending_update"] and subscription["latest_invoice"] == invoice["id"]:
        apply_pending(world, subscription, invoice)
    elif subscription["status"] in ("past_due", "incomplete", "unpaid") and not owes(world, subscription):
        world.state.put(subscription | {"status": "active"}, "customer.subscription.updated")


def apply_pending(world: World, subscription: Obj, invoice: Obj) -> None:
    """Makes the change that waited for this invoice: the items are what the pending update names."""
    wanted = {one["id"]: one for one in subscription["pending_update"]["subscription_items"]}
    items = subscription["items"]
    subscription["items"] = items | {"data": [wanted.get(one["id"], one) for one in items["data"]]}
    subscription["pending_update"] = None
    note_billed(subscription, invoice["lines"]["data"], invoice["id"])
    events = ("customer.subscription.updated", "customer.subscription.pending_update_applied")
    world.state.put(subscription, *events)


def balance_after(world: World, invoice: Obj) -> None:
    """Writes the customer's balance after an invoice was finalized, when it changed."""
    after = ending_balance(invoice)
    invoice["ending_balance"] = after
    if after != invoice["starting_balance"]:
        customer = world.state.full("customers", invoice["customer"])
        world.state.put(customer | {"balance": after}, "customer.updated")
