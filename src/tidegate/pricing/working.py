"""An item while it is priced: its amount for a period so far, and the steps that led there."""

from fractions import Fraction

import msgspec

from tidegate.pricing.value import NOTHING, Step
from tidegate.stripe_api.shapes.subscriptions import SubscriptionItem


class Working(msgspec.Struct, kw_only=True):
    """An item and what it comes to a period, in minor units. `told` is the item as Stripe tells it; `period` the one
    that was invoiced last, epoch seconds. `usage`: what the last closed period's usage came to.
    """

    told: SubscriptionItem
    id: str
    price: str
    product: str
    quantity: int
    interval: str
    interval_count: int
    metered: bool
    period: tuple[int | None, int | None]
    tax_behavior: str = ""
    amount: Fraction = NOTHING
    listed: Fraction = NOTHING
    usage: Fraction = NOTHING
    steps: list[Step] = []
    problem: str = ""

    def set(self, amount: Fraction, kind: str, words: str, *values: object) -> None:
        """Notes what the item comes to after a step, see `Step`."""
        self.amount = amount
        self.steps.append(Step(kind, amount, words, values))
