"""What of requests and answers is kept in the debugger: personal data and secrets are taken out."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

PERSONAL = frozenset(
    {
        "email", "phone", "name", "individual_name", "business_name", "customer_email", "customer_name",
        "customer_phone", "customer_address", "customer_shipping", "line1", "line2", "postal_code", "city",
        "receipt_email", "tax_id_data", "customer_tax_ids", "client_secret", "hosted_invoice_url", "invoice_pdf",
        "receipt_url",
    }
)  # fmt: skip
"""Fields whose values are personal or open a door."""
MARK = "[redacted]"


def redacted(value: Any) -> Any:
    """The same with every personal value that is text, or holds any, marked instead; what is empty stays. Names may be
    those of objects or, with dots, of fields: `address.line1`.
    """
    if isinstance(value, Mapping):
        told = cast("Mapping[str, Any]", value)
        return {name: MARK if _personal(name) and one else redacted(one) for name, one in told.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [redacted(one) for one in cast("Sequence[Any]", value)]
    return value


def _personal(name: str) -> bool:
    return any(part in PERSONAL for part in name.split("."))
