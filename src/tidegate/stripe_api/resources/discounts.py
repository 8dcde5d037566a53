"""What is taken off: discounts, which Stripe lists nowhere: told by event, and read where others hold them whole."""

from tidegate.stripe_api.resources.resource import Column, Resource
from tidegate.stripe_api.shapes.discounts import Discount

DISCOUNTS = Resource(
    name="discounts",
    object="discount",
    shape=Discount,
    created_filter=False,
    stands_in=("customers", "subscriptions", "invoices"),
    deleted_by=frozenset({"customer.discount.deleted"}),
    versions=True,
    columns=(
        Column("customer", refers_to="customers", indexed=True),
        Column("subscription", refers_to="subscriptions", indexed=True),
        Column("subscription_item"),
        Column("invoice", refers_to="invoices"),
        Column("invoice_item"),
        Column("coupon", refers_to="coupons", indexed=True),
        Column("promotion_code"),
        Column("starts_at", "timestamptz"),
        Column("ends_at", "timestamptz"),
    ),
)
