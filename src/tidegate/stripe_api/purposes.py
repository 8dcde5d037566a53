"""What each permission that a connection asks for is for, in a sentence: for people who grant it (pure)."""

PURPOSES = {
    "rak_connected_account_read": "Whose key it is: the account's name, currency and time zone.",
    "rak_product_read": "What is sold, and Stripe's own features of it: packages are made of products.",
    "rak_plan_read": "What it costs: prices are mapped to packages, and MRR is made of them.",
    "rak_coupon_read": "Discounts, which MRR is net of.",
    "rak_promotion_code_read": "The code that a discount came by.",
    "rak_tax_rate_read": "Taxes that prices include, which MRR is net of.",
    "rak_customer_read": "Who pays: customers are matched to your contacts by id, e-mail and domain.",
    "rak_subscription_read": "Who has what, since when and until when: entitlements, stages and MRR follow from it.",
    "rak_invoice_read": "What was billed, and is overdue: revenue, dunning, access while a payment fails.",
    "rak_credit_note_read": "What was credited: invoices are worth less by it.",
    "rak_charge_read": "Payments and refunds of them.",
    "rak_payment_intent_read": "Payments under way, and why one failed.",
    "rak_payment_method_read": "Cards that are about to expire.",
    "rak_dispute_read": "Disputed payments.",
    "rak_quote_read": "Offers that wait to be accepted.",
    "rak_entitlement_read": "Features that you defined in Stripe.",
    "rak_billing_meter_read": "Meters that usage is counted on.",
    "rak_billing_clock_read": "Test clocks: what is on one is hidden from lists. In test mode only.",
    "rak_event_read": "What changes: without events the mirror is as old as the last look at every list.",
}
"""By the name that `key_link` has for it."""


def manifest_permissions() -> list[dict[str, str]]:
    """The permissions as the manifest of a Stripe App names them."""
    return [{"permission": name.removeprefix("rak_"), "purpose": purpose} for name, purpose in PURPOSES.items()]
