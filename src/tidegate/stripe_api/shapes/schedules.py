"""The shape of a subscription schedule."""

from msgspec import field

from tidegate.stripe_api.shapes.base import IdOf, Part, Ref, Seconds, Shape, Whole
from tidegate.stripe_api.shapes.catalog import Coupon, Plan, Price, TaxRate
from tidegate.stripe_api.shapes.discounts import Discount


class CurrentPhase(Part):
    """The schedule's phase of now, epoch seconds."""

    start_date: Seconds | None = None
    end_date: Seconds | None = None


class PhaseDiscount(Part):
    """A discount that a phase is to have: from a coupon or promotion code, or one that exists already."""

    coupon: str | Coupon | None = None
    discount: str | Discount | None = None
    promotion_code: str | Ref | None = None


class PhaseItem(Part):
    """An item of a phase."""

    price: str | Price | None = None
    plan: str | Plan | None = None
    quantity: Whole | None = None
    discounts: list[PhaseDiscount] | None = None
    tax_rates: list[str | TaxRate] | None = None


class Phase(Part):
    """A phase of a schedule, epoch seconds. `coupon` is the older, single discount."""

    start_date: Seconds | None = None
    end_date: Seconds | None = None
    trial_end: Seconds | None = None
    currency: str | None = None
    items: list[PhaseItem] | None = None
    coupon: str | Coupon | None = None
    discounts: list[PhaseDiscount] | None = None
    default_tax_rates: list[str | TaxRate] | None = None


class SubscriptionSchedule(Shape):
    """Stripe's `subscription_schedule`."""

    customer_ref: str | Ref | None = field(default=None, name="customer")
    subscription_ref: str | Ref | None = field(default=None, name="subscription")
    released_ref: str | Ref | None = field(default=None, name="released_subscription")
    status: str | None = None
    end_behavior: str | None = None
    current_phase: CurrentPhase | None = None
    phases: list[Phase] | None = None
    canceled_at: Seconds | None = None
    completed_at: Seconds | None = None
    released_at: Seconds | None = None
    test_clock_ref: str | Ref | None = field(default=None, name="test_clock")

    customer = IdOf("customer_ref")
    subscription = IdOf("subscription_ref")
    released_subscription = IdOf("released_ref")
    test_clock = IdOf("test_clock_ref")

    @property
    def phase_start(self) -> int | None:
        """Start of the current phase."""
        return self.current_phase.start_date if self.current_phase else None

    @property
    def phase_end(self) -> int | None:
        """End of the current phase."""
        return self.current_phase.end_date if self.current_phase else None

    @property
    def ends_at(self) -> int | None:
        """End of the last phase."""
        return self.phases[-1].end_date if self.phases else None
