"""Names that Stripe's objects have and its parameters do not, and where what they say is written instead."""

from collections.abc import Mapping

READ_ONLY: Mapping[str, Mapping[str, str]] = {
    "customers": {
        "id": "Stripe gives it; keep your own in metadata and match by that",
        "currency": "the first invoice or subscription decides it",
        "delinquent": "it follows the customer's invoices",
        "created": "Stripe gives it",
        "subscriptions": "write them with a sync of subscriptions",
        "discount": "write discounts of its subscriptions or invoices",
    },
    "products": {"created": "Stripe gives it", "prices": "write them with a sync of prices"},
    "prices": {
        "id": "Stripe gives it; use lookup_key",
        "type": "it follows `recurring`",
        "created": "Stripe gives it",
    },
    "subscriptions": {
        "id": "Stripe gives it; keep your own in metadata and match by that",
        "status": "it follows payments; use cancel_at_period_end, cancel_at, or the sync's delete behaviour",
        "plan": "write items: [{price: …}]",
        "quantity": "write items: [{price: …, quantity: …}]",
        "current_period_end": "it follows billing_cycle_anchor and the price",
        "start_date": "write backdate_start_date, when it is created",
        "created": "Stripe gives it",
        "ended_at": "write cancel_at",
        "canceled_at": "write cancel_at",
    },
    "invoices": {
        "id": "Stripe gives it; keep your own in metadata and match by that",
        "status": "use the sync's `finish`: draft, finalized or sent",
        "total": "it is the sum of its items",
        "amount_due": "it is the sum of its items",
        "lines": "write them with a sync of invoiceitems",
        "created": "Stripe gives it",
    },
    "invoiceitems": {
        "id": "Stripe gives it; keep your own in metadata and match by that",
        "price": "write pricing: {price: …}",
        "date": "write period",
        "proration": "only Stripe makes prorations",
    },
    "quotes": {
        "id": "Stripe gives it; keep your own in metadata and match by that",
        "status": "use the sync's `finish`: draft or finalized",
        "amount_total": "it is the sum of its line_items",
        "created": "Stripe gives it",
    },
    "meter_events": {
        "identifier": "it is made of the sync and the row's key, so that no row counts twice",
        "created": "Stripe gives it; write timestamp",
    },
    "contacts": {
        "id": "a contact is found by it: it is what the sync matches by",
        "email": "e-mail addresses say which customers are whose; import them with `tidegate contacts import`",
        "stage": "it follows from the stages' conditions; write a property, and ask for that",
    },
}
"""By resource and name; what is said reads on from "it cannot be written: "."""
