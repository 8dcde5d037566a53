"""What is sold: products, prices, coupons, promotion codes, tax rates, entitlement features."""

from tidegate.stripe_api.resources.resource import Column, Resource
from tidegate.stripe_api.shapes.catalog import Coupon, Price, Product, PromotionCode, TaxRate

ACTIVE_AND_ARCHIVED = ({"active": "true"}, {"active": "false"})

PRODUCTS = Resource(
    name="products",
    object="product",
    shape=Product,
    path="/v1/products",
    permission="rak_product_read",
    variants=ACTIVE_AND_ARCHIVED,
    deleted_by=frozenset({"product.deleted"}),
    reusable_id=True,
    shared=("name",),
    columns=(
        Column("name"),
        Column("active", "boolean"),
        Column("description"),
        Column("type"),
        Column("unit_label"),
        Column("tax_code"),
        Column("default_price"),
        Column("livemode", "boolean"),
    ),
)

# The list hides inline prices; those that items and lines name are fetched one by one (semantics: Completeness).
PRICES = Resource(
    name="prices",
    object="price",
    shape=Price,
    path="/v1/prices",
    permission="rak_plan_read",
    variants=ACTIVE_AND_ARCHIVED,
    expand=("tiers", "currency_options"),
    deleted_by=frozenset({"price.deleted"}),
    # A plan, whose id may be chosen, is a price of the same id (docs.stripe.com/api/plans/create).
    reusable_id=True,
    versions=True,
    shared=(
        *("product", "currency", "billing_scheme", "unit_amount", "unit_amount_decimal", "recurring", "tiers"),
        *("tiers_mode", "transform_quantity", "currency_options", "tax_behavior"),
    ),
    refetch=True,
    columns=(
        Column("product", refers_to="products", indexed=True),
        Column("active", "boolean"),
        Column("currency"),
        Column("type"),
        Column("billing_scheme"),
        Column("unit_amount", "bigint"),
        Column("unit_amount_decimal"),
        Column("interval"),
        Column("interval_count", "bigint"),
        Column("usage_type"),
        Column("meter"),
        Column("tiers_mode"),
        Column("tax_behavior"),
        Column("lookup_key", indexed=True),
        Column("nickname"),
        Column("livemode", "boolean"),
    ),
)

COUPONS = Resource(
    name="coupons",
    object="coupon",
    shape=Coupon,
    path="/v1/coupons",
    permission="rak_coupon_read",
    expand=("applies_to", "currency_options"),
    deleted_by=frozenset({"coupon.deleted"}),
    reusable_id=True,
    shared=(
        *("duration", "duration_in_months", "percent_off", "amount_off", "currency", "currency_options"),
        "applies_to",
    ),
    refetch=True,
    columns=(
        Column("name"),
        Column("duration"),
        Column("duration_in_months", "bigint"),
        Column("percent_off"),
        Column("amount_off", "bigint"),
        Column("currency"),
        Column("valid", "boolean"),
        Column("redeem_by", "timestamptz"),
        Column("max_redemptions", "bigint"),
        Column("times_redeemed", "bigint"),
        Column("products", "text[]", refers_to="products"),
        Column("livemode", "boolean"),
    ),
)

PROMOTION_CODES = Resource(
    name="promotion_codes",
    object="promotion_code",
    shape=PromotionCode,
    path="/v1/promotion_codes",
    permission="rak_promotion_code_read",
    columns=(
        Column("code"),
        Column("active", "boolean"),
        Column("coupon", refers_to="coupons"),
        Column("customer", refers_to="customers"),
        Column("expires_at", "timestamptz"),
        Column("max_redemptions", "bigint"),
        Column("times_redeemed", "bigint"),
        Column("livemode", "boolean"),
    ),
)

TAX_RATES = Resource(
    name="tax_rates",
    object="tax_rate",
    shape=TaxRate,
    path="/v1/tax_rates",
    permission="rak_tax_rate_read",
    shared=("inclusive", "percentage", "effective_percentage"),
    columns=(
        Column("display_name"),
        Column("active", "boolean"),
        Column("inclusive", "boolean"),
        Column("percentage"),
        Column("country"),
        Column("state"),
        Column("jurisdiction"),
        Column("tax_type"),
        Column("livemode", "boolean"),
    ),
)
