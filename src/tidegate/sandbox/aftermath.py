"""What comes after a payment, and before one: refunds, disputes, credit notes, quotes."""

from tidegate.sandbox import contracts
from tidegate.sandbox.contracts import Terms
from tidegate.sandbox.objects import credit_notes, payments, quotes
from tidegate.sandbox.world import DAY, Due, World


def refund(world: World, due: Due) -> None:
    """Gives a charge back, whole or in part."""
    charge = world.state.full("charges", due.about)
    left = charge["amount"] - charge["amount_refunded"]
    amount = left if world.likely(0.6) else max(1, left // 2)
    if left <= 0 or charge["disputed"]:
        return
    given = payments.refund(world.ids.new("re_3", 24), world.clock.now, charge, amount, "requested_by_customer")
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    world.state.put(given, "refund.created")
    world.state.put(charge, "charge.updated", "charge.refunded")


def dispute(world: World, due: Due) -> None:
    """The payer disputes a charge."""
    charge = world.state.full("charges", due.about)
    if charge["refunded"]:
        return
    opened = payments.dispute(world.ids.new("dp_1", 24), world.clock.now, charge)
    world.state.put(opened, "charge.dispute.created")
    world.state.put(charge | {"disputed": True}, "charge.updated")
    world.plan(world.clock.now + 12 * DAY, "dispute_lost", opened["id"])


def dispute_lost(world: World, due: Due) -> None:
    """The dispute is decided for the payer."""
    opened = world.state.full("disputes", due.about)
    opened["evidence_details"] = opened["evidence_details"] | {"past_due": True}
    world.state.put(opened | {"status": "lost"}, "charge.dispute.updated", "charge.dispute.closed")


def credit(world: World, due: Due) -> None:
    """Credits some lines of an invoice: off what is due while it is open, to the customer's balance once it is paid."""
    invoice = world.state.full("invoices", due.about)
    chosen = [one for one in invoice["lines"]["data"] if one["amount"] > 0][: due.detail]
    before = invoice["status"] == "open"
    room = (
        invoice["amount_remaining"] if before else invoice["amount_paid"] - invoice["post_payment_credit_notes_amount"]
    )
    if not chosen or invoice["status"] not in ("open", "paid") or room <= 0:
        return
    share = max(1, room // (3 * len(chosen)))
    lines = [
        credit_notes.credit_note_line(
            world.ids.new("cnli_1", 23),
            min(one["amount"], share),
            one["quantity"] or None,
            one["id"],
            one["description"],
        )
        for one in chosen
    ]
    total = sum(one["amount"] for one in lines)
    kind = "pre_payment" if before else "post_payment"
    note = credit_notes.credit_note(
        world.ids.new("cn_1", 23), world.clock.now, invoice, f"{invoice['number']}-CN-01", lines, type=kind
    )
    note[f"{kind}_amount"] = total
    invoice[f"{kind}_credit_notes_amount"] += total
    if before:
        invoice["amount_remaining"] -= total
        invoice["amount_due"] -= total
    else:
        customer = world.state.full("customers", invoice["customer"])
        note["customer_balance_transaction"] = world.ids.new("cbtxn_1", 24)
        world.state.put(customer | {"balance": customer["balance"] - total}, "customer.updated")
    world.state.put(note, "credit_note.created")
    world.state.put(invoice, "invoice.updated")


def quote(world: World, due: Due) -> None:
    """A quote is drafted for a customer: a dozen lines, sent and later answered, or left a draft."""
    prices = [world.prices[f"addon-{number}"] for number in range(1, 13)]
    lines = [
        quotes.quote_line(world.ids.new("li_1", 23), price, 2, price["unit_amount"] * 2, f"Add-on {number}")
        for number, price in enumerate(prices, 1)
    ]
    made = quotes.quote(world.ids.new("qt_1", 23), world.clock.now, due.about, lines)
    world.state.put(made, "quote.created")
    if world.likely(0.8):
        made |= {"status": "open", "number": f"QT-{made['id'][-6:].upper()}-0001-1"}
        made["status_transitions"] = made["status_transitions"] | {"finalized_at": world.clock.now}
        world.state.put(made, "quote.finalized")
        world.plan(world.clock.now + world.chance.randrange(1, 25) * DAY, "quote_answer", made["id"])


def quote_answer(world: World, due: Due) -> None:
    """The customer takes the offer, which starts a subscription, or it is withdrawn."""
    made = world.state.full("quotes", due.about)
    if made["customer"] not in world.state["customers"]:
        return
    taken = world.likely(0.6)
    made["status"] = "accepted" if taken else "canceled"
    made["status_transitions"] = made["status_transitions"] | {f"{made['status']}_at": world.clock.now}
    if taken:
        customer = world.state.full("customers", made["customer"])
        items = [
            (world.state.full("prices", one["price"]["id"]), one["quantity"]) for one in made["line_items"]["data"]
        ]
        started = contracts.start(world, customer, Terms(list(items)))
        made |= {"subscription": started["id"], "invoice": started["latest_invoice"]}
    world.state.put(made, f"quote.{made['status']}")
