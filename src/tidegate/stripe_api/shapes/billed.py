"""What invoice lines and invoice items have in common: what was charged, how much of it, for which period."""

from msgspec import field

from tidegate.stripe_api.shapes.base import Part, Ref, Seconds, Shape, Whole, id_of
from tidegate.stripe_api.shapes.catalog import Plan, Price, embedded_price
from tidegate.stripe_api.shapes.discounts import Discounts, coupons


class Period(Part):
    """What a charge is for, epoch seconds."""

    start: Seconds | None = None
    end: Seconds | None = None


class PriceDetails(Part):
    """The ids behind a charge (since 2025-03-31.basil)."""

    price: str | Price | None = None
    product: str | Ref | None = None


class Pricing(Part):
    """How a charge was priced (since 2025-03-31.basil); the amount exact, in minor units."""

    type: str | None = None
    price_details: PriceDetails | None = None
    unit_amount_decimal: str | None = None


class Charged(Shape):
    """Amounts in minor units of `currency`.

    Since 2025-03-31.basil the price is named in `pricing`; before, all of `price` (or the older `plan`) was embedded.
    """

    amount: Whole | None = None
    currency: str | None = None
    quantity: Whole | None = None
    description: str | None = None
    discountable: bool | None = None
    period: Period | None = None
    pricing: Pricing | None = None
    price_embedded: str | Price | None = field(default=None, name="price")
    plan: str | Plan | None = None
    unit_amount_exact: str | None = field(default=None, name="unit_amount_decimal")
    unit_amount_told: Whole | None = field(default=None, name="unit_amount")
    discounts: Discounts | None = None

    @property
    def terms(self) -> Price | None:
        """The price where the charge carries it whole: in older versions, or expanded."""
        details = self.pricing.price_details if self.pricing else None
        if details and isinstance(details.price, Price):
            return details.price
        return embedded_price(self.price_embedded, self.plan)

    @property
    def price(self) -> str | None:
        """The id of the price (or plan, which is the same id)."""
        details = self.pricing.price_details if self.pricing else None
        if details and details.price is not None:
            return id_of(details.price)
        return id_of(self.price_embedded if self.price_embedded is not None else self.plan)

    @property
    def product(self) -> str | None:
        """The id of the product."""
        details = self.pricing.price_details if self.pricing else None
        if details and details.product is not None:
            return id_of(details.product)
        terms = self.terms
        return terms.product if terms else None

    @property
    def unit_amount_decimal(self) -> str | None:
        """What one unit cost, exact, in minor units, as this charge tells it; None for tiers."""
        if self.pricing is not None and self.pricing.unit_amount_decimal is not None:
            return self.pricing.unit_amount_decimal
        if self.unit_amount_exact is not None:
            return self.unit_amount_exact
        if self.unit_amount_told is not None:
            return str(self.unit_amount_told)
        terms = self.terms
        return terms.unit_amount_decimal if terms else None

    @property
    def period_start(self) -> int | None:
        """When the charged period starts."""
        return self.period.start if self.period else None

    @property
    def period_end(self) -> int | None:
        """When the charged period ends."""
        return self.period.end if self.period else None

    @property
    def coupons(self) -> list[str]:
        """Ids of the coupons of its own discounts."""
        return coupons(self.discounts)
