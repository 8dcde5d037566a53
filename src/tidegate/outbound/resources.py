"""What can be written of each resource by a sync: how its rows are matched, and what there is to say of it."""

from collections.abc import Mapping
from typing import Literal

Resource = Literal[
    "customers",
    "products",
    "prices",
    "subscriptions",
    "invoices",
    "invoiceitems",
    "quotes",
    "meter_events",
    "contacts",
]
MATCHES: Mapping[str, frozenset[str]] = {
    "customers": frozenset({"id", "email", "metadata"}),
    "products": frozenset({"id", "metadata"}),
    "prices": frozenset({"id", "lookup_key", "metadata"}),
    **{name: frozenset({"id", "metadata"}) for name in ("subscriptions", "invoices", "invoiceitems", "quotes")},
    "contacts": frozenset({"id"}),
}
"""By what a row is matched with an object of each resource."""
INSERT_ONLY = frozenset({"meter_events"})
"""Resources of which Stripe has no list: what is made of a row can be neither found, nor changed, nor deleted."""
OWN = frozenset({"contacts"})
"""Resources that are the hub's own: their rows are written here, and Stripe is asked nothing."""
SETTABLE = frozenset({"products"})
"""Resources whose objects can be made under an id of one's own."""
OPTIONS: Mapping[str, frozenset[str]] = {
    "customers": frozenset({"cancel_subscriptions"}),
    "subscriptions": frozenset({"at", "prorate", "invoice_now"}),
    "invoices": frozenset({"void"}),
}
"""What of `specs.Delete` means something for a resource, beside `how`."""
