"""Shapes of money that moves: charges, payment intents, payment methods, refunds, disputes."""

from msgspec import field

from tidegate.stripe_api.shapes.base import IdOf, Part, Ref, Seconds, Shape, Whole, id_of


class Outcome(Part):
    """How a charge was judged; `reason` is the decline code of a refused one."""

    type: str | None = None
    reason: str | None = None
    network_decline_code: str | None = None


class Charge(Shape):
    """Stripe's `charge`; amounts in minor units. `invoice` is told before 2025-03-31.basil only."""

    customer_ref: str | Ref | None = field(default=None, name="customer")
    invoice_ref: str | Ref | None = field(default=None, name="invoice")
    payment_intent_ref: str | Ref | None = field(default=None, name="payment_intent")
    balance_transaction_ref: str | Ref | None = field(default=None, name="balance_transaction")
    payment_method: str | None = None
    amount: Whole | None = None
    amount_captured: Whole | None = None
    amount_refunded: Whole | None = None
    currency: str | None = None
    status: str | None = None
    paid: bool | None = None
    captured: bool | None = None
    refunded: bool | None = None
    disputed: bool | None = None
    description: str | None = None
    receipt_email: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    outcome: Outcome | None = None

    customer = IdOf("customer_ref")
    invoice = IdOf("invoice_ref")
    payment_intent = IdOf("payment_intent_ref")
    balance_transaction = IdOf("balance_transaction_ref")

    @property
    def decline_reason(self) -> str | None:
        """Why it was refused, in Stripe's words; None where it was not."""
        return self.outcome.reason if self.outcome else None


class PaymentError(Part):
    """What went wrong at the last attempt."""

    code: str | None = None
    decline_code: str | None = None
    message: str | None = None
    type: str | None = None


class ChargeList(Part):
    """The charges of a payment intent before 2022-11-15, newest first."""

    data: list[Ref] | None = None


class PaymentIntent(Shape):
    """Stripe's `payment_intent`; amounts in minor units. `invoice` is told before 2025-03-31.basil only."""

    customer_ref: str | Ref | None = field(default=None, name="customer")
    invoice_ref: str | Ref | None = field(default=None, name="invoice")
    latest_charge_ref: str | Ref | None = field(default=None, name="latest_charge")
    payment_method_ref: str | Ref | None = field(default=None, name="payment_method")
    charges: ChargeList | None = None
    amount: Whole | None = None
    amount_received: Whole | None = None
    currency: str | None = None
    status: str | None = None
    description: str | None = None
    receipt_email: str | None = None
    canceled_at: Seconds | None = None
    cancellation_reason: str | None = None
    last_payment_error: PaymentError | None = None

    customer = IdOf("customer_ref")
    invoice = IdOf("invoice_ref")
    payment_method = IdOf("payment_method_ref")

    @property
    def latest_charge(self) -> str | None:
        """The id of the newest charge; before 2022-11-15 the first of `charges`."""
        if self.latest_charge_ref is not None:
            return id_of(self.latest_charge_ref)
        charges = self.charges.data if self.charges else None
        return charges[0].id if charges else None

    @property
    def error_code(self) -> str | None:
        """The code of the last payment error."""
        return self.last_payment_error.code if self.last_payment_error else None

    @property
    def decline_code(self) -> str | None:
        """The issuer's reason at the last attempt."""
        return self.last_payment_error.decline_code if self.last_payment_error else None


class Card(Part):
    """A card; the year has four digits."""

    brand: str | None = None
    last4: str | None = None
    exp_month: Whole | None = None
    exp_year: Whole | None = None
    country: str | None = None
    funding: str | None = None
    fingerprint: str | None = None


class BillingDetails(Part):
    """Whose payment method it is."""

    email: str | None = None
    name: str | None = None


class PaymentMethod(Shape):
    """Stripe's `payment_method`."""

    customer_ref: str | Ref | None = field(default=None, name="customer")
    type: str | None = None
    card: Card | None = None
    billing_details: BillingDetails | None = None

    customer = IdOf("customer_ref")

    @property
    def card_brand(self) -> str | None:
        """The card's brand; None for what is no card."""
        return self.card.brand if self.card else None

    @property
    def card_last4(self) -> str | None:
        """The card's last four digits."""
        return self.card.last4 if self.card else None

    @property
    def card_exp_month(self) -> int | None:
        """The month the card expires in, 1 to 12; it is good to that month's end."""
        return self.card.exp_month if self.card else None

    @property
    def card_exp_year(self) -> int | None:
        """The year the card expires in, four digits."""
        return self.card.exp_year if self.card else None

    @property
    def card_country(self) -> str | None:
        """The card's country."""
        return self.card.country if self.card else None


class Refund(Shape):
    """Stripe's `refund`; amount in minor units."""

    charge_ref: str | Ref | None = field(default=None, name="charge")
    payment_intent_ref: str | Ref | None = field(default=None, name="payment_intent")
    balance_transaction_ref: str | Ref | None = field(default=None, name="balance_transaction")
    amount: Whole | None = None
    currency: str | None = None
    status: str | None = None
    reason: str | None = None
    failure_reason: str | None = None

    charge = IdOf("charge_ref")
    payment_intent = IdOf("payment_intent_ref")
    balance_transaction = IdOf("balance_transaction_ref")


class EvidenceDetails(Part):
    """Until when a dispute can be answered, epoch seconds."""

    due_by: Seconds | None = None


class Dispute(Shape):
    """Stripe's `dispute`; amount in minor units."""

    charge_ref: str | Ref | None = field(default=None, name="charge")
    payment_intent_ref: str | Ref | None = field(default=None, name="payment_intent")
    amount: Whole | None = None
    currency: str | None = None
    status: str | None = None
    reason: str | None = None
    is_charge_refundable: bool | None = None
    evidence_details: EvidenceDetails | None = None

    charge = IdOf("charge_ref")
    payment_intent = IdOf("payment_intent_ref")

    @property
    def due_by(self) -> int | None:
        """Until when evidence can be given."""
        return self.evidence_details.due_by if self.evidence_details else None
