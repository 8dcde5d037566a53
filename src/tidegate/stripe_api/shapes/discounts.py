"""The shape of a discount, wherever it hangs, and the coupons that an object's discounts name."""

from collections.abc import Sequence

from msgspec import field

from tidegate.stripe_api.shapes.base import IdOf, Part, Ref, Seconds, Shape, id_of
from tidegate.stripe_api.shapes.catalog import Coupon


class DiscountSource(Part):
    """Where a discount comes from (since 2025-09-30.clover)."""

    type: str | None = None
    coupon: str | Coupon | None = None


class Discount(Shape):
    """Stripe's `discount`; its coupon moved from `coupon` to `source.coupon` in 2025-09-30.clover.

    `starts_at` and `ends_at` are Stripe's `start` and `end`, epoch seconds.
    """

    source: DiscountSource | None = None
    coupon_embedded: str | Coupon | None = field(default=None, name="coupon")
    customer_ref: str | Ref | None = field(default=None, name="customer")
    promotion_code_ref: str | Ref | None = field(default=None, name="promotion_code")
    subscription_ref: str | Ref | None = field(default=None, name="subscription")
    subscription_item: str | None = None
    invoice: str | None = None
    invoice_item: str | None = None
    starts_at: Seconds | None = field(default=None, name="start")
    ends_at: Seconds | None = field(default=None, name="end")

    customer = IdOf("customer_ref")
    promotion_code = IdOf("promotion_code_ref")
    subscription = IdOf("subscription_ref")

    @property
    def identity(self) -> str | None:
        """The id; old discounts had none, and a subscription or customer one at most: then its owner's id."""
        return self.id or self.subscription or self.customer

    @property
    def terms(self) -> Coupon | None:
        """The coupon where the discount carries it whole."""
        told = self.source.coupon if self.source and self.source.coupon else self.coupon_embedded
        return told if isinstance(told, Coupon) else None

    @property
    def coupon(self) -> str | None:
        """The id of the coupon."""
        return id_of(self.source.coupon if self.source and self.source.coupon else self.coupon_embedded)


Discounts = list[str | Discount]


def expanded(discounts: Sequence[str | Discount] | None, single: str | Discount | None = None) -> list[Discount]:
    """The discounts of an object that were sent whole, in their order; the older single `discount` counts if alone."""
    if discounts:
        return [each for each in discounts if isinstance(each, Discount)]
    return [single] if isinstance(single, Discount) else []


def coupons(discounts: Sequence[str | Discount] | None, single: str | Discount | None = None) -> list[str]:
    """Ids of the coupons behind an object's discounts; a discount that came as an id alone names none."""
    if not discounts and single is None:
        return []
    return [coupon for each in expanded(discounts, single) if (coupon := each.coupon) is not None]
