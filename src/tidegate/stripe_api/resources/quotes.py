"""What is offered: quotes and their lines."""

from tidegate.stripe_api.resources.resource import Column, Nested, Resource
from tidegate.stripe_api.shapes.quotes import Quote, QuoteLine

QUOTE_LINES = Resource(
    name="quote_lines",
    object="item",
    shape=QuoteLine,
    created_filter=False,
    parent="quote",
    columns=(
        Column("quote"),
        Column("price", refers_to="prices"),
        Column("product", refers_to="products"),
        Column("quantity", "bigint"),
        Column("currency"),
        Column("amount_subtotal", "bigint"),
        Column("amount_discount", "bigint"),
        Column("amount_tax", "bigint"),
        Column("amount_total", "bigint"),
        Column("description"),
    ),
)

# Events never carry `line_items`, so every event has the quote fetched.
QUOTES = Resource(
    name="quotes",
    object="quote",
    shape=Quote,
    path="/v1/quotes",
    permission="rak_quote_read",
    created_filter=False,
    expand=("line_items", "discounts"),
    nested=(Nested("line_items", QUOTE_LINES.name, "/v1/quotes/{id}/line_items"),),
    refetch=True,
    columns=(
        Column("customer", refers_to="customers", indexed=True),
        Column("subscription", refers_to="subscriptions"),
        Column("subscription_schedule"),
        Column("invoice", refers_to="invoices"),
        Column("from_quote"),
        Column("status"),
        Column("number"),
        Column("currency"),
        Column("amount_subtotal", "bigint"),
        Column("amount_total", "bigint"),
        Column("collection_method"),
        Column("description"),
        Column("expires_at", "timestamptz"),
        Column("finalized_at", "timestamptz"),
        Column("accepted_at", "timestamptz"),
        Column("canceled_at", "timestamptz"),
        Column("coupons", "text[]", refers_to="coupons"),
        Column("test_clock"),
        Column("livemode", "boolean"),
    ),
)
