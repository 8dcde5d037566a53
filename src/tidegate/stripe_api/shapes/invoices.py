"""Shapes of invoices and of their payments."""

from msgspec import field

from tidegate.stripe_api.shapes.base import Amount, IdOf, Listing, Part, Ref, Seconds, Shape, Whole, id_of, total
from tidegate.stripe_api.shapes.catalog import Metadata
from tidegate.stripe_api.shapes.discounts import Discount, Discounts, coupons
from tidegate.stripe_api.shapes.lines import Parent, subscription_behind


class StatusTransitions(Part):
    """When an invoice came into its states, epoch seconds."""

    finalized_at: Seconds | None = None
    paid_at: Seconds | None = None
    voided_at: Seconds | None = None
    marked_uncollectible_at: Seconds | None = None


class PaymentMeans(Part):
    """What a payment of an invoice was made with."""

    type: str | None = None
    charge: str | Ref | None = None
    payment_intent: str | Ref | None = None
    payment_record: str | Ref | None = None


class PaymentTransitions(Part):
    """When a payment of an invoice came into its states, epoch seconds."""

    paid_at: Seconds | None = None
    canceled_at: Seconds | None = None


class InvoicePayment(Shape):
    """Stripe's `invoice_payment` (since 2025-03-31.basil); amounts in minor units."""

    invoice_ref: str | Ref | None = field(default=None, name="invoice")
    status: str | None = None
    amount_paid: Whole | None = None
    amount_requested: Whole | None = None
    currency: str | None = None
    is_default: bool | None = None
    payment: PaymentMeans | None = None
    status_transitions: PaymentTransitions | None = None

    invoice = IdOf("invoice_ref")

    @property
    def payment_intent(self) -> str | None:
        """The id of the payment intent."""
        return id_of(self.payment.payment_intent) if self.payment else None

    @property
    def charge(self) -> str | None:
        """The id of the charge."""
        return id_of(self.payment.charge) if self.payment else None

    @property
    def paid_at(self) -> int | None:
        """When it was paid."""
        return self.status_transitions.paid_at if self.status_transitions else None

    @property
    def canceled_at(self) -> int | None:
        """When it was canceled."""
        return self.status_transitions.canceled_at if self.status_transitions else None


class InvoicePayments(Part):
    """An invoice's `payments`, when expanded."""

    data: list[InvoicePayment] | None = None
    has_more: bool | None = None


class ShippingCost(Part):
    """What shipping costs on an invoice, in minor units; the subtotal is without tax."""

    amount_subtotal: Whole | None = None
    amount_tax: Whole | None = None
    amount_total: Whole | None = None


class Invoice(Shape):
    """Stripe's `invoice`; amounts in minor units of `currency`, times in epoch seconds."""

    customer_ref: str | Ref | None = field(default=None, name="customer")
    subscription_ref: str | Ref | None = field(default=None, name="subscription")
    parent: Parent | None = None
    status: str | None = None
    billing_reason: str | None = None
    collection_method: str | None = None
    number: str | None = None
    currency: str | None = None
    customer_email: str | None = None
    customer_name: str | None = None
    amount_due: Whole | None = None
    amount_paid: Whole | None = None
    amount_remaining: Whole | None = None
    subtotal: Whole | None = None
    total: Whole | None = None
    tax_told: Whole | None = field(default=None, name="tax")
    total_tax_amounts: list[Amount] | None = None
    total_taxes: list[Amount] | None = None
    total_discount_amounts: list[Amount] | None = None
    starting_balance: Whole | None = None
    ending_balance: Whole | None = None
    pre_payment_credit_notes_amount: Whole | None = None
    post_payment_credit_notes_amount: Whole | None = None
    shipping_cost: ShippingCost | None = None
    attempt_count: Whole | None = None
    attempted: bool | None = None
    auto_advance: bool | None = None
    paid_told: bool | None = field(default=None, name="paid")
    paid_out_of_band: bool | None = None
    period_start: Seconds | None = None
    period_end: Seconds | None = None
    due_date: Seconds | None = None
    effective_at: Seconds | None = None
    next_payment_attempt: Seconds | None = None
    status_transitions: StatusTransitions | None = None
    lines: Listing | None = None
    discount: str | Discount | None = None
    discounts: Discounts | None = None
    charge_ref: str | Ref | None = field(default=None, name="charge")
    payment_intent_ref: str | Ref | None = field(default=None, name="payment_intent")
    payments: InvoicePayments | None = None
    quote_ref: str | Ref | None = field(default=None, name="quote")
    default_payment_method_ref: str | Ref | None = field(default=None, name="default_payment_method")
    test_clock_ref: str | Ref | None = field(default=None, name="test_clock")
    hosted_invoice_url: str | None = None
    metadata: Metadata | None = None

    customer = IdOf("customer_ref")
    default_payment_method = IdOf("default_payment_method_ref")
    test_clock = IdOf("test_clock_ref")

    @property
    def subscription(self) -> str | None:
        """The id of its subscription: top level before 2025-03-31.basil, then in `parent.subscription_details`."""
        return subscription_behind(self.parent, self.subscription_ref)

    @property
    def quote(self) -> str | None:
        """The id of its quote: top level before 2025-03-31.basil, then in `parent.quote_details`."""
        details = self.parent.quote_details if self.parent else None
        return id_of(details.quote if details and details.quote else self.quote_ref)

    @property
    def paid(self) -> bool | None:
        """Whether it is paid; since 2025-03-31.basil only the status says so."""
        if self.paid_told is not None:
            return self.paid_told
        return None if self.status is None else self.status == "paid"

    @property
    def tax(self) -> int | None:
        """All tax, inclusive and exclusive, in minor units; None where nothing was told."""
        if self.tax_told is not None:
            return self.tax_told
        return total(self.total_taxes if self.total_taxes is not None else self.total_tax_amounts)

    @property
    def discount_amount(self) -> int | None:
        """All discounts in minor units; None where nothing was told."""
        return total(self.total_discount_amounts)

    @property
    def payment_intent(self) -> str | None:
        """The payment intent: top level before 2025-03-31.basil, then of the default payment if they are expanded."""
        if self.payment_intent_ref is not None:
            return id_of(self.payment_intent_ref)
        payment = self._payment()
        return payment.payment_intent if payment else None

    @property
    def charge(self) -> str | None:
        """The charge: top level before 2025-03-31.basil, then of the default payment when payments are expanded."""
        if self.charge_ref is not None:
            return id_of(self.charge_ref)
        payment = self._payment()
        return payment.charge if payment else None

    @property
    def finalized_at(self) -> int | None:
        """When it was finalized."""
        return self.status_transitions.finalized_at if self.status_transitions else None

    @property
    def paid_at(self) -> int | None:
        """When it was paid."""
        return self.status_transitions.paid_at if self.status_transitions else None

    @property
    def voided_at(self) -> int | None:
        """When it was voided."""
        return self.status_transitions.voided_at if self.status_transitions else None

    @property
    def marked_uncollectible_at(self) -> int | None:
        """When it was given up."""
        return self.status_transitions.marked_uncollectible_at if self.status_transitions else None

    @property
    def coupons(self) -> list[str]:
        """Ids of the coupons of its own discounts (not its lines')."""
        return coupons(self.discounts, self.discount)

    def _payment(self) -> InvoicePayment | None:
        payments = (self.payments.data if self.payments else None) or []
        return next((each for each in payments if each.is_default), payments[0] if payments else None)
