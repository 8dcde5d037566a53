"""Credit notes: issued on an invoice that is open or paid, previewed, changed, voided."""

from fractions import Fraction
from typing import Any

from tidegate.sandbox.aftermath import charge_of
from tidegate.sandbox.amounts import rounded, tax_on
from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.crediting import Given, composed, issue, void
from tidegate.sandbox.objects import credit_notes, invoices
from tidegate.sandbox.params import required
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.state import SHOWN_CHILDREN
from tidegate.sandbox.writes.calls import Call, Write, exclusive, metadata, needs, not_negative, taken
from tidegate.sandbox.writes.items import tax_rates
from tidegate.sandbox.writes.pages import SERVED as PAGED
from tidegate.sandbox.writes.pages import page

AFTER = ("refund_amount", "credit_amount", "out_of_band_amount")
LINE = (
    *("amount", "description", "invoice_line_item", "metadata", "quantity", "tax_rates", "type"),
    *("unit_amount", "unit_amount_decimal"),
)
SERVED = (
    *("amount", *AFTER, "effective_at", "email_type", "invoice", "memo", "metadata", "reason"),
    *(f"lines[{name}]" for name in LINE),
    *(f"refunds[{name}]" for name in ("amount_refunded", "refund")),
)


def create(call: Call) -> Obj:
    """Issues a credit note on an invoice."""
    invoice, note, given = asked(call)
    issue(call.world, invoice, note, given)
    return call.state.full("credit_notes", note["id"])


def preview(call: Call) -> Obj:
    """What `create` would issue; nothing is stored, refunded or credited."""
    _, note, given = asked(call)
    lines = seen_in_preview(note)
    note["lines"] |= {"data": lines[:SHOWN_CHILDREN], "has_more": len(lines) > SHOWN_CHILDREN, "url": PREVIEW_LINES}
    return note | {"out_of_band_amount": given.out_of_band or None}


def preview_lines(call: Call) -> Obj:
    """All lines of what `create` would issue, page by page."""
    _, note, _ = asked(call)
    return page(call, seen_in_preview(note), "credit_note_line_item", PREVIEW_LINES)


def seen_in_preview(note: Obj) -> list[Obj]:
    """The lines of a note that is not issued: with the same ids each time, or no page could follow another."""
    return [one | {"id": f"cnli_preview{place:04}"} for place, one in enumerate(note["lines"]["data"], 1)]


def asked(call: Call) -> tuple[Obj, Obj, Given]:
    """The invoice, the note that is asked for and how it gives back what was paid. Raises Refusal (400)."""
    given = call.given
    invoice = call.referred("invoices", given["invoice"], "invoice")
    if invoice["status"] not in ("open", "paid"):
        raise Refusal(
            400,
            f"You can only create credit notes for invoices that are open or paid. This one is {invoice['status']}.",
            param="invoice",
        )
    not_negative(given, "amount", *AFTER)
    lines = lines_of(call, invoice)
    changes = taken(given, "effective_at", "memo") | metadata({}, given)
    note = composed(call.world, invoice, lines, reason=given.get("reason"), **changes)
    amount = note["amount"]
    if given.get("amount") not in (None, amount):
        raise Refusal(400, f"The amount must equal the total of the lines, which is {amount}.", param="amount")
    left = invoice["total"] - sum(invoice[f"{kind}_payment_credit_notes_amount"] for kind in ("pre", "post"))
    if not 0 < amount <= left:
        raise Refusal(
            400,
            f"A credit note on this invoice must be greater than 0 and at most {left}, which is what is left of the "
            f"invoice to credit; this one is {amount}.",
            param="amount" if given.get("lines") is None else "lines",
        )
    return invoice, note, given_back(call, invoice, note["post_payment_amount"])


def given_back(call: Call, invoice: Obj, paid: int) -> Given:
    """How `paid` minor units, by which a note exceeds what is still due, go back. Raises Refusal (400)."""
    refund, credit, elsewhere = (call.given.get(name) or 0 for name in AFTER)
    before = refunded_before(call, invoice)
    total = refund + credit + elsewhere + sum(amount for _, amount in before)
    if total != paid:
        raise Refusal(
            400,
            f"The sum of refunds, {', '.join(AFTER)} must equal the post_payment_amount, which is {paid}; it is "
            f"{total}.",
            param=next((name for name in AFTER if call.given.get(name)), "credit_amount"),
        )
    if credit:
        call.referred("customers", invoice["customer"], "credit_amount")
    charge = charge_of(call.world, invoice) if refund else None
    left = charge["amount"] - charge["amount_refunded"] if charge and not charge["disputed"] else 0
    if refund > left:
        raise Refusal(
            400,
            f"The refund_amount ({refund}) is greater than what can be refunded of this invoice's charge ({left}).",
            param="refund_amount",
        )
    return Given(refund, credit, elsewhere, before)


def refunded_before(call: Call, invoice: Obj) -> tuple[tuple[str, int], ...]:
    """The refunds of the invoice's charge that a note is to name, and how much of each. Raises Refusal (400)."""
    found: list[tuple[str, int]] = []
    charge = charge_of(call.world, invoice)
    for position, one in enumerate(call.given.get("refunds") or []):
        param = f"refunds[{position}]"
        needs(one, "refund", within=param)
        refund = call.referred("refunds", one["refund"], f"{param}[refund]")
        if charge is None or refund["charge"] != charge["id"]:
            raise Refusal(400, "The refund is not of this invoice's charge.", param=f"{param}[refund]")
        left = refund["amount"] - named(call, invoice, refund["id"])
        amount: int = left if one.get("amount_refunded") is None else one["amount_refunded"]
        if refund["status"] == "failed" or not 0 < amount <= left:
            raise Refusal(
                400,
                f"Of refund {refund['id']} ({refund['status']}) at most {left} are left for a credit note.",
                param=f"{param}[amount_refunded]",
            )
        found.append((refund["id"], amount))
    return tuple(found)


def named(call: Call, invoice: Obj, refund: str) -> int:
    """How much of a refund the notes of an invoice name already, minor units."""
    notes = [call.state.full("credit_notes", one) for one in call.state["credit_notes"].find("invoice", invoice["id"])]
    return sum(one["amount_refunded"] for note in notes for one in note["refunds"] if one["refund"] == refund)


def lines_of(call: Call, invoice: Obj) -> list[Obj]:
    """The lines that are asked for; an amount alone is one custom line (believed: Stripe documents none).

    Raises Refusal (400).
    """
    given: list[Obj] | None = call.given.get("lines")
    if given is None:
        if call.given.get("amount") is None:
            raise required("amount")
        return [credit_notes.credit_note_line(new_id(call), call.given["amount"], 1, None, None)]
    left = creditable(call, invoice)
    makers = {"invoice_line_item": of_invoice, "custom_line_item": custom}
    return [makers[one["type"]](call, one, invoice, left, f"lines[{at}]") for at, one in enumerate(given)]


def new_id(call: Call) -> str:
    """The id of a new line."""
    return call.world.ids.new("cnli_1", 23)


def creditable(call: Call, invoice: Obj) -> dict[str, int]:
    """What earlier notes left of each line of an invoice, minor units before discounts and exclusive tax."""
    left: dict[str, int] = {one["id"]: one["amount"] for one in invoice["lines"]["data"]}
    for identifier in call.state["credit_notes"].find("invoice", invoice["id"]):
        note = call.state.full("credit_notes", identifier)
        for one in note["lines"]["data"] if note["status"] == "issued" else ():
            if one["invoice_line_item"] in left:
                left[one["invoice_line_item"]] -= one["amount"]
    return left


def of_invoice(call: Call, given: Obj, invoice: Obj, left: dict[str, int], param: str) -> Obj:
    """A credit of a line of the invoice, whole, so many units of it or an amount, with the same share of its discounts
    and taxes; notes in `left` what is left of that line. Raises Refusal (400)."""
    needs(given, "invoice_line_item", within=param)
    name: str = given["invoice_line_item"]
    line: Obj | None = next((one for one in invoice["lines"]["data"] if one["id"] == name), None)
    if line is None:
        raise Refusal(400, f"The invoice has no line item {name}.", "resource_missing", f"{param}[invoice_line_item]")
    for other in ("unit_amount", "unit_amount_decimal", "description", "tax_rates"):
        if given.get(other) is not None:
            raise Refusal(400, f"{other} is only for lines of type custom_line_item.", param=f"{param}[{other}]")
    exclusive(given, "amount", "quantity")
    amount, quantity = left[name], line["quantity"] or None
    if given.get("amount") is not None:
        amount = given["amount"]
    elif given.get("quantity") is not None:
        quantity = given["quantity"]
        amount = rounded(Fraction(line["amount"] * quantity, line["quantity"] or 1))
    if not 0 < amount <= left[name]:
        raise Refusal(
            400,
            f"What is credited of line item {name} must be greater than 0 and at most {left[name]}, which is what is "
            f"left of it; it is {amount}.",
            param=f"{param}[{'amount' if given.get('quantity') is None else 'quantity'}]",
        )
    left[name] -= amount
    changes = shares(line, Fraction(amount, line["amount"])) | metadata({}, given)
    return credit_notes.credit_note_line(new_id(call), amount, quantity, name, line["description"], **changes)


def shares(line: Obj, share: Fraction) -> Obj:
    """The share of an invoice line's discounts and taxes that a credit of the same share of it has."""
    discounts = [one | {"amount": rounded(one["amount"] * share)} for one in line["discount_amounts"]]
    taxes: list[Obj] = [
        one | {name: rounded(one[name] * share) for name in ("amount", "taxable_amount")} for one in line["taxes"]
    ]
    off = sum(one["amount"] for one in discounts)
    return {"discount_amount": off, "discount_amounts": discounts, "taxes": taxes}


def custom(call: Call, given: Obj, invoice: Obj, left: dict[str, int], param: str) -> Obj:
    """A credit that is of no line of the invoice. Raises Refusal (400)."""
    exclusive(given, "unit_amount", "unit_amount_decimal")
    unit: Any = given.get("unit_amount", given.get("unit_amount_decimal"))
    for name, value in (("description", given.get("description")), ("unit_amount", unit)):
        if value is None:
            raise required(f"{param}[{name}]")
    for other in ("amount", "invoice_line_item"):
        if given.get(other) is not None:
            raise Refusal(400, f"{other} is only for lines of type invoice_line_item.", param=f"{param}[{other}]")
    not_negative(given, "quantity")
    quantity: int = given.get("quantity", 1)
    amount = rounded(Fraction(unit) * quantity)
    rates = tax_rates(call, given.get("tax_rates"), f"{param}[tax_rates]") or []
    changes: Obj = {
        "unit_amount": int(unit) if Fraction(unit).denominator == 1 else None,
        "unit_amount_decimal": str(unit),
        "tax_rates": rates,
        "taxes": [
            invoices.tax(tax_on(amount, rate), amount, rate["id"], inclusive=rate["inclusive"]) for rate in rates
        ],
    }
    changes |= metadata({}, given)
    return credit_notes.credit_note_line(new_id(call), amount, quantity, None, given["description"], **changes)


def update(call: Call) -> Obj:
    """Changes a credit note's memo and metadata."""
    note = call.addressed("credit_notes")
    return call.stored(note | taken(call.given, "memo") | metadata(note["metadata"], call.given), "credit_note.updated")


def void_it(call: Call) -> Obj:
    """Takes a note back while its invoice is open (docs.stripe.com/invoicing/credit-notes)."""
    note = call.addressed("credit_notes")
    invoice = call.state.full("invoices", note["invoice"])
    if note["status"] == "void":
        raise Refusal(400, "This credit note is already void.")
    if invoice["status"] != "open" or note["post_payment_amount"]:
        raise Refusal(
            400,
            f"You can only void a credit note of an open invoice, which took nothing back of a payment: {note['id']}",
        )
    void(call.world, invoice, note)
    return call.state.full("credit_notes", note["id"])


PATH, NAME, KIND = "/v1/credit_notes", "credit_notes", "credit_note"
PREVIEW_LINES = f"{PATH}/preview/lines"
LINES = "CreditNotePreviewLinesParams"
WRITES = (
    Write("POST", PATH, NAME, KIND, "CreditNoteCreateParams", create, SERVED),
    Write("POST", f"{PATH}/{{id}}", NAME, KIND, "CreditNoteUpdateParams", update, ("memo", "metadata")),
    Write("POST", f"{PATH}/{{id}}/void", NAME, KIND, "CreditNoteVoidCreditNoteParams", void_it),
    Write("GET", f"{PATH}/preview", NAME, KIND, "CreditNotePreviewParams", preview, SERVED, reads=True),
    Write("GET", PREVIEW_LINES, NAME, "credit_note_line_item", LINES, preview_lines, (*SERVED, *PAGED), reads=True),
)
