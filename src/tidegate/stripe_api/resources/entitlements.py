"""What Stripe itself says may be used: entitlement features and the products they are attached to."""

from tidegate.stripe_api.resources.resource import Column, Resource
from tidegate.stripe_api.shapes.entitlements import Feature, ProductFeature

ENTITLEMENT_FEATURES = Resource(
    name="entitlements/features",
    object="entitlements.feature",
    shape=Feature,
    path="/v1/entitlements/features",
    permission="rak_entitlement_read",
    created_filter=False,
    columns=(
        Column("lookup_key"),
        Column("name"),
        Column("active", "boolean"),
        Column("livemode", "boolean"),
    ),
)

PRODUCT_FEATURES = Resource(
    name="product_features",
    object="product_feature",
    shape=ProductFeature,
    path="/v1/products/{parent}/features",
    permission="rak_product_read",
    created_filter=False,
    per_parent="products",
    parent_field="product",
    columns=(
        Column("product", refers_to="products", indexed=True),
        Column("feature", refers_to="entitlements/features"),
        Column("lookup_key"),
        Column("livemode", "boolean"),
    ),
)
