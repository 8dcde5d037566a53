"""Collecting an invoice: by card at once, again after failures, by bank after its due date, or not at all."""

from tidegate.sandbox.objects import payments
from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.totals import ending_balance
from tidegate.sandbox.world import DAY, World

RETRY_DAYS = (3, 5, 7)
FAILS, FAILS_AGAIN = 0.03, 0.45
OWN = "own"
"""The role of a customer that somebody made through the API: nothing happens to it by chance."""


def collect(world: World, invoice: Obj) -> None:
    """Finalizes nothing; takes an open invoice's money if it is due at once, else plans when it will come."""
    if invoice["amount_due"] == 0:
        mark_paid(world, invoice, 0)
    elif invoice["collection_method"] == "send_invoice":
        world.state.put(invoice, "invoice.sent")
        if world.state.full("customers", invoice["customer"]).get("_role") != OWN:
            delay = world.chance.choice((-12, -5, -1, 4, 20))
            world.plan(invoice["due_date"] + delay * DAY, "transfer", invoice["id"])
        world.plan(invoice["due_date"], "overdue", invoice["id"])
    else:
        attempt(world, invoice)


def attempt(world: World, invoice: Obj, card: str | None = None) -> bool:
    """Tries a card, else the invoice's or the customer's, for what remains of an open invoice; True when paid."""
    state, now = world.state, world.clock.now
    customer = state.full("customers", invoice["customer"])
    method_id = card or invoice["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    if method_id not in state["payment_methods"]:
        missed(world, invoice)
        return False
    method = state.full("payment_methods", method_id)
    intent = intent_of(world, invoice, method_id)
    paid = method["_test"] == "succeeds" if "_test" in method else not declines(world, customer, invoice)
    charge = payments.charge(world.ids.new("ch_3", 24), now, intent, method, customer, paid=paid)
    intent["latest_charge"] = charge["id"]
    intent["status"] = "succeeded" if paid else "requires_payment_method"
    intent["amount_received"] = intent["amount"] if paid else 0
    intent["last_payment_error"] = (
        None if paid else payments.payment_error(charge, state["payment_methods"].shown(method_id))
    )
    state.put(charge, "charge.succeeded" if paid else "charge.failed")
    state.put(intent, "payment_intent.succeeded" if paid else "payment_intent.payment_failed")
    invoice["attempted"] = True
    invoice["attempt_count"] += 1
    if not paid:
        missed(world, invoice)
        return False
    settle(world, invoice, intent)
    if "_test" in method:
        return True
    if world.likely(0.012):
        world.plan(now + world.chance.randrange(2, 20) * DAY, "refund", charge["id"])
    elif world.likely(0.004):
        world.plan(now + world.chance.randrange(5, 40) * DAY, "dispute", charge["id"])
    return True


def declines(world: World, customer: Obj, invoice: Obj) -> bool:
    """Whether the card is declined this time; some customers' nearly always are."""
    role = customer.get("_role")
    if role in ("incomplete", "incomplete_expired"):
        return True
    if role in ("past_due", "unpaid", "dunned"):
        return invoice["billing_reason"] != "subscription_create"
    if role == "late_card":
        return invoice["attempt_count"] < 2 and invoice["billing_reason"] != "subscription_create"
    if invoice["billing_reason"] == "subscription_create":
        return world.likely(FAILS / 3)
    return world.likely(FAILS_AGAIN if invoice["attempt_count"] else FAILS)


def intent_of(world: World, invoice: Obj, method: str) -> Obj:
    """The intent that pays an invoice, made together with its invoice payment on the first attempt."""
    state, now = world.state, world.clock.now
    for identifier in state["invoice_payments"].find("invoice", invoice["id"]):
        link = state.full("invoice_payments", identifier)
        return state.full("payment_intents", link["payment"]["payment_intent"]) | {"payment_method": method}
    intent = payments.payment_intent(
        world.ids.new("pi_3", 24), now, invoice["amount_due"], invoice["currency"], invoice["customer"], method
    )
    state.put(intent, "payment_intent.created")
    link = payments.invoice_payment(world.ids.new("inpay_1", 23), now, invoice, intent["id"], invoice["amount_due"])
    state.put(link)
    return intent


def settle(world: World, invoice: Obj, intent: Obj) -> None:
    """Marks the invoice payment and the invoice paid by an intent."""
    state = world.state
    for identifier in state["invoice_payments"].find("invoice", invoice["id"]):
        link = state.full("invoice_payments", identifier)
        if link["payment"]["payment_intent"] == intent["id"]:
            link |= {"status": "paid", "amount_paid": intent["amount"]}
            link["status_transitions"]["paid_at"] = world.clock.now
            state.put(link, "invoice_payment.paid")
    mark_paid(world, invoice, intent["amount"])


def mark_paid(world: World, invoice: Obj, amount: int) -> None:
    """Writes that an invoice is paid with `amount` minor units and tells its subscription."""
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
    world.state.put(invoice, "invoice.updated", "invoice.paid", "invoice.payment_succeeded")
    subscription = subscription_of(world, invoice)
    if (
        subscription
        and subscription["status"] in ("past_due", "incomplete", "unpaid")
        and not owes(world, subscription)
    ):
        world.state.put(subscription | {"status": "active"}, "customer.subscription.updated")


def owes(world: World, subscription: Obj) -> bool:
    """Whether a subscription has an open invoice."""
    invoices = world.state["invoices"]
    found = (invoices.shown(identifier) for identifier in invoices.find("subscription", subscription["id"]))
    return any(invoice["status"] == "open" for invoice in found)


def missed(world: World, invoice: Obj) -> None:
    """Writes a failed attempt: the next one is planned, the subscription falls past due or stays incomplete."""
    now = world.clock.now
    tries: int = invoice["attempt_count"]
    first = invoice["billing_reason"] == "subscription_create"
    again = not first and tries <= len(RETRY_DAYS)
    later = now + RETRY_DAYS[min(max(tries, 1), len(RETRY_DAYS)) - 1] * DAY
    invoice["next_payment_attempt"] = later if again else None
    invoice["attempted"] = True
    world.state.put(invoice, "invoice.updated", "invoice.payment_failed")
    if again:
        world.plan(later, "retry", invoice["id"])
    subscription = subscription_of(world, invoice)
    if subscription is None:
        return
    if first and subscription["status"] == "active":
        world.state.put(subscription | {"status": "incomplete"}, "customer.subscription.updated")
        world.plan(now + 23 * 3600, "expire", subscription["id"])
    elif not first and not again:
        world.plan(now, "give_up", subscription["id"], invoice["id"])
    elif subscription["status"] == "active":
        world.state.put(subscription | {"status": "past_due"}, "customer.subscription.updated")


def subscription_of(world: World, invoice: Obj) -> Obj | None:
    """The subscription an invoice belongs to, whole."""
    details = part(invoice, "parent", "subscription_details")
    return world.state.full("subscriptions", details["subscription"]) if details else None


def balance_after(world: World, invoice: Obj) -> None:
    """Writes the customer's balance after an invoice was finalized, when it changed."""
    after = ending_balance(invoice)
    invoice["ending_balance"] = after
    if after != invoice["starting_balance"]:
        customer = world.state.full("customers", invoice["customer"])
        world.state.put(customer | {"balance": after}, "customer.updated")
