"""A billing event: its names, its id, and amounts as analytics tools take them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.money import decimal as decimal

BILLED = "Subscription Billed"
REFUNDED = "Subscription Refunded"
UPGRADED = "Subscription Upgraded"
DOWNGRADED = "Subscription Downgraded"
CANCELED = "Subscription Canceled"
REACTIVATED = "Subscription Reactivated"
TRIAL_STARTED = "Trial Started"
TRIAL_CONVERTED = "Trial Converted"
PAYMENT_FAILED = "Payment Failed"
PURCHASE = "One-Time Purchase"

NAMES = (
    BILLED, REFUNDED, UPGRADED, DOWNGRADED, CANCELED, REACTIVATED, TRIAL_STARTED, TRIAL_CONVERTED, PAYMENT_FAILED,
    PURCHASE,
)  # fmt: skip

MONEY = frozenset({BILLED, REFUNDED, PURCHASE})
"""Events of money that moved: one that was recorded is never dropped, but reversed by another."""

PLAN_LEVEL = "Subscription Plan Level"

AMOUNTS = frozenset(
    {
        "Subscription Billing Amount", "Recurring Amount", "Proration Amount", "Usage Amount", "Amount Paid",
        "Subscription Refund Amount", "Purchase Amount", "Payment Amount", "Subscription MRR",
        "Subscription MRR Change",
    }
)  # fmt: skip
"""Properties that an event which reverses another has with the sign turned round."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it is derived. `id` is made of what it tells of, so that it is the same however often that is done.

    Times in epoch seconds: `at` is its date, `came_at` when it came about, which is later where an invoice is paid
    late. `amount` in minor units of `currency` (lower case); None: it has none. `details` are amounts in minor units
    and ids of Stripe's; `properties` what an analytics tool is sent, with amounts as decimals.
    """

    id: str
    name: str
    at: int
    came_at: int
    customer: str
    identity: str
    subscription: str | None = None
    invoice: str | None = None
    currency: str | None = None
    amount: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    properties: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def data(self) -> dict[str, Any]:
        """What is stored beside the columns."""
        return {**self.details, "properties": dict(self.properties)}


def told(**properties: Any) -> dict[str, Any]:
    """Properties without those that say nothing."""
    return {name: value for name, value in properties.items() if value not in (None, "")}
