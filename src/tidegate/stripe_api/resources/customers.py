"""Who buys: customers."""

from tidegate.stripe_api.resources.resource import Column, Resource
from tidegate.stripe_api.shapes.customers import Customer

CUSTOMERS = Resource(
    name="customers",
    object="customer",
    shape=Customer,
    path="/v1/customers",
    permission="rak_customer_read",
    deleted_by=frozenset({"customer.deleted"}),
    columns=(
        Column("email", indexed=True),
        Column("name"),
        Column("phone"),
        Column("description"),
        Column("country"),
        Column("currency"),
        Column("balance", "bigint"),
        Column("delinquent", "boolean"),
        Column("tax_exempt"),
        Column("default_payment_method"),
        Column("default_source"),
        Column("coupons", "text[]", refers_to="coupons"),
        Column("test_clock"),
        Column("livemode", "boolean"),
    ),
)
