"""Money that moves: charges, payment intents, payment methods, refunds, disputes."""

from tidegate.stripe_api.resources.resource import Column, Resource
from tidegate.stripe_api.shapes.payments import Charge, Dispute, PaymentIntent, PaymentMethod, Refund

CHARGES = Resource(
    name="charges",
    object="charge",
    shape=Charge,
    path="/v1/charges",
    permission="rak_charge_read",
    columns=(
        Column("customer", refers_to="customers", indexed=True),
        Column("invoice", refers_to="invoices"),
        Column("payment_intent"),
        Column("payment_method"),
        Column("balance_transaction"),
        Column("amount", "bigint"),
        Column("amount_captured", "bigint"),
        Column("amount_refunded", "bigint"),
        Column("currency"),
        Column("status"),
        Column("paid", "boolean"),
        Column("captured", "boolean"),
        Column("refunded", "boolean"),
        Column("disputed", "boolean"),
        Column("failure_code"),
        Column("failure_message"),
        Column("decline_reason"),
        Column("description"),
        Column("receipt_email"),
        Column("livemode", "boolean"),
    ),
)

PAYMENT_INTENTS = Resource(
    name="payment_intents",
    object="payment_intent",
    shape=PaymentIntent,
    path="/v1/payment_intents",
    permission="rak_payment_intent_read",
    columns=(
        Column("customer", refers_to="customers", indexed=True),
        Column("invoice", refers_to="invoices"),
        Column("latest_charge"),
        Column("payment_method"),
        Column("amount", "bigint"),
        Column("amount_received", "bigint"),
        Column("currency"),
        Column("status"),
        Column("error_code"),
        Column("decline_code"),
        Column("canceled_at", "timestamptz"),
        Column("cancellation_reason"),
        Column("description"),
        Column("receipt_email"),
        Column("livemode", "boolean"),
    ),
)

PAYMENT_METHODS = Resource(
    name="payment_methods",
    object="payment_method",
    shape=PaymentMethod,
    path="/v1/payment_methods",
    # A detached one can never be used or attached again (docs.stripe.com/api/payment_methods/detach).
    deleted_by=frozenset({"payment_method.detached"}),
    kept_by=("customer", "customer_account"),
    permission="rak_payment_method_read",
    created_filter=False,
    columns=(
        Column("customer", refers_to="customers", indexed=True),
        Column("type"),
        Column("card_brand"),
        Column("card_last4"),
        Column("card_exp_month", "bigint"),
        Column("card_exp_year", "bigint"),
        Column("card_country"),
        Column("livemode", "boolean"),
    ),
)

REFUNDS = Resource(
    name="refunds",
    object="refund",
    shape=Refund,
    path="/v1/refunds",
    permission="rak_charge_read",
    owned_by="charge",
    columns=(
        Column("charge", refers_to="charges", indexed=True),
        Column("payment_intent"),
        Column("balance_transaction"),
        Column("amount", "bigint"),
        Column("currency"),
        Column("status"),
        Column("reason"),
        Column("failure_reason"),
    ),
)

DISPUTES = Resource(
    name="disputes",
    object="dispute",
    shape=Dispute,
    path="/v1/disputes",
    permission="rak_dispute_read",
    owned_by="charge",
    columns=(
        Column("charge", refers_to="charges", indexed=True),
        Column("payment_intent"),
        Column("amount", "bigint"),
        Column("currency"),
        Column("status"),
        Column("reason"),
        Column("is_charge_refundable", "boolean"),
        Column("due_by", "timestamptz"),
        Column("livemode", "boolean"),
    ),
)
