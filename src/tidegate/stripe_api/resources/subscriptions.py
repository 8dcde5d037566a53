"""What is subscribed to: subscriptions, their items, their schedules."""

from tidegate.stripe_api.resources.resource import EACH_TEST_CLOCK, Column, Nested, Resource
from tidegate.stripe_api.shapes.schedules import SubscriptionSchedule
from tidegate.stripe_api.shapes.subscriptions import Subscription, SubscriptionItem

SUBSCRIPTION_ITEMS = Resource(
    name="subscription_items",
    object="subscription_item",
    shape=SubscriptionItem,
    created_filter=False,
    parent="subscription",
    columns=(
        Column("subscription"),
        Column("price", refers_to="prices", indexed=True),
        Column("product", refers_to="products", indexed=True),
        Column("quantity", "bigint"),
        Column("currency"),
        Column("unit_amount", "bigint"),
        Column("interval"),
        Column("interval_count", "bigint"),
        Column("usage_type"),
        Column("current_period_start", "timestamptz"),
        Column("current_period_end", "timestamptz"),
        Column("billed_until", "timestamptz"),
        Column("coupons", "text[]", refers_to="coupons", indexed=True),
    ),
)

# `customer.subscription.deleted` is a cancellation, no deletion: a subscription is never deleted in Stripe.
SUBSCRIPTIONS = Resource(
    name="subscriptions",
    object="subscription",
    shape=Subscription,
    path="/v1/subscriptions",
    permission="rak_subscription_read",
    variants=({"status": "all"}, {"status": "all", "test_clock": EACH_TEST_CLOCK}),
    expand=("discounts", "items.data.discounts"),
    nested=(
        Nested(
            "items",
            SUBSCRIPTION_ITEMS.name,
            "/v1/subscription_items",
            {"subscription": "{id}", "expand[0]": "data.discounts"},
        ),
    ),
    versions=True,
    columns=(
        Column("customer", refers_to="customers", indexed=True),
        Column("status"),
        Column("currency"),
        Column("collection_method"),
        Column("start_date", "timestamptz"),
        Column("billing_cycle_anchor", "timestamptz"),
        Column("current_period_start", "timestamptz"),
        Column("current_period_end", "timestamptz"),
        Column("trial_start", "timestamptz"),
        Column("trial_end", "timestamptz"),
        Column("cancel_at", "timestamptz"),
        Column("cancel_at_period_end", "boolean"),
        Column("canceled_at", "timestamptz"),
        Column("ended_at", "timestamptz"),
        Column("cancellation_reason"),
        Column("cancellation_feedback"),
        Column("pause_behavior"),
        Column("pause_resumes_at", "timestamptz"),
        Column("days_until_due", "bigint"),
        Column("latest_invoice"),
        Column("schedule"),
        Column("default_payment_method"),
        Column("default_source"),
        Column("coupons", "text[]", refers_to="coupons", indexed=True),
        Column("test_clock", refers_to="test_helpers/test_clocks"),
        Column("livemode", "boolean"),
    ),
)

SUBSCRIPTION_SCHEDULES = Resource(
    name="subscription_schedules",
    object="subscription_schedule",
    shape=SubscriptionSchedule,
    path="/v1/subscription_schedules",
    permission="rak_subscription_read",
    columns=(
        Column("customer", refers_to="customers", indexed=True),
        Column("subscription", refers_to="subscriptions"),
        Column("released_subscription", refers_to="subscriptions"),
        Column("status"),
        Column("end_behavior"),
        Column("phase_start", "timestamptz"),
        Column("phase_end", "timestamptz"),
        Column("ends_at", "timestamptz"),
        Column("canceled_at", "timestamptz"),
        Column("completed_at", "timestamptz"),
        Column("released_at", "timestamptz"),
        Column("test_clock", refers_to="test_helpers/test_clocks"),
        Column("livemode", "boolean"),
    ),
)
