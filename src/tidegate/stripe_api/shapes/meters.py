"""The shape of a billing meter."""

from tidegate.stripe_api.shapes.base import Part, Seconds, Shape


class CustomerMapping(Part):
    """Which key of an event's payload names the customer."""

    event_payload_key: str | None = None
    type: str | None = None


class ValueSettings(Part):
    """Which key of an event's payload holds the value."""

    event_payload_key: str | None = None


class Aggregation(Part):
    """How events add up."""

    formula: str | None = None


class Meter(Shape):
    """Stripe's `billing.meter`."""

    display_name: str | None = None
    event_name: str | None = None
    event_time_window: str | None = None
    status: str | None = None
    updated: Seconds | None = None
    customer_mapping: CustomerMapping | None = None
    value_settings: ValueSettings | None = None
    default_aggregation: Aggregation | None = None

    @property
    def customer_key(self) -> str | None:
        """The key of an event's payload that names the customer."""
        return self.customer_mapping.event_payload_key if self.customer_mapping else None

    @property
    def value_key(self) -> str | None:
        """The key of an event's payload that holds the value."""
        return self.value_settings.event_payload_key if self.value_settings else None

    @property
    def formula(self) -> str | None:
        """sum, count or last."""
        return self.default_aggregation.formula if self.default_aggregation else None
