"""What counts usage: billing meters. Their events are told to Stripe and listed nowhere."""

from tidegate.stripe_api.resources.resource import Column, Resource
from tidegate.stripe_api.shapes.meters import Meter

METERS = Resource(
    name="billing/meters",
    object="billing.meter",
    shape=Meter,
    path="/v1/billing/meters",
    permission="rak_billing_meter_read",
    created_filter=False,
    columns=(
        Column("event_name", indexed=True),
        Column("display_name"),
        Column("status"),
        Column("formula"),
        Column("event_time_window"),
        Column("customer_key"),
        Column("value_key"),
        Column("livemode", "boolean"),
    ),
)
