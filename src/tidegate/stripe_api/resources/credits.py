"""What is given back on invoices: credit notes and their lines."""

from tidegate.stripe_api.resources.resource import Column, Nested, Resource
from tidegate.stripe_api.shapes.credits import CreditNote, CreditNoteLine

CREDIT_NOTE_LINES = Resource(
    name="credit_note_lines",
    object="credit_note_line_item",
    shape=CreditNoteLine,
    created_filter=False,
    parent="credit_note",
    columns=(
        Column("credit_note"),
        Column("invoice_line_item"),
        Column("type"),
        Column("amount", "bigint"),
        Column("discount_amount", "bigint"),
        Column("tax_amount", "bigint"),
        Column("quantity", "bigint"),
        Column("unit_amount_decimal"),
        Column("description"),
    ),
)

CREDIT_NOTES = Resource(
    name="credit_notes",
    object="credit_note",
    shape=CreditNote,
    path="/v1/credit_notes",
    permission="rak_credit_note_read",
    nested=(Nested("lines", CREDIT_NOTE_LINES.name, "/v1/credit_notes/{id}/lines"),),
    columns=(
        Column("customer", refers_to="customers", indexed=True),
        Column("invoice", refers_to="invoices", indexed=True),
        Column("number"),
        Column("status"),
        Column("type"),
        Column("reason"),
        Column("currency"),
        Column("amount", "bigint"),
        Column("subtotal", "bigint"),
        Column("discount_amount", "bigint"),
        Column("tax", "bigint"),
        Column("total", "bigint"),
        Column("pre_payment_amount", "bigint"),
        Column("post_payment_amount", "bigint"),
        Column("out_of_band_amount", "bigint"),
        Column("refunds", "text[]"),
        Column("customer_balance_transaction"),
        Column("effective_at", "timestamptz"),
        Column("voided_at", "timestamptz"),
        Column("livemode", "boolean"),
    ),
)
