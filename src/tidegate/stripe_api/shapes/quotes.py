"""Shapes of quotes and their lines."""

from msgspec import field

from tidegate.stripe_api.shapes.base import IdOf, Listing, Part, Ref, Seconds, Shape, Whole, id_of
from tidegate.stripe_api.shapes.catalog import Metadata, Price
from tidegate.stripe_api.shapes.discounts import Discounts, coupons


class QuoteTransitions(Part):
    """When a quote came into its states, epoch seconds."""

    finalized_at: Seconds | None = None
    accepted_at: Seconds | None = None
    canceled_at: Seconds | None = None


class FromQuote(Part):
    """The quote that this one revises."""

    quote: str | Ref | None = None


class Quote(Shape):
    """Stripe's `quote`; amounts in minor units. `line_items` are told only when expanded."""

    customer_ref: str | Ref | None = field(default=None, name="customer")
    invoice_ref: str | Ref | None = field(default=None, name="invoice")
    subscription_ref: str | Ref | None = field(default=None, name="subscription")
    schedule_ref: str | Ref | None = field(default=None, name="subscription_schedule")
    test_clock_ref: str | Ref | None = field(default=None, name="test_clock")
    from_quote_told: FromQuote | None = field(default=None, name="from_quote")
    status: str | None = None
    number: str | None = None
    currency: str | None = None
    amount_subtotal: Whole | None = None
    amount_total: Whole | None = None
    collection_method: str | None = None
    description: str | None = None
    expires_at: Seconds | None = None
    status_transitions: QuoteTransitions | None = None
    discounts: Discounts | None = None
    line_items: Listing | None = None
    metadata: Metadata | None = None

    customer = IdOf("customer_ref")
    invoice = IdOf("invoice_ref")
    subscription = IdOf("subscription_ref")
    subscription_schedule = IdOf("schedule_ref")
    test_clock = IdOf("test_clock_ref")

    @property
    def from_quote(self) -> str | None:
        """The id of the quote that this one revises."""
        return id_of(self.from_quote_told.quote) if self.from_quote_told else None

    @property
    def finalized_at(self) -> int | None:
        """When it was finalized."""
        return self.status_transitions.finalized_at if self.status_transitions else None

    @property
    def accepted_at(self) -> int | None:
        """When it was accepted."""
        return self.status_transitions.accepted_at if self.status_transitions else None

    @property
    def canceled_at(self) -> int | None:
        """When it was canceled."""
        return self.status_transitions.canceled_at if self.status_transitions else None

    @property
    def coupons(self) -> list[str]:
        """Ids of the coupons of its discounts."""
        return coupons(self.discounts)


class QuoteLine(Shape):
    """Stripe's `item`, a line of a quote; amounts in minor units. `quote` is not in Stripe's body."""

    quote: str | None = None
    price_embedded: str | Price | None = field(default=None, name="price")
    quantity: Whole | None = None
    currency: str | None = None
    amount_subtotal: Whole | None = None
    amount_discount: Whole | None = None
    amount_tax: Whole | None = None
    amount_total: Whole | None = None
    description: str | None = None

    @property
    def price(self) -> str | None:
        """The id of the price."""
        return id_of(self.price_embedded)

    @property
    def product(self) -> str | None:
        """The id of the price's product."""
        return self.price_embedded.product if isinstance(self.price_embedded, Price) else None
