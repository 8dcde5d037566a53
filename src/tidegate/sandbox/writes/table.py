"""From a method and a path to the write that they name."""

from urllib.parse import unquote

from tidegate.sandbox.writes import (
    coupons,
    credit_notes,
    customers,
    invoice_previews,
    invoiceitems,
    invoices,
    metering,
    payment_methods,
    prices,
    products,
    quotes,
    refunds,
    subscription_items,
    subscriptions,
    test_clocks,
    webhook_endpoints,
)
from tidegate.sandbox.writes.calls import Write

NOUNS = (
    customers,
    products,
    prices,
    coupons,
    payment_methods,
    subscriptions,
    subscription_items,
    invoiceitems,
    invoice_previews,
    invoices,
    metering,
    credit_notes,
    quotes,
    refunds,
    test_clocks,
    webhook_endpoints,
)
WRITES: tuple[Write, ...] = tuple(write for noun in NOUNS for write in noun.WRITES)


def _table() -> dict[tuple[str, int], list[tuple[list[str], Write]]]:
    table: dict[tuple[str, int], list[tuple[list[str], Write]]] = {}
    for write in WRITES:
        pattern = write.template.strip("/").split("/")
        table.setdefault((write.method, len(pattern)), []).append((pattern, write))
    return table


TABLE = _table()


def find_write(method: str, path: str) -> tuple[Write, list[str]] | None:
    """The write of a method and a path, and the identifiers in it; None when the sandbox has no such write."""
    parts = path.strip("/").split("/")
    for pattern, write in TABLE.get((method, len(parts)), []):
        if all(wanted in ("{id}", part) for wanted, part in zip(pattern, parts, strict=True)):
            return write, [unquote(part) for wanted, part in zip(pattern, parts, strict=True) if wanted == "{id}"]
    return None
