"""Shapes of credit notes and their lines."""

from msgspec import field

from tidegate.stripe_api.shapes.base import Amount, IdOf, Listing, Part, Ref, Seconds, Shape, Whole, id_of, total
from tidegate.stripe_api.shapes.lines import TaxAmount


class CreditedRefund(Part):
    """A refund that a credit note stands for, and how much of it (since 2025-03-31.basil)."""

    amount_refunded: Whole | None = None
    refund: str | Ref | None = None


class CreditNote(Shape):
    """Stripe's `credit_note`; amounts in minor units, positive, what the customer gets back or need not pay."""

    customer_ref: str | Ref | None = field(default=None, name="customer")
    invoice_ref: str | Ref | None = field(default=None, name="invoice")
    number: str | None = None
    status: str | None = None
    type: str | None = None
    reason: str | None = None
    memo: str | None = None
    currency: str | None = None
    amount: Whole | None = None
    subtotal: Whole | None = None
    total: Whole | None = None
    discount_amount: Whole | None = None
    tax_amounts: list[Amount] | None = None
    total_taxes: list[Amount] | None = None
    pre_payment_told: Whole | None = field(default=None, name="pre_payment_amount")
    post_payment_told: Whole | None = field(default=None, name="post_payment_amount")
    out_of_band_amount: Whole | None = None
    refund: str | Ref | None = None
    told_refunds: list[CreditedRefund] | None = field(default=None, name="refunds")
    customer_balance_transaction_ref: str | Ref | None = field(default=None, name="customer_balance_transaction")
    effective_at: Seconds | None = None
    voided_at: Seconds | None = None
    lines: Listing | None = None

    customer = IdOf("customer_ref")
    invoice = IdOf("invoice_ref")
    customer_balance_transaction = IdOf("customer_balance_transaction_ref")

    @property
    def pre_payment_amount(self) -> int | None:
        """What it took off an unpaid invoice; older versions tell it by the type alone."""
        return self._part(self.pre_payment_told, "pre_payment")

    @property
    def post_payment_amount(self) -> int | None:
        """What it gave back of a paid invoice; older versions tell it by the type alone."""
        return self._part(self.post_payment_told, "post_payment")

    @property
    def tax(self) -> int | None:
        """All tax in it."""
        return total(self.total_taxes if self.total_taxes is not None else self.tax_amounts)

    @property
    def refunded(self) -> dict[str, int | None]:
        """How much of each of its refunds, by their ids, is the note's; None where only the refund itself says so."""
        if self.told_refunds is None:
            return dict.fromkeys(self.refunds)
        told = [(id_of(each.refund), each.amount_refunded) for each in self.told_refunds]
        return {refund: amount for refund, amount in told if refund is not None}

    @property
    def refunds(self) -> list[str]:
        """Ids of its refunds: `refund` before 2025-03-31.basil, then `refunds`."""
        if self.told_refunds is not None:
            return [refund for each in self.told_refunds if (refund := id_of(each.refund)) is not None]
        single = id_of(self.refund)
        return [single] if single is not None else []

    def _part(self, told: int | None, kind: str) -> int | None:
        if told is not None or self.type not in ("pre_payment", "post_payment"):
            return told
        return self.amount if self.type == kind else 0


class CreditNoteLine(Shape):
    """Stripe's `credit_note_line_item`; amounts in minor units. `credit_note` is not in Stripe's body."""

    credit_note: str | None = None
    invoice_line_item: str | None = None
    type: str | None = None
    description: str | None = None
    amount: Whole | None = None
    discount_amount: Whole | None = None
    quantity: Whole | None = None
    unit_amount: Whole | None = None
    unit_amount_exact: str | None = field(default=None, name="unit_amount_decimal")
    taxes: list[TaxAmount] | None = None
    tax_amounts: list[TaxAmount] | None = None

    @property
    def unit_amount_decimal(self) -> str | None:
        """What one unit was credited at, exact, in minor units."""
        if self.unit_amount_exact is not None or self.unit_amount is None:
            return self.unit_amount_exact
        return str(self.unit_amount)

    @property
    def tax_amount(self) -> int | None:
        """All tax of the line."""
        return total(self.taxes if self.taxes is not None else self.tax_amounts)

    @property
    def inclusive_tax(self) -> int:
        """The tax that the line's amount includes."""
        return sum(tax.included for tax in self.taxes or self.tax_amounts or ())
