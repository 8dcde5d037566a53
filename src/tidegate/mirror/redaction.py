"""Takes personal data out of a Stripe object, always the same way; ids, amounts, times and states stay (pure).

One rule for every object, wherever it stands: so an object redacted whole has its nested ones redacted as they are
alone. Objects of the catalog that stand inside (a price, a coupon) are nobody's and stay.
"""

import json
from typing import Any, cast

EMPTIED = frozenset(
    {
        "custom_fields", "customer_shipping", "customer_tax_ids", "evidence", "metadata",
        "preferred_locales", "shipping",
        "tax_ids",
    }
)  # fmt: skip
"""Objects and lists that people fill as they like: emptied, and null where they are null."""

REMOVED = frozenset(
    {
        # who somebody is, and how to reach them
        "account_holder_name", "billing_email", "business_name", "business_profile", "buyer_id", "cashtag",
        "customer_email", "customer_email_address", "customer_name", "customer_phone",
        "customer_purchase_ip", "email",
        "email_address", "first_name", "individual_name", "last_name", "name", "nickname", "payer_email",
        "payer_id",
        "payer_name", "phone", "phone_number", "receipt_email", "tax_id", "verified_email", "verified_name",
        # what somebody wrote
        "comment", "customer_communication", "description", "footer", "header", "memo", "message",
        "seller_message", "statement",
        # what somebody pays with
        "account_number", "bank_code", "bic", "branch_code", "cvc_token", "dynamic_last4", "exp_month",
        "exp_year",
        "fingerprint", "generated_sepa_debit", "iban", "iban_last4", "iin", "last4", "network_token",
        "routing_number",
        "sort_code", "transit_number", "wallet",
        # where somebody is
        "address_city", "address_line1", "address_line2", "address_state", "address_zip", "city",
        "client_ip", "ip", "ip_address", "latitude", "line1", "line2", "longitude", "postal_code",
        "state_code",
        "user_agent",
        # pages that show all that
        "client_secret", "hosted_instructions_url", "hosted_invoice_url", "hosted_verification_url",
        "hosted_voucher_url", "invoice_pdf", "mandate_url", "mobile_auth_url", "pdf", "receipt_url",
    }
)  # fmt: skip
"""Fields that become null, whatever they hold."""

ADDRESSES = frozenset({"address", "customer_address", "billing_address", "shipping_address"})
"""Of an address stays the country: revenue is told by it."""

CATALOG = frozenset({"price", "plan", "product", "coupon", "promotion_code", "tax_rate", "test_helpers.test_clock"})
"""Objects that belong to nobody, by Stripe's `object`."""


def redacted(body: str) -> str:
    """The JSON of an object without personal data; the same for the same body, and for one that is redacted already.

    Raises ValueError for what is no JSON object.
    """
    told = json.loads(body)
    if not isinstance(told, dict):
        raise ValueError("no JSON object")
    return json.dumps(_object(cast("dict[str, Any]", told)), separators=(",", ":"))


def redact(value: Any) -> Any:
    """The same of a decoded JSON value: what is neither object nor list stays as it is."""
    if isinstance(value, dict):
        return _object(cast("dict[str, Any]", value))
    if isinstance(value, list):
        return [redact(one) for one in cast("list[Any]", value)]
    return value


def redacted_event(body: str) -> str:
    """The JSON of an event whose object is redacted, with its previous attributes. Raises ValueError as `redacted`."""
    told = json.loads(body)
    if not isinstance(told, dict):
        raise ValueError("no JSON object")
    event = cast("dict[str, Any]", told)
    if isinstance(event.get("data"), dict):
        event["data"] = redact(event["data"])
    return json.dumps(event, separators=(",", ":"))


def _object(told: dict[str, Any]) -> dict[str, Any]:
    kind = told.get("object")
    if isinstance(kind, str) and kind in CATALOG:
        return told
    return {key: _field(key, value) for key, value in told.items()}


def _field(key: str, value: Any) -> Any:
    if value is None:
        return None
    if key in EMPTIED:
        return [] if isinstance(value, list) else {} if isinstance(value, dict) else None
    if key in ADDRESSES:
        country = cast("dict[str, Any]", value).get("country") if isinstance(value, dict) else None
        return {"country": country} if country else None
    return None if key in REMOVED else redact(value)
