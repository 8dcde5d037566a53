"""The shape of a customer."""

from msgspec import field

from tidegate.stripe_api.shapes.base import IdOf, Part, Ref, Shape, Whole
from tidegate.stripe_api.shapes.catalog import Metadata
from tidegate.stripe_api.shapes.discounts import Discount, coupons


class Address(Part):
    """A postal address; `country` is ISO 3166-1 alpha-2 as a rule."""

    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country_code: str | None = field(default=None, name="country")


class InvoiceSettings(Part):
    """Defaults of a customer's invoices."""

    default_payment_method: str | Ref | None = None


class Customer(Shape):
    """Stripe's `customer`; `balance` in minor units of `currency`, negative is credit."""

    email: str | None = None
    name: str | None = None
    phone: str | None = None
    description: str | None = None
    currency: str | None = None
    balance_now: Whole | None = field(default=None, name="balance")
    account_balance: Whole | None = None
    delinquent: bool | None = None
    address: Address | None = None
    tax_exempt: str | None = None
    invoice_settings: InvoiceSettings | None = None
    default_source_ref: str | Ref | None = field(default=None, name="default_source")
    discount: Discount | None = None
    test_clock_ref: str | Ref | None = field(default=None, name="test_clock")
    metadata: Metadata | None = None

    default_source = IdOf("default_source_ref")
    test_clock = IdOf("test_clock_ref")

    @property
    def balance(self) -> int | None:
        """The balance in minor units (`account_balance` before 2019-10-17)."""
        return self.balance_now if self.balance_now is not None else self.account_balance

    @property
    def country(self) -> str | None:
        """The country of the address."""
        return self.address.country_code if self.address else None

    @property
    def default_payment_method(self) -> str | None:
        """The id of the payment method that invoices take by default."""
        method = self.invoice_settings.default_payment_method if self.invoice_settings else None
        return method.id if isinstance(method, Ref) else method

    @property
    def coupons(self) -> list[str]:
        """The id of the coupon of the customer's own discount, if any."""
        return coupons(None, self.discount)
