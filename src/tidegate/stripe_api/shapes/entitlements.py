"""Shapes of Stripe's own entitlement features and of the products they are attached to."""

from tidegate.stripe_api.shapes.base import Shape
from tidegate.stripe_api.shapes.catalog import Metadata


class Feature(Shape):
    """Stripe's `entitlements.feature`."""

    lookup_key: str | None = None
    name: str | None = None
    active: bool | None = None
    metadata: Metadata | None = None


class ProductFeature(Shape):
    """Stripe's `product_feature`. `product` is not in Stripe's body: whoever lists by product adds it."""

    product: str | None = None
    entitlement_feature: str | Feature | None = None

    @property
    def feature(self) -> str | None:
        """The id of the feature."""
        told = self.entitlement_feature
        return told.id if isinstance(told, Feature) else told

    @property
    def lookup_key(self) -> str | None:
        """The feature's own key."""
        return self.entitlement_feature.lookup_key if isinstance(self.entitlement_feature, Feature) else None
