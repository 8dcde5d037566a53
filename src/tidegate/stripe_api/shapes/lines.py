"""Shapes of what an invoice charges: its lines, and the invoice items that wait to become lines."""

from msgspec import field

from tidegate.stripe_api.shapes.base import Amount, IdOf, Part, Ref, Seconds, Shape, Whole, id_of, total
from tidegate.stripe_api.shapes.catalog import Metadata, Plan, Price, TaxRate, embedded_price
from tidegate.stripe_api.shapes.discounts import Discount, Discounts, coupons


class SubscriptionDetails(Part):
    """The subscription an invoice or invoice item belongs to (since 2025-03-31.basil)."""

    subscription: str | Ref | None = None
    subscription_item: str | Ref | None = None


class QuoteDetails(Part):
    """The quote an invoice comes from (since 2025-03-31.basil)."""

    quote: str | Ref | None = None


class Parent(Part):
    """What made an invoice or invoice item (since 2025-03-31.basil)."""

    type: str | None = None
    subscription_details: SubscriptionDetails | None = None
    quote_details: QuoteDetails | None = None


def subscription_behind(parent: Parent | None, told: str | Ref | None) -> str | None:
    """The id of the subscription that the parent's details name, else the one `told` at the top level."""
    details = parent.subscription_details if parent else None
    return id_of(details.subscription if details and details.subscription else told)


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


class ProrationDetails(Part):
    """What a proration is about: `credited_items` names the lines that it gives back."""

    credited_items: Part | None = None


class LineDetails(Part):
    """Where a line comes from: an invoice item or a subscription item (since 2025-03-31.basil)."""

    invoice_item: str | Ref | None = None
    subscription: str | Ref | None = None
    subscription_item: str | Ref | None = None
    proration: bool | None = None
    proration_details: ProrationDetails | None = None


class LineParent(Part):
    """What made a line (since 2025-03-31.basil)."""

    type: str | None = None
    invoice_item_details: LineDetails | None = None
    subscription_item_details: LineDetails | None = None

    def details(self) -> LineDetails | None:
        """The details that `type` names, else those that are there."""
        if self.type == "subscription_item_details":
            return self.subscription_item_details or self.invoice_item_details
        return self.invoice_item_details or self.subscription_item_details


class DiscountAmount(Amount):
    """What a discount took off a line."""

    discount_ref: str | Discount | None = field(default=None, name="discount")

    discount = IdOf("discount_ref")


class TaxRateDetails(Part):
    """The rate behind a tax (since 2025-03-31.basil)."""

    tax_rate: str | Ref | None = None


class TaxAmount(Amount):
    """A tax of a line; since 2025-03-31.basil `tax_behavior` says whether the line's amount includes it, and
    `tax_rate_details` by which rate it is.
    """

    inclusive: bool | None = None
    tax_behavior: str | None = None
    tax_rate: str | Ref | None = None
    tax_rate_details: TaxRateDetails | None = None

    @property
    def rate(self) -> str | None:
        """The id of its rate."""
        details = self.tax_rate_details
        return id_of(details.tax_rate if details and details.tax_rate else self.tax_rate)

    @property
    def included(self) -> int:
        """What of the line's amount it is, in minor units."""
        return (self.amount or 0) if self.inclusive or self.tax_behavior == "inclusive" else 0


class PretaxCredit(Amount):
    """What was taken off a line before tax: a discount again, or a credit grant."""

    type: str | None = None


class InvoiceLine(Charged):
    """Stripe's `line_item`; amounts in minor units of `currency`.

    Since 2025-03-31.basil the price stands in `pricing` and the origin in `parent`; before, both were at the top level.
    """

    invoice_ref: str | Ref | None = field(default=None, name="invoice")
    subscription_ref: str | Ref | None = field(default=None, name="subscription")
    subscription_item_ref: str | Ref | None = field(default=None, name="subscription_item")
    invoice_item_ref: str | Ref | None = field(default=None, name="invoice_item")
    parent: LineParent | None = None
    type_told: str | None = field(default=None, name="type")
    proration_told: bool | None = field(default=None, name="proration")
    proration_details: ProrationDetails | None = None
    subtotal: Whole | None = None
    discount_amounts: list[DiscountAmount] | None = None
    tax_amounts: list[TaxAmount] | None = None
    taxes: list[TaxAmount] | None = None
    tax_rates: list[str | TaxRate] | None = None
    pretax_credit_amounts: list[PretaxCredit] | None = None

    invoice = IdOf("invoice_ref")

    @property
    def subscription(self) -> str | None:
        """The id of the subscription that the line bills, pending invoice items of a subscription included."""
        details = self._details()
        return id_of(details.subscription if details and details.subscription else self.subscription_ref)

    @property
    def subscription_item(self) -> str | None:
        """The id of the subscription item that the line bills."""
        details = self._details()
        return id_of(details.subscription_item if details and details.subscription_item else self.subscription_item_ref)

    @property
    def invoice_item(self) -> str | None:
        """The id of the invoice item behind the line, prorations included."""
        details = self._details()
        return id_of(details.invoice_item if details and details.invoice_item else self.invoice_item_ref)

    @property
    def proration(self) -> bool | None:
        """Whether the line is a proration."""
        details = self._details()
        return details.proration if details and details.proration is not None else self.proration_told

    @property
    def gives_back(self) -> bool:
        """Whether it is a proration that gives back what other lines billed, which may have been nothing."""
        details = self._details()
        about = details.proration_details if details and details.proration_details else self.proration_details
        return bool(self.proration) and ((self.amount or 0) < 0 or bool(about and about.credited_items))

    @property
    def type(self) -> str | None:
        """subscription, or invoiceitem where an invoice item stands behind the line (every proration has one)."""
        details = self._details()
        if self.type_told is not None or details is None:
            return self.type_told
        return "invoiceitem" if details.invoice_item else "subscription"

    @property
    def inclusive_taxes(self) -> list[TaxAmount]:
        """The taxes that the line's amount includes, as far as they are told."""
        told = self.taxes if self.taxes is not None else self.tax_amounts
        return [tax for tax in told or () if tax.inclusive or tax.tax_behavior == "inclusive"]

    @property
    def tax_amount(self) -> int | None:
        """All tax of the line, inclusive and exclusive."""
        return total(self.taxes if self.taxes is not None else self.tax_amounts)

    @property
    def inclusive_tax(self) -> int | None:
        """The tax that the line's amount includes; None when its taxes were not told."""
        told = self.taxes if self.taxes is not None else self.tax_amounts
        return None if told is None else sum(tax.included for tax in told)

    @property
    def discount_amount(self) -> int | None:
        """All discounts of the line."""
        return total(self.discount_amounts)

    @property
    def granted(self) -> int:
        """What credit grants paid of the line, before tax."""
        taken = self.pretax_credit_amounts or ()
        return sum(one.amount or 0 for one in taken if one.type == "credit_balance_transaction")

    def _details(self) -> LineDetails | None:
        return self.parent.details() if self.parent else None


class InvoiceItem(Charged):
    """Stripe's `invoiceitem`; amounts in minor units of `currency`."""

    customer_ref: str | Ref | None = field(default=None, name="customer")
    invoice_ref: str | Ref | None = field(default=None, name="invoice")
    subscription_ref: str | Ref | None = field(default=None, name="subscription")
    subscription_item_ref: str | Ref | None = field(default=None, name="subscription_item")
    parent: Parent | None = None
    date: Seconds | None = None
    proration: bool | None = None
    test_clock_ref: str | Ref | None = field(default=None, name="test_clock")
    metadata: Metadata | None = None

    customer = IdOf("customer_ref")
    invoice = IdOf("invoice_ref")
    test_clock = IdOf("test_clock_ref")

    @property
    def subscription(self) -> str | None:
        """The id of its subscription: top level before 2025-03-31.basil, then in `parent.subscription_details`."""
        return subscription_behind(self.parent, self.subscription_ref)

    @property
    def subscription_item(self) -> str | None:
        """The id of its subscription item, likewise."""
        details = self.parent.subscription_details if self.parent else None
        return id_of(details.subscription_item if details and details.subscription_item else self.subscription_item_ref)
