"""Who buys: customers."""

from tidegate.stripe_api.resources.resource import EACH_TEST_CLOCK, Column, Resource
from tidegate.stripe_api.shapes.customers import Customer

CUSTOMERS = Resource(
    name="customers",
    object="customer",
    shape=Customer,
    path="/v1/customers",
    permission="rak_customer_read",
    variants=({}, {"test_clock": EACH_TEST_CLOCK}),
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
        Column("coupons", "text[]", refers_to="coupons", indexed=True),
        Column("test_clock", refers_to="test_helpers/test_clocks"),
        Column("livemode", "boolean"),
    ),
)
