"""Shapes of subscriptions and their items."""

from collections.abc import Iterator

import msgspec
from msgspec import field

from tidegate.stripe_api.shapes.base import IdOf, Listing, Part, Ref, Seconds, Shape, Whole, id_of
from tidegate.stripe_api.shapes.catalog import Metadata, Plan, Price, TaxRate, embedded_price
from tidegate.stripe_api.shapes.discounts import Discount, Discounts, coupons


class CurrentTrial(Part):
    """An item's own trial (a trial offer), epoch seconds."""

    start_date: Seconds | None = None
    end_date: Seconds | None = None
    trial_offer: str | Ref | None = None


class SubscriptionItem(Shape):
    """Stripe's `subscription_item`; its periods exist since 2025-03-31.basil, before the subscription had them."""

    subscription_ref: str | Ref | None = field(default=None, name="subscription")
    price_embedded: str | Price | None = field(default=None, name="price")
    plan: str | Plan | None = None
    quantity: Whole | None = None
    current_period_start: Seconds | None = None
    current_period_end: Seconds | None = None
    billed_until: Seconds | None = None
    current_trial: CurrentTrial | None = None
    discounts: Discounts | None = None
    tax_rates: list[str | TaxRate] | None = None
    metadata: Metadata | None = None

    subscription = IdOf("subscription_ref")

    @property
    def terms(self) -> Price | None:
        """The price as the item carries it, without tiers; from the plan where an old version has no price."""
        return embedded_price(self.price_embedded, self.plan)

    @property
    def price(self) -> str | None:
        """The id of the price (or plan, which is the same id)."""
        return id_of(self.price_embedded if self.price_embedded is not None else self.plan)

    @property
    def product(self) -> str | None:
        """The id of the price's product."""
        terms = self.terms
        return terms.product if terms else None

    @property
    def currency(self) -> str | None:
        """The price's default currency; the subscription's may be another one of its `currency_options`."""
        terms = self.terms
        return terms.currency if terms else None

    @property
    def unit_amount(self) -> int | None:
        """The price's unit amount in minor units; None where it is tiered or a fraction."""
        terms = self.terms
        return terms.unit_amount if terms else None

    @property
    def interval(self) -> str | None:
        """The price's interval."""
        terms = self.terms
        return terms.interval if terms else None

    @property
    def interval_count(self) -> int | None:
        """How many intervals a period has."""
        terms = self.terms
        return terms.interval_count if terms else None

    @property
    def usage_type(self) -> str | None:
        """licensed or metered."""
        terms = self.terms
        return terms.usage_type if terms else None

    @property
    def coupons(self) -> list[str]:
        """Ids of the coupons of the item's own discounts."""
        return coupons(self.discounts)


class Currency(Part):
    """Only the currency of a price or plan."""

    currency: str | None = None


class ItemGlance(Part):
    """Only what a subscription needs of its items."""

    current_period_start: Seconds | None = None
    current_period_end: Seconds | None = None
    price: str | Currency | None = None
    plan: str | Currency | None = None

    @property
    def currency(self) -> str | None:
        """The currency of the item's price or plan."""
        told = self.price if self.price is not None else self.plan
        return told.currency if isinstance(told, Currency) else None


class CancellationDetails(Part):
    """Why a subscription was canceled."""

    reason: str | None = None
    feedback: str | None = None
    comment: str | None = None


class PauseCollection(Part):
    """Payment collection paused: keep_as_draft, mark_uncollectible or void."""

    behavior: str | None = None
    resumes_at: Seconds | None = None


class PendingUpdate(Part):
    """Changes that wait for their payment."""

    expires_at: Seconds | None = None
    billing_cycle_anchor: Seconds | None = None
    trial_end: Seconds | None = None
    subscription_items: list[SubscriptionItem] | None = None


_glance = msgspec.json.Decoder(ItemGlance).decode


class Subscription(Shape):
    """Stripe's `subscription`; times are epoch seconds."""

    customer_ref: str | Ref | None = field(default=None, name="customer")
    status: str | None = None
    collection_method: str | None = None
    billing: str | None = None
    currency_told: str | None = field(default=None, name="currency")
    start_date_told: Seconds | None = field(default=None, name="start_date")
    start: Seconds | None = None
    billing_cycle_anchor: Seconds | None = None
    period_start: Seconds | None = field(default=None, name="current_period_start")
    period_end: Seconds | None = field(default=None, name="current_period_end")
    trial_start: Seconds | None = None
    trial_end: Seconds | None = None
    cancel_at: Seconds | None = None
    cancel_at_period_end: bool | None = None
    canceled_at: Seconds | None = None
    ended_at: Seconds | None = None
    days_until_due: Whole | None = None
    cancellation_details: CancellationDetails | None = None
    pause_collection: PauseCollection | None = None
    pending_update: PendingUpdate | None = None
    items: Listing | None = None
    plan: str | Plan | None = None
    quantity: Whole | None = None
    discount: str | Discount | None = None
    discounts: Discounts | None = None
    default_tax_rates: list[str | TaxRate] | None = None
    latest_invoice_ref: str | Ref | None = field(default=None, name="latest_invoice")
    schedule_ref: str | Ref | None = field(default=None, name="schedule")
    default_payment_method_ref: str | Ref | None = field(default=None, name="default_payment_method")
    default_source_ref: str | Ref | None = field(default=None, name="default_source")
    test_clock_ref: str | Ref | None = field(default=None, name="test_clock")
    description: str | None = None
    metadata: Metadata | None = None

    customer = IdOf("customer_ref")
    latest_invoice = IdOf("latest_invoice_ref")
    schedule = IdOf("schedule_ref")
    default_payment_method = IdOf("default_payment_method_ref")
    default_source = IdOf("default_source_ref")
    test_clock = IdOf("test_clock_ref")

    @property
    def current_period_start(self) -> int | None:
        """The subscription's own (before 2025-03-31.basil), else the earliest start over its items."""
        if self.period_start is not None:
            return self.period_start
        return min(
            (start for item in self._glances() if (start := item.current_period_start) is not None), default=None
        )

    @property
    def current_period_end(self) -> int | None:
        """The subscription's own (before 2025-03-31.basil), else the earliest end over its items: the next renewal."""
        if self.period_end is not None:
            return self.period_end
        return min((end for item in self._glances() if (end := item.current_period_end) is not None), default=None)

    @property
    def start_date(self) -> int | None:
        """When it started (`start` before 2018-07-27)."""
        return self.start_date_told if self.start_date_told is not None else self.start

    @property
    def trial(self) -> tuple[int, int] | None:
        """When its last trial began and ended, or will end, epoch seconds; None: none, or not all is told."""
        return None if self.trial_start is None or self.trial_end is None else (self.trial_start, self.trial_end)

    @property
    def currency(self) -> str | None:
        """Its currency; before 2022-08-01 it was told only by the prices or plans, all of one currency."""
        if self.currency_told is not None:
            return self.currency_told
        if isinstance(self.plan, Plan):
            return self.plan.currency
        return next((currency for item in self._glances() if (currency := item.currency) is not None), None)

    @property
    def cancellation_reason(self) -> str | None:
        """Why it was canceled, in Stripe's words (cancellation_requested, payment_failed, ...)."""
        return self.cancellation_details.reason if self.cancellation_details else None

    @property
    def cancellation_feedback(self) -> str | None:
        """Why it was canceled, as the customer chose (too_expensive, unused, ...)."""
        return self.cancellation_details.feedback if self.cancellation_details else None

    @property
    def pause_behavior(self) -> str | None:
        """keep_as_draft, mark_uncollectible or void; None: collection is not paused."""
        return self.pause_collection.behavior if self.pause_collection else None

    @property
    def pause_resumes_at(self) -> int | None:
        """When collection resumes; None: not paused, or without end."""
        return self.pause_collection.resumes_at if self.pause_collection else None

    @property
    def coupons(self) -> list[str]:
        """Ids of the coupons of its discounts (not its items')."""
        return coupons(self.discounts, self.discount)

    def _glances(self) -> Iterator[ItemGlance]:
        """What fits of its items; an unfit one is left to the item's own row, which says what is wrong."""
        for raw in (self.items.data if self.items else None) or ():
            try:
                yield _glance(raw)
            except msgspec.MsgspecError:
                continue
