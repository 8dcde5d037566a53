"""What has to be known of a contact and a package to start, change or end a subscription. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.money import shown

LIVE = ("trialing", "active", "past_due", "unpaid", "paused", "incomplete")
"""Statuses of subscriptions that are not over."""
RUNNING = ("trialing", "active", "past_due")
"""Those of subscriptions to which something may be added."""


@dataclass(frozen=True, slots=True)
class Price:
    """A price of Stripe's; `unit_amount` in minor units, None where it has tiers or a fraction; metered ones have no
    quantity. `interval` None: it is no recurring one.
    """

    id: str
    product: str
    active: bool
    currency: str
    unit_amount: int | None
    interval: str | None
    interval_count: int
    metered: bool = False
    name: str = ""

    @property
    def says(self) -> str:
        """In words: `price_1 (49.00 USD a month, Pro)`."""
        return f"{self.id} ({', '.join(one for one in (self.costs, self.name) if one)})"

    @property
    def costs(self) -> str:
        """What it costs, and how often: `49.00 USD a month`."""
        count = self.interval_count
        often = f"every {count} {self.interval}s" if count > 1 else f"a {self.interval}" if self.interval else "once"
        tiers = f"{self.currency.upper()} by tiers or fractions"
        amount = tiers if self.unit_amount is None else shown(self.unit_amount, self.currency)
        return f"{amount} {often}" + (", by usage" if self.metered else "")

    @property
    def terms(self) -> tuple[str, str | None, int]:
        """What the items of one subscription have in common."""
        return self.currency, self.interval, self.interval_count


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a subscription; `package` None: its price is mapped to none; `kind`: the package's."""

    id: str
    price: Price
    quantity: int | None
    package: str | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription that is not over. `ends_at`: when it is to end (UTC); `period_end`: when its period does."""

    id: str
    customer: str
    status: str
    currency: str
    items: tuple[Item, ...]
    cancel_at_period_end: bool = False
    ends_at: datetime | None = None
    period_end: datetime | None = None
    schedule: str | None = None
    pending: bool = False

    def base(self) -> Item | None:
        """Its item of a base package."""
        return next((one for one in self.items if one.kind == "base"), None)


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer of the contact's. `currency`: the one that Stripe holds it to."""

    id: str
    name: str = ""
    email: str = ""
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """A contact in one connection, and a package: its kind and the prices that are mapped to it.

    `making`: the parameters of the customer that is made where the contact has none.
    """

    contact: str
    package: str
    kind: str
    prices: tuple[Price, ...]
    customers: tuple[Customer, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    making: Mapping[str, Any] | None = None
    promotion_code: str | None = None
