"""What of requests and answers is kept in the debugger: personal data and secrets are taken out."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

PERSONAL = frozenset(
    {
        "email", "phone", "name", "individual_name", "business_name", "customer_email", "customer_name",
        "customer_phone", "customer_address", "customer_shipping", "line1", "line2", "postal_code", "city",
        "receipt_email", "tax_id_data", "customer_tax_ids", "client_secret", "hosted_invoice_url", "invoice_pdf",
        "receipt_url", "ip_address",
    }
)  # fmt: skip
"""Fields whose values are personal or open a door."""
OF_PEOPLE = frozenset({"description", "header", "footer"})
"""Fields that are personal of everything but of what is sold: somebody wrote into them about somebody."""
WITHIN: Mapping[str, str] = {"state": "address", "value": "custom_fields"}
"""Fields that are personal within another one."""
SOLD = frozenset({"products", "prices", "product", "price"})
MARK = "[redacted]"
_ADDRESS = re.compile(r"[^\s@<>()\[\]'\",;:]+@[^\s@<>()\[\]'\",;:]+\w")
SHORTEST = 3
"""Characters of a value that is looked for in an error's text, at least: shorter ones are in too many words."""


def redacted(value: Any, what: str = "", within: Sequence[str] = ()) -> Any:
    """The same with every personal value that is text, or holds any, marked instead; what is empty stays. Names may be
    those of objects or, with dots, of fields: `address.line1`. `what`: the resource that the fields are of, or the
    object; an object says so itself. `within`: the names above.
    """
    if isinstance(value, Mapping):
        told = cast("Mapping[str, Any]", value)
        what = str(told.get("object") or what)
        return {
            name: MARK if one and _personal(name, what, within) else redacted(one, what, [*within, *name.split(".")])
            for name, one in told.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [redacted(one, what, within) for one in cast("Sequence[Any]", value)]
    return value


def redacted_text(said: str, params: Mapping[str, Any], what: str) -> str:
    """What Stripe says of a request, without its personal values and without e-mail addresses."""
    values = {value for value in _personal_values(params, what, False) if len(value) >= SHORTEST}
    for value in sorted(values, key=len, reverse=True):
        said = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", MARK, said, flags=re.IGNORECASE)
    return _ADDRESS.sub(MARK, said)


def _personal_values(value: Any, what: str, personal: bool, within: Sequence[str] = ()) -> Iterator[str]:
    """The texts in a payload that stand under a personal name."""
    if isinstance(value, Mapping):
        for name, one in cast("Mapping[str, Any]", value).items():
            below = [*within, *name.split(".")]
            yield from _personal_values(one, what, personal or _personal(name, what, within), below)
    elif isinstance(value, str):
        if personal:
            yield value
    elif isinstance(value, Sequence):
        for one in cast("Sequence[Any]", value):
            yield from _personal_values(one, what, personal, within)


def _personal(name: str, what: str, within: Sequence[str]) -> bool:
    parts = name.split(".")
    above = [*within, *parts[:-1]]
    return WITHIN.get(parts[-1], "") in above or any(
        part in PERSONAL or (part in OF_PEOPLE and what not in SOLD) for part in parts
    )
