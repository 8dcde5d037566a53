"""What keeps simulated time in test mode: test clocks."""

from tidegate.stripe_api.resources.resource import Column, Resource
from tidegate.stripe_api.shapes.test_clocks import TestClock

TEST_CLOCKS = Resource(
    name="test_helpers/test_clocks",
    object="test_helpers.test_clock",
    shape=TestClock,
    path="/v1/test_helpers/test_clocks",
    permission="rak_billing_clock_read",
    created_filter=False,
    test_mode_only=True,
    deleted_by=frozenset({"test_helpers.test_clock.deleted"}),
    columns=(
        Column("name"),
        Column("status"),
        Column("frozen_time", "timestamptz"),
        Column("deletes_after", "timestamptz"),
        Column("livemode", "boolean"),
    ),
)
