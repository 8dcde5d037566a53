"""Credit notes: before payment off what is due, after it to the balance, the card or outside of Stripe; and voided."""

from typing import Literal

from tidegate.sandbox.aftermath import charge_of, give_back
from tidegate.sandbox.objects import credit_notes
from tidegate.sandbox.payments import mark_paid
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import World

Where = Literal["open", "balance", "refund", "out_of_band"]


def credit_note(world: World, invoice: Obj, where: Where, lines: int = 1) -> None:
    """Credits a third of what is due or was paid, over some lines of an invoice; nothing where nothing is left."""
    chosen = [one for one in invoice["lines"]["data"] if one["amount"] > 0][:lines]
    before = where == "open"
    room = invoice["amount_remaining"]
    if not before:
        room = invoice["amount_paid"] - invoice["post_payment_credit_notes_amount"]
    if not chosen or invoice["status"] != ("open" if before else "paid") or room <= 0:
        return
    share = max(1, room // (3 * len(chosen)))
    parts = [
        credit_notes.credit_note_line(
            world.ids.new("cnli_1", 23),
            min(one["amount"], share),
            one["quantity"] or None,
            one["id"],
            one["description"],
        )
        for one in chosen
    ]
    count = len(list(world.state["credit_notes"].find("invoice", invoice["id"])))
    kind = "pre_payment" if before else "post_payment"
    number = f"{invoice['number']}-CN-{count + 1:02}"
    identifier = world.ids.new("cn_1", 23)
    note = credit_notes.credit_note(identifier, world.clock.now, invoice, number, parts, type=kind)
    note[f"{kind}_amount"] = note["amount"]
    invoice[f"{kind}_credit_notes_amount"] += note["amount"]
    if before:
        _lower(world, invoice, note)
    else:
        _give(world, invoice, note, where)


def _lower(world: World, invoice: Obj, note: Obj) -> None:
    """SDK: a note before payment lowers the invoice's amount_remaining and amount_due."""
    invoice["amount_remaining"] -= note["amount"]
    invoice["amount_due"] -= note["amount"]
    world.state.put(note, "credit_note.created")
    if invoice["amount_remaining"] == 0:
        mark_paid(world, invoice, 0)
    else:
        world.state.put(invoice, "invoice.updated")


def _give(world: World, invoice: Obj, note: Obj, where: Where) -> None:
    amount = note["amount"]
    if where == "out_of_band":
        note["out_of_band_amount"] = amount
    elif where == "refund" and (charge := charge_of(world, invoice)):
        given = give_back(world, charge, amount)
        entry = {"amount_refunded": amount, "refund": given["id"], "type": "refund", "payment_record_refund": None}
        note["refunds"] = [entry]
    else:
        customer = world.state.full("customers", invoice["customer"])
        note["customer_balance_transaction"] = world.ids.new("cbtxn_1", 24)
        world.state.put(customer | {"balance": customer["balance"] - amount}, "customer.updated")
    world.state.put(note, "credit_note.created")
    world.state.put(invoice, "invoice.updated")


def void_last(world: World, invoice: Obj) -> None:
    """Takes the last credit note of an open invoice back."""
    notes = list(world.state["credit_notes"].find("invoice", invoice["id"]))
    if not notes or invoice["status"] != "open":
        return
    note = world.state.full("credit_notes", notes[-1])
    voided = {"status": "void", "voided_at": world.clock.now}
    world.state.put(note | voided, "credit_note.updated", "credit_note.voided")
    invoice["pre_payment_credit_notes_amount"] -= note["amount"]
    invoice["amount_remaining"] += note["amount"]
    invoice["amount_due"] += note["amount"]
    world.state.put(invoice, "invoice.updated")
