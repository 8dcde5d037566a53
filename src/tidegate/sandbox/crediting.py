"""Credit notes: before payment off what is due, after it to the balance, the card or outside of Stripe; and voided."""

from dataclasses import dataclass
from typing import Any, Literal

from tidegate.sandbox.aftermath import charge_of, give_back
from tidegate.sandbox.objects import credit_notes
from tidegate.sandbox.payments import mark_paid
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.totals import add_up_note
from tidegate.sandbox.world import World

Where = Literal["open", "balance", "refund", "out_of_band"]


@dataclass(frozen=True)
class Given:
    """How a credit note gives back what was paid, minor units: to the card, to the balance, outside of Stripe.

    `refunded` are refunds that were made before, with what of each is the note's.
    """

    refund: int = 0
    credit: int = 0
    out_of_band: int = 0
    refunded: tuple[tuple[str, int], ...] = ()


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
    note = composed(world, invoice, parts)
    amount = note["post_payment_amount"]
    if where == "out_of_band":
        given = Given(out_of_band=amount)
    elif where == "refund" and charge_of(world, invoice):
        given = Given(refund=amount)
    else:
        given = Given(credit=amount)
    issue(world, invoice, note, given)


def composed(world: World, invoice: Obj, lines: list[Obj], **changes: Any) -> Obj:
    """The next credit note of an invoice over lines, not stored yet: it first lowers what remains to be paid, what is
    over that was paid already (docs.stripe.com/api/credit_notes/create)."""
    count = len(list(world.state["credit_notes"].find("invoice", invoice["id"])))
    number = f"{invoice['number']}-CN-{count + 1:02}"
    note = credit_notes.credit_note(world.ids.new("cn_1", 23), world.clock.now, invoice, number, lines, **changes)
    add_up_note(note)
    before = min(note["amount"], invoice["amount_remaining"]) if invoice["status"] == "open" else 0
    after = note["amount"] - before
    kind = "mixed" if before and after else "pre_payment" if before else "post_payment"
    return note | {"type": kind, "pre_payment_amount": before, "post_payment_amount": after}


def issue(world: World, invoice: Obj, note: Obj, given: Given) -> None:
    """Stores a credit note and does what it says: the invoice's amounts (SDK: amount_remaining and amount_due), the
    refund, the balance. What is given adds up to the note's `post_payment_amount`, and a refund has a charge."""
    before = note["pre_payment_amount"]
    invoice["pre_payment_credit_notes_amount"] += before
    invoice["post_payment_credit_notes_amount"] += note["post_payment_amount"]
    invoice["amount_remaining"] -= before
    invoice["amount_due"] -= before
    if given.out_of_band:
        note["out_of_band_amount"] = given.out_of_band
    refunds = list(given.refunded)
    if given.refund and (charge := charge_of(world, invoice)):
        refunds.append((give_back(world, charge, given.refund)["id"], given.refund))
    note["refunds"] = [credit_notes.refunded(refund, amount) for refund, amount in refunds]
    if given.credit:
        customer = world.state.full("customers", invoice["customer"])
        note["customer_balance_transaction"] = world.ids.new("cbtxn_1", 24)
        world.state.put(customer | {"balance": customer["balance"] - given.credit}, "customer.updated")
    world.state.put(note, "credit_note.created")
    if before and invoice["amount_remaining"] == 0:
        mark_paid(world, invoice, 0)
    else:
        world.state.put(invoice, "invoice.updated")


def void_last(world: World, invoice: Obj) -> None:
    """Takes the last credit note of an open invoice back."""
    notes = list(world.state["credit_notes"].find("invoice", invoice["id"]))
    if notes and invoice["status"] == "open":
        void(world, invoice, world.state.full("credit_notes", notes[-1]))


def void(world: World, invoice: Obj, note: Obj) -> None:
    """Takes a credit note of an open invoice back: what it took off is due again."""
    voided = {"status": "void", "voided_at": world.clock.now}
    world.state.put(note | voided, "credit_note.updated", "credit_note.voided")
    before = note["pre_payment_amount"]
    invoice["pre_payment_credit_notes_amount"] -= before
    invoice["amount_remaining"] += before
    invoice["amount_due"] += before
    world.state.put(invoice, "invoice.updated")
