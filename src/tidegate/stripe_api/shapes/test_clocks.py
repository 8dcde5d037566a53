"""The shape of a test clock."""

from tidegate.stripe_api.shapes.base import Seconds, Shape


class TestClock(Shape):
    """Stripe's `test_helpers.test_clock`; what is on it lives at `frozen_time`."""

    __test__ = False  # no class of tests, whatever its name

    name: str | None = None
    status: str | None = None
    frozen_time: Seconds | None = None
    deletes_after: Seconds | None = None
