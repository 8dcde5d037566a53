"""Shapes of what is sold: products, prices and the plans they were once, coupons, promotion codes, tax rates."""

from msgspec import field

from tidegate.stripe_api.shapes.base import IdOf, Part, Ref, Seconds, Shape, Whole, id_of

Metadata = dict[str, str]


class Product(Shape):
    """Stripe's `product`."""

    name: str | None = None
    active: bool | None = None
    description: str | None = None
    type: str | None = None
    unit_label: str | None = None
    tax_code_ref: str | Ref | None = field(default=None, name="tax_code")
    default_price_ref: str | Ref | None = field(default=None, name="default_price")
    metadata: Metadata | None = None

    tax_code = IdOf("tax_code_ref")
    default_price = IdOf("default_price_ref")


class Recurring(Part):
    """How a price recurs: every `interval_count` of `interval` (day, week, month, year)."""

    interval: str | None = None
    interval_count: Whole | None = None
    usage_type: str | None = None
    aggregate_usage: str | None = None
    meter: str | None = None
    trial_period_days: Whole | None = None


class Tier(Part):
    """One tier; amounts in minor units, the `_decimal` ones exact; `up_to` None is the last tier."""

    up_to: Whole | None = None
    unit_amount: Whole | None = None
    unit_amount_decimal: str | None = None
    flat_amount: Whole | None = None
    flat_amount_decimal: str | None = None


class TransformQuantity(Part):
    """Division of the quantity before pricing; `round` is up or down."""

    divide_by: Whole | None = None
    round: str | None = None


class CurrencyOption(Part):
    """The price in another currency; amounts in its minor units."""

    unit_amount: Whole | None = None
    unit_amount_decimal: str | None = None
    tax_behavior: str | None = None
    tiers: list[Tier] | None = None


class Price(Shape):
    """Stripe's `price`; amounts in minor units of `currency`. `tiers` and `currency_options` only when expanded."""

    product_ref: str | Ref | None = field(default=None, name="product")
    active: bool | None = None
    currency: str | None = None
    type: str | None = None
    billing_scheme: str | None = None
    unit_amount: Whole | None = None
    unit_amount_exact: str | None = field(default=None, name="unit_amount_decimal")
    recurring: Recurring | None = None
    tiers_mode: str | None = None
    tiers: list[Tier] | None = None
    transform_quantity: TransformQuantity | None = None
    currency_options: dict[str, CurrencyOption] | None = None
    lookup_key: str | None = None
    nickname: str | None = None
    tax_behavior: str | None = None
    metadata: Metadata | None = None

    product = IdOf("product_ref")

    @property
    def unit_amount_decimal(self) -> str | None:
        """The exact unit amount in minor units; None for tiered prices."""
        return _exact(self.unit_amount_exact, self.unit_amount)

    @property
    def interval(self) -> str | None:
        """day, week, month or year; None for one-time prices."""
        return self.recurring.interval if self.recurring else None

    @property
    def interval_count(self) -> int | None:
        """How many intervals a period has."""
        return self.recurring.interval_count if self.recurring else None

    @property
    def usage_type(self) -> str | None:
        """licensed or metered; None for one-time prices."""
        return self.recurring.usage_type if self.recurring else None

    @property
    def meter(self) -> str | None:
        """The id of the billing meter of a metered price."""
        return self.recurring.meter if self.recurring else None


class Plan(Shape):
    """Stripe's `plan`, the price of API versions before 2020-08-27; it carries the same id as the price."""

    product_ref: str | Ref | None = field(default=None, name="product")
    active: bool | None = None
    currency: str | None = None
    billing_scheme: str | None = None
    amount: Whole | None = None
    amount_decimal: str | None = None
    interval: str | None = None
    interval_count: Whole | None = None
    usage_type: str | None = None
    aggregate_usage: str | None = None
    meter: str | None = None
    tiers_mode: str | None = None
    tiers: list[Tier] | None = None
    transform_usage: TransformQuantity | None = None
    trial_period_days: Whole | None = None
    nickname: str | None = None
    name: str | None = None
    metadata: Metadata | None = None

    product = IdOf("product_ref")

    def as_price(self) -> Price:
        """The price that this plan is."""
        return Price(
            id=self.id,
            object="price",
            created=self.created,
            livemode=self.livemode,
            product_ref=self.product,
            active=self.active,
            currency=self.currency,
            type="recurring",
            billing_scheme=self.billing_scheme,
            unit_amount=self.amount,
            unit_amount_exact=self.amount_decimal,
            recurring=Recurring(
                interval=self.interval,
                interval_count=self.interval_count,
                usage_type=self.usage_type,
                aggregate_usage=self.aggregate_usage,
                meter=self.meter,
                trial_period_days=self.trial_period_days,
            ),
            tiers_mode=self.tiers_mode,
            tiers=self.tiers,
            transform_quantity=self.transform_usage,
            nickname=self.nickname or self.name,
            metadata=self.metadata,
        )


def embedded_price(price: str | Price | None, plan: str | Plan | None) -> Price | None:
    """The price that an object carries: as `price`, as the older `plan`, or as an id alone; None: it names none."""
    if price is not None:
        return Price(id=price) if isinstance(price, str) else price
    if plan is not None:
        return Price(id=plan) if isinstance(plan, str) else plan.as_price()
    return None


def _exact(exact: str | None, whole: int | None) -> str | None:
    return exact if exact is not None or whole is None else str(whole)


class AppliesTo(Part):
    """The products a coupon is limited to."""

    products: list[str] | None = None


class CouponOption(Part):
    """What a coupon takes off in another currency, in its minor units."""

    amount_off: Whole | None = None


class Coupon(Shape):
    """Stripe's `coupon`; `amount_off` in minor units of `currency`.

    `applies_to` and `currency_options` are told only when expanded.
    """

    name: str | None = None
    duration: str | None = None
    duration_in_months: Whole | None = None
    amount_off: Whole | None = None
    currency: str | None = None
    percent: float | None = field(default=None, name="percent_off")
    currency_options: dict[str, CouponOption] | None = None
    applies_to: AppliesTo | None = None
    valid: bool | None = None
    redeem_by: Seconds | None = None
    max_redemptions: Whole | None = None
    times_redeemed: Whole | None = None
    metadata: Metadata | None = None

    @property
    def percent_off(self) -> str | None:
        """Per cent as a shortest decimal, e.g. "25.5"."""
        return decimal(self.percent)

    @property
    def products(self) -> list[str]:
        """Ids of the products the coupon is limited to; empty: all, or not expanded."""
        return (self.applies_to.products or []) if self.applies_to else []


def decimal(number: float | None) -> str | None:
    """A JSON number as a shortest decimal without exponent: 25.0 is "25"."""
    if number is None:
        return None
    text = f"{number:.12f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


class Promotion(Part):
    """What a promotion code gives (`promotion`, since 2025-09-30.clover)."""

    type: str | None = None
    coupon: str | Coupon | None = None


class PromotionCode(Shape):
    """Stripe's `promotion_code`; the coupon moved from `coupon` to `promotion.coupon` in 2025-09-30.clover."""

    code: str | None = None
    active: bool | None = None
    promotion: Promotion | None = None
    coupon_embedded: str | Coupon | None = field(default=None, name="coupon")
    customer_ref: str | Ref | None = field(default=None, name="customer")
    expires_at: Seconds | None = None
    max_redemptions: Whole | None = None
    times_redeemed: Whole | None = None

    customer = IdOf("customer_ref")

    @property
    def coupon(self) -> str | None:
        """The id of the coupon."""
        return id_of(self.promotion.coupon if self.promotion and self.promotion.coupon else self.coupon_embedded)


class TaxRate(Shape):
    """Stripe's `tax_rate`."""

    display_name: str | None = None
    active: bool | None = None
    inclusive: bool | None = None
    percent: float | None = field(default=None, name="percentage")
    effective_percent: float | None = field(default=None, name="effective_percentage")
    country: str | None = None
    state: str | None = None
    jurisdiction: str | None = None
    tax_type: str | None = None

    @property
    def percentage(self) -> str | None:
        """Per cent as a shortest decimal, e.g. "19"."""
        return decimal(self.percent)
